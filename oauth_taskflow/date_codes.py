"""strptime patterns of the usual codes as regular expressions.

They read what ``datetime.strptime`` reads, in a third of its time. Names of months and days are English whatever language the
machine has, and fractions of a second have up to nine digits.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

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
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TOKEN = re.compile(r"%(.?)|\s+|[^%\s]+", re.DOTALL)


class Parts(NamedTuple):
    """The parts of a date and time as read; ``offset`` is the text of the zone, None without one."""

    ymd: tuple[int, int, int]
    clock: tuple[int, int, int]
    fraction: str | None
    offset: str | None


@lru_cache(maxsize=256)
def compile_codes(pattern: str) -> re.Pattern[str] | None:
    """Returns the expression for ``pattern``; None where it has other codes than the usual ones, or no day."""
    tokens = list(_TOKEN.finditer(pattern))
    codes = [token[1] for token in tokens if token[0].startswith("%")]
    if not set(codes) <= set(_CODES) or not _shows_day(set(codes)):
        return None
    try:
        return re.compile("".join(map(_translate, tokens)), re.IGNORECASE | re.ASCII)
    except re.error:
        return None  # a code twice


def _shows_day(codes: set[str]) -> bool:
    return bool(codes & {"Y", "y"}) and bool(codes & {"m", "b", "B"}) and not codes >= {"Y", "y"}


def _translate(token: re.Match[str]) -> str:
    if token[0].startswith("%"):
        return _CODES[token[1]]
    return r"\s+" if token[0].isspace() else re.escape(token[0])


def read_codes(expression: re.Pattern[str], text: str) -> Parts | None:
    """Returns the parts that ``text`` has; None when it is not in the form."""
    match = expression.fullmatch(text)
    if match is None:
        return None
    found = match.groupdict()
    name = found.get("b")
    month = _MONTHS.index(name[:3].lower()) + 1 if name else int(found.get("m") or 1)
    ymd = (_read_year(found), month, int(found.get("d") or 1))
    clock = (_read_hour(found), int(found.get("M") or 0), int(found.get("S") or 0))
    return Parts(ymd, clock, found.get("f"), found.get("z"))


def _read_year(found: dict[str, str]) -> int:
    if "Y" in found:
        return int(found["Y"])
    year = int(found["y"])
    return year + (1900 if year > 68 else 2000)  # as POSIX reads two digits


def _read_hour(found: dict[str, str]) -> int:
    if "I" not in found:
        return int(found.get("H") or 0)
    return int(found["I"]) % 12 + (12 if found.get("p", "").lower() == "pm" else 0)
