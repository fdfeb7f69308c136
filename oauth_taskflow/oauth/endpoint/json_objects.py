"""The JSON objects in a text, however it is broken: written twice, wrapped in something else, or without its end. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_SPACE = " \t\r\n\0"
_MOST_STARTS = 50
_DEEPEST = 64
_LEXEME = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[{}\[\],:]|[-+.\w]+)', re.DOTALL)
_CLOSERS = {"{": "}", "[": "]"}


def _no_value(_name: str) -> None:
    """None for NaN and Infinity: they are not JSON (RFC 8259 §6), but must not cost the refresh token next to them."""


# Control characters in a text are not JSON either.
DECODER = json.JSONDecoder(parse_constant=_no_value, strict=False)


def read_object(text: str) -> dict[str, Any] | None:
    """The object in ``text``, also if it was written twice or more: no copy says anything else."""
    found, rest = first_object(text)
    while found is not None and rest:
        copy, rest = first_object(rest)
        if copy != found:
            return None
    return found


def first_object(text: str) -> tuple[dict[str, Any] | None, str]:
    """The object that ``text`` begins with, None without one, and what is behind it."""
    found, end = _decode_at(text, 0)
    return found, "" if found is None else text[end:].strip(_SPACE)


def find_objects(text: str) -> Iterator[dict[str, Any]]:
    """The objects in ``text``, whatever is around them, in their order; one without its end as far as it came."""
    start = text.find("{")
    for _ in range(_MOST_STARTS):
        if start < 0:
            return
        found, end = _decode_at(text, start)
        if found is None:
            found, end = _close(text, start)
        if found:
            yield found
        start = text.find("{", end)


def _decode_at(text: str, start: int) -> tuple[dict[str, Any] | None, int]:
    """The object that begins at ``start``, and where it ends; None and the next place without one."""
    try:
        found, end = DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None, start + 1
    return (found, end) if isinstance(found, dict) else (None, start + 1)


def _close(text: str, start: int) -> tuple[dict[str, Any] | None, int]:
    """The whole fields of an object that begins at ``start`` and breaks off, and where it does."""
    open_ones: list[str] = []
    closers, end, at, before = "", start, start, ""
    while len(open_ones) <= _DEEPEST and (lexeme := _LEXEME.match(text, at)):
        word = lexeme[1]
        if word in _CLOSERS:
            open_ones.append(_CLOSERS[word])
        elif word in _CLOSERS.values() and open_ones.pop() != word:
            break
        if word in _CLOSERS.values() or (before == ":" and word.startswith('"')):
            closers, end = "".join(reversed(open_ones)), lexeme.end()
        at, before = lexeme.end(), word
        if not open_ones:
            break
    return _decode_at(text[start:end] + closers, 0)[0], max(at, start + 1)
