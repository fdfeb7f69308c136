"""YAML for people, read back with the reader of specs."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.specs.yaml_reader import load_text
from oauth_taskflow.specs.yaml_writer import yaml_text

_BREAKS = "\x7f\x85\x9f\u2028\u2029\ufeff\ufffe\uffff"
_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from(_BREAKS),
    max_size=12,
)
_LEAF = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), _TEXT)
_JSON = st.recursive(
    _LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(_TEXT, _JSON, max_size=4))
def test_written_yaml_is_read_back_as_the_same_data(data: dict[str, Any]) -> None:
    document = load_text(yaml_text(data), "text")
    assert document.problems == []
    assert document.data == data


def test_unambiguous_words_are_written_without_quotes() -> None:
    data = {
        "request": {"path": "/a", "params": {"on": "yes", "page": 1}},
        "key": ["id", "2"],
        "e": {},
    }
    assert yaml_text(data) == (
        'request:\n  path: /a\n  params:\n    "on": "yes"\n    page: 1\nkey: [id, "2"]\ne: {}\n'
    )
