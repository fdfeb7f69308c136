"""Inputs for all implementations."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.support.examples import examples

few = examples(0.3)

# RFC 6749 Appendix A: VSCHAR and NQCHAR.
visible = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=30)
scope_words = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"\\,'),
    min_size=1,
    max_size=8,
)
some_scopes = st.lists(scope_words, min_size=1, max_size=4, unique=True).map(" ".join)
scopes = st.just("") | some_scopes
# RFC 6750 §2.1: b64token, which RFC 9110 calls token68.
tokens = st.from_regex(r"[A-Za-z0-9._~+/-]{1,40}={0,2}", fullmatch=True)
# Text as people type it: printable, with blanks.
any_text = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "),
    min_size=1,
    max_size=30,
)

labels = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
hosts = st.lists(labels, min_size=2, max_size=3).map(".".join)
segments = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,7}", fullmatch=True)
paths = st.lists(segments, max_size=3).map(lambda parts: "".join(f"/{part}" for part in parts))
ports = st.sampled_from(["", ":8443", ":9000"])
