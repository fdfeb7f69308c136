"""Patterns on the text of a response, which cannot take more time than a glance at it.

Python's regular expressions may take time that grows exponentially with the text. A pattern with one open repetition, and
none within another, takes time that grows with the square at the most, and the text has a bound.
"""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from functools import lru_cache
from typing import Any

_prefix = "re._" if sys.version_info >= (3, 11) else "sre_"
_constants: Any = importlib.import_module(f"{_prefix}constants")
_parser: Any = importlib.import_module(
    f"{_prefix}parser" if sys.version_info >= (3, 11) else "sre_parse"
)

LONGEST_TEXT = 4096
"""So many characters of a response's text are searched."""
LONGEST_PATTERN = 200
# Compiling takes a second for each hundred thousand characters.
_LONGEST_REGEX = 10_000
_MOST_STEPS = 5000
_REPEATS = frozenset({_constants.MAX_REPEAT, _constants.MIN_REPEAT})


def find_text(pattern: re.Pattern[str], text: str) -> bool:
    """Whether ``pattern`` is found within the first characters of ``text``."""
    return pattern.search(text[:LONGEST_TEXT]) is not None


def regex_flaw(pattern: str) -> str:
    """Why a regular expression on a header cannot be used; empty if it can."""
    if len(pattern) > _LONGEST_REGEX:
        return f"longer than {_LONGEST_REGEX} characters"
    return _parse(pattern)[1]


@lru_cache(maxsize=1024)
def _parse(pattern: str) -> tuple[Any, str]:
    """Returns the parsed ``pattern``, and why it is not a regular expression; empty if it is one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
            return _parser.parse(pattern), ""
    except (re.error, OverflowError, RecursionError) as error:
        return None, str(error)


def text_pattern_flaw(pattern: str) -> str:
    """Why ``pattern`` cannot be used on texts; empty if it can."""
    if len(pattern) > LONGEST_PATTERN:
        return f"longer than {LONGEST_PATTERN} characters"
    parsed, reason = _parse(pattern)
    if reason:
        return f"not a regular expression: {reason}"
    steps = _count_steps(parsed, within=False)
    if steps is None:
        return "a repetition within another one, or a back-reference, may take for ever"
    if steps > _MOST_STEPS:
        return "several open repetitions take too long on a long text"
    return ""


def _count_steps(parsed: Any, *, within: bool) -> int | None:
    """The product of the lengths of all repetitions; None where one is within another."""
    steps = 1
    for kind, value in parsed:
        if kind in _REPEATS:
            least, most, body = value
            length = LONGEST_TEXT if most is _constants.MAXREPEAT else int(most)
            if length > 1 and within:
                return None
            inner = _count_steps(body, within=within or length > 1)
            steps *= max(1, length) if length != least or most is _constants.MAXREPEAT else 1
        elif kind is _constants.GROUPREF or "ASSERT" in str(kind) or "GROUPREF" in str(kind):
            return None
        else:
            inner = _count_branches(value, within=within)
        if inner is None:
            return None
        steps *= inner
    return steps


def _count_branches(value: Any, *, within: bool) -> int | None:
    """The steps of the patterns in ``value``, the part of a group or of alternatives."""
    steps = 1
    parts = value if isinstance(value, tuple | list) else ()
    subs = [sub for part in parts for sub in (part if isinstance(part, list) else [part])]
    for sub in subs:
        inner = _count_steps(sub, within=within) if isinstance(sub, _parser.SubPattern) else 1
        if inner is None:
            return None
        steps *= inner
    return steps
