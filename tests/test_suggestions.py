"""Hints for misspelled names, whose cost does not grow with the input."""

from __future__ import annotations

import pytest

from oauth_taskflow.suggestions import did_you_mean, find_closest, suggest_allowed


def test_the_nearest_name_is_found_among_thousands() -> None:
    names = [f"param_{index}" for index in range(20_000)] + ["organization"]
    assert suggest_allowed("orgnization", names) == "Did you mean 'organization'?"


def test_a_long_word_is_not_a_typing_error() -> None:
    assert suggest_allowed("limit" * 100, ["limit"]) == "Allowed: limit."


def test_few_allowed_names_are_all_listed() -> None:
    hint = suggest_allowed("curser", ["offset", "cursor", "page"])
    assert hint == "Did you mean 'cursor'? Allowed: cursor, offset, page."


@pytest.mark.parametrize(
    ("word", "names", "question"),
    [
        ("scpoe", ["scope", "audience"], "Did you mean 'scope'?"),
        ("xyz", ["scope"], ""),
        ("x", [], ""),
    ],
)
def test_the_question_offers_a_similar_name_or_is_empty(
    word: str, names: list[str], question: str
) -> None:
    assert did_you_mean(word, names) == question


def test_a_higher_cutoff_requires_a_closer_name() -> None:
    assert find_closest("scpoe", ["scope"]) == "scope"
    assert find_closest("scpoe", ["scope"], cutoff=0.9) == ""
