"""Credentials in specs are found by their published forms, also where only long words are looked at."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.specs.rules import credentials
from tests.support.examples import examples

PATTERNS = sorted(credentials._KNOWN.items())


@pytest.mark.parametrize(("kind", "pattern"), PATTERNS)
def test_every_form_is_found_in_the_middle_of_a_line(kind: str, pattern: str) -> None:
    @examples(0.4)
    @given(st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True))
    def check(credential: str) -> None:
        line = f"token: {credential} # rotated"
        assert credentials.credential_kind(line)
        assert credentials.credential_kind(credential)

    check()


def test_words_without_a_credential_pass() -> None:
    assert not credentials.credential_kind(
        "updated_since: '{{ window.start }}' /v3/organizations/members"
    )
