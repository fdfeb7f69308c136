"""strptime patterns of the usual codes as regular expressions.

They read what ``datetime.strptime`` reads, in a third of its time. Names of months and days are English whatever language the
machine has, and fractions of a second have up to nine digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

# The expressions of Python's _strptime, so that adjacent codes (%d%m%Y) divide digits as there.
_CODES = {
    "Y": r"(?P<Y>\d\d\d\d)",
    "y": r"(?P<y>\d\d)",
    "m": r"(?P<m>1[0-2]|0[1-9]|[1-9])",
    "d": r"(?P<d>3[0-1]|[1-2]\d|0[1-9]|[1-9]| [1-9])",
    "H": r"(?P<H>2[0-3]|[0-1]\d|\d)",
    "I": r"(?P<I>1[0-2]|0[1-9]|[1-9])",
    "M": r"(?P<M>[0-5]\d|\d)",
    "S": r"(?P<S>60|[0-5]\d|\d)",
    "f": r"(?P<f>\d{1,9})",
    "p": r"(?P<p>am|pm)",
    "z": r"(?P<z>[+-]\d\d:?[0-5]\d(?::?00)?|(?-i:Z))",
    "b": r"(?P<b>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",
    "B": r"(?P<b>january|february|march|april|may|june|july|august|september|october|november|december)",
    "a": r"(?:mon|tue|wed|thu|fri|sat|sun)",
    "A": r"(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)",
    "%": "%",
}
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_TOKEN = re.compile(r"%(.?)|\s+|[^%\s]+", re.DOTALL)


class Parts(NamedTuple):
    """The parts of a date and time as read; ``offset`` is the text of the zone, None without one."""

    ymd: tuple[int, int, int]
    clock: tuple[int, int, int]
    fraction: str | None
    offset: str | None


CodeReader = Callable[[str], "Parts | None"]
# Behind the groups of a match: what a pattern without month or day, time, fraction or zone has.
_ABSENT = ("1", "0", None)
_DAY, _TIME, _NOTHING = -3, -2, -1


@lru_cache(maxsize=256)
def build_code_reader(pattern: str) -> CodeReader | None:
    """Returns the reader of ``pattern``; None where it has other codes than the usual ones, or no month."""
    tokens = list(_TOKEN.finditer(pattern))
    codes = [token[1] for token in tokens if token[0].startswith("%")]
    if not set(codes) <= set(_CODES) or not _shows_month(set(codes)):
        return None
    try:
        expression = re.compile("".join(map(_translate, tokens)), re.IGNORECASE | re.ASCII)
    except re.error:
        return None  # a code twice
    return _build_reader(expression)


def _shows_month(codes: set[str]) -> bool:
    return bool(codes & {"Y", "y"}) and bool(codes & {"m", "b", "B"}) and not codes >= {"Y", "y"}


def _translate(token: re.Match[str]) -> str:
    if token[0].startswith("%"):
        return _CODES[token[1]]
    return r"\s+" if token[0].isspace() else re.escape(token[0])


def _build_reader(expression: re.Pattern[str]) -> CodeReader:
    places = {name: place - 1 for name, place in expression.groupindex.items()}
    read_year = int if "Y" in places else _read_short_year
    read_month = _MONTHS.__getitem__ if "b" in places else int
    year = places.get("Y", places.get("y", _DAY))
    month = places.get("b", places.get("m", _DAY))
    hour = places.get("I", places.get("H", _TIME))
    day, minute, second = places.get("d", _DAY), places.get("M", _TIME), places.get("S", _TIME)
    half, fraction = places.get("p", _NOTHING), places.get("f", _NOTHING)
    offset, counts_to_twelve = places.get("z", _NOTHING), "I" in places

    def read(text: str) -> Parts | None:
        match = expression.fullmatch(text)
        if match is None:
            return None
        found: tuple[Any, ...] = match.groups() + _ABSENT
        clock = (int(found[hour]), int(found[minute]), int(found[second]))
        if counts_to_twelve:
            clock = (_read_half(clock[0], found[half]), *clock[1:])
        ymd = (read_year(found[year]), read_month(found[month][:3].lower()), int(found[day]))
        return Parts(ymd, clock, found[fraction], found[offset])

    return read


def _read_short_year(text: str) -> int:
    return int(text) + (1900 if int(text) > 68 else 2000)  # as POSIX reads two digits


def _read_half(hour: int, half: str | None) -> int:
    return hour % 12 + (12 if (half or "").lower() == "pm" else 0)
