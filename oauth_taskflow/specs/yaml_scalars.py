"""Reads unquoted words by the YAML 1.2 core schema, without its traps.

``on``, ``yes``, ``2026-01-01``, ``12:30``, ``1_000``, ``0123`` and ``.inf`` stay text: YAML 1.1 turned them into
booleans, dates and numbers behind the author's back.
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

_WORDS: dict[str, Scalar] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,300})\Z", re.ASCII)
_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][-+]?[0-9]{1,3})?\Z", re.ASCII)
_FIRST_OF_NUMBER = frozenset("0123456789+-.")


def plain_scalar(word: str) -> Scalar:
    """The value of an unquoted scalar."""
    if word in _WORDS:
        return _WORDS[word]
    return _number(word) if word[0] in _FIRST_OF_NUMBER else word


def _number(word: str) -> Scalar:
    if _INTEGER.match(word):
        return int(word)
    if not _NUMBER.match(word) or not any(c.isdigit() for c in word.lower().partition("e")[0]):
        return word
    value = float(word)
    # Too big for a float: keep the digits instead of an infinity that JSON does not know.
    return word if value in (float("inf"), float("-inf")) else value
