"""Reads the instants in records of APIs, in every form that APIs use, exact to the nanosecond.

A form is one of ``FORMS`` or a pattern of ``datetime.strptime``. A time without a zone is in UTC, or in the zone given.
Only forms that cannot be misread count as ``any``: no day/month/year, and of bare numbers only those whose number of
digits says the unit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import ROUND_FLOOR, Context, Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from oauth_taskflow.date_codes import CodeReader, build_code_reader
from oauth_taskflow.date_patterns import (
    BASIC,
    DOTNET,
    HTTP,
    HTTP_ASCTIME,
    ISO,
    MONTHS,
    NAMED_MONTH,
    NAMED_ZONES,
    NUMBER,
    SORTABLE,
    ZERO_DATE,
)
from oauth_taskflow.iso8601 import find_day, utc_text
from oauth_taskflow.record_values import find_cause

UTC = timezone.utc
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_FIRST = (1 - _EPOCH_ORDINAL) * 86_400
_LAST = (date.max.toordinal() - _EPOCH_ORDINAL + 1) * 86_400
_LONGEST = 80  # characters of a text that may be a date
_EXACT = Context(prec=4 * _LONGEST)
# Digits after the point of a second that each kind of epoch leaves out.
_EPOCHS = {"epoch": 0, "epoch_ms": 3, "epoch_us": 6}
# The unit of a bare number by its digits: true from 2001 to 2286.
_UNIT_BY_DIGITS = {10: 0, 13: 3, 16: 6, 19: 9}
# First characters of a number, and of a date of Microsoft's JSON.
_NUMERIC = frozenset("-0123456789")
_SLASHES = frozenset("\\/")


class UnreadableDate(ValueError):
    """A value is not an instant in the form that was declared. ``reason`` says why, without the value."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Instant(NamedTuple):
    """A point in time: ``seconds`` since 1970-01-01T00:00:00Z, and ``nanoseconds`` from 0 to 999,999,999."""

    seconds: int
    nanoseconds: int = 0

    @property
    def moment(self) -> datetime:
        """The instant as an aware datetime of UTC, cut to microseconds."""
        return EPOCH + timedelta(seconds=self.seconds, microseconds=self.nanoseconds // 1000)

    @property
    def text(self) -> str:
        """The instant as RFC 3339 writes it in UTC, with as many groups of three decimals as it has."""
        whole = utc_text(self.seconds)
        fraction = f"{self.nanoseconds:09d}" if self.nanoseconds else ""
        while fraction.endswith("000"):
            fraction = fraction[:-3]
        return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"


Reader = Callable[[Any], Instant]


def read_instant(value: Any, form: str | Sequence[str] = "any", zone: tzinfo = UTC) -> Instant:
    """Returns the instant that ``value`` names in ``form``; of several forms, the first that fits counts.

    Raises:
        UnreadableDate: ``value`` is of another form, of no date that exists, or beyond the years 1 to 9999.
    """
    return build_reader(form if isinstance(form, str) else tuple(form), zone)(value)


def is_empty_date(value: Any) -> bool:
    """Whether ``value`` is what APIs write for a missing date: null, blank text, or zeros such as 0000-00-00."""
    return value is None or (isinstance(value, str) and ZERO_DATE.fullmatch(value) is not None)


def are_sortable_texts(values: Sequence[str]) -> bool:
    """Whether ``values`` are ISO 8601 texts of UTC and of one length, so that their order is that of time."""
    return len(set(map(len, values))) == 1 and all(map(SORTABLE.fullmatch, values))


@lru_cache(maxsize=128)
def build_reader(form: str | tuple[str, ...] = "any", zone: tzinfo = UTC) -> Reader:
    """Returns the function that reads values of ``form`` (see ``read_instant``)."""
    if isinstance(form, str):
        return _one_reader(form, zone)
    readers = [_one_reader(each, zone) for each in form]
    if len(readers) == 1:
        return readers[0]

    def read_first(value: Any) -> Instant:
        found = next(filter(None, (_try_reading(reader, value) for reader in readers)), None)
        if found is None:
            raise UnreadableDate(f"it is in none of the forms {', '.join(form)}")
        return found

    return read_first


def _try_reading(reader: Reader, value: Any) -> Instant | None:
    try:
        return reader(value)
    except UnreadableDate:
        return None


def _one_reader(form: str, zone: tzinfo) -> Reader:
    if form in _EPOCHS:
        digits = _EPOCHS[form]
        return lambda value: _read_epoch(value, digits)
    text_readers: dict[str, Callable[[str, tzinfo], Instant | None]] = {
        "iso": _match_iso,
        "date": _match_date,
        "http": _match_http,
        "dotnet": _match_dotnet,
    }
    match = text_readers.get(form)
    if match is not None:
        return lambda value: _read_text(value, form, match, zone)
    if form == "any":
        return lambda value: _read_any(value, zone)
    read = build_code_reader(form)
    if read is not None:
        return lambda value: _read_usual_pattern(value, form, read, zone)
    return lambda value: _read_pattern(value, form, zone)


def _read_text(
    value: Any, form: str, match: Callable[[str, tzinfo], Instant | None], zone: tzinfo
) -> Instant:
    if not isinstance(value, str):
        raise UnreadableDate(f"it is {_kind(value)}, and the form {form} is a text")
    instant = match(value.strip(), zone) if len(value) <= _LONGEST else None
    if instant is None:
        raise UnreadableDate(f"it is not in the form {form}")
    return instant


def _read_epoch(value: Any, digits: int) -> Instant:
    if type(value) is int:
        return _build_instant(*_split_epoch(value, digits))
    number = _read_number(value)
    if number is None:
        raise UnreadableDate(f"it is {_kind(value)}, not a number")
    return _scale(number, digits)


def _split_epoch(value: int, digits: int) -> tuple[int, int]:
    seconds, rest = divmod(value, 10**digits)
    return seconds, rest * 10 ** (9 - digits)


def _scale(number: Decimal, digits: int) -> Instant:
    if number and number.adjusted() > 20:
        raise UnreadableDate("it is beyond the years 1 to 9999")
    scaled = number.scaleb(9 - digits, _EXACT)
    nanoseconds = int(scaled.to_integral_value(ROUND_FLOOR, _EXACT))
    return _build_instant(*divmod(nanoseconds, 10**9))


def _read_number(value: Any) -> Decimal | None:
    """Returns a number, or a text of a number, with all its digits; None for other values."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    if isinstance(value, int) and abs(value) >= 10**_LONGEST:
        raise UnreadableDate("it has too many digits for a date")
    text = str(value).strip()
    if isinstance(value, str) and not NUMBER.fullmatch(text):
        return None
    number = Decimal(text)
    if not number.is_finite():
        raise UnreadableDate("it is not a finite number")
    return number


def _read_any(value: Any, zone: tzinfo) -> Instant:
    if type(value) is int and 0 < value < 10**19 and (digits := len(str(value))) in _UNIT_BY_DIGITS:
        return _build_instant(*_split_epoch(value, _UNIT_BY_DIGITS[digits]))
    if isinstance(value, str):
        text = value.strip()
        if len(text) > _LONGEST:
            raise UnreadableDate("it is too long for a date")
        instant = _match_iso(text, zone) if text[:1].isdigit() else None
        if instant is not None:
            return instant
        number = _read_number(text) if text[:1] in _NUMERIC else None
        if number is None:
            return _read_words(text, zone)
    else:
        number = _read_number(value)
    if number is None:
        raise UnreadableDate(f"it is {_kind(value)}, not a text or a number")
    return _read_bare_number(number, value, zone)


def _read_words(text: str, zone: tzinfo) -> Instant:
    if text[:1] in _SLASHES:
        instant = _match_dotnet(text, zone)
        if instant is not None:
            return instant
    for match in (_match_asctime, _match_named_month):
        instant = match(text, zone)
        if instant is not None:
            return instant
    raise UnreadableDate("it is in no form that can have one meaning only; name its form")


def _read_bare_number(number: Decimal, value: Any, zone: tzinfo) -> Instant:
    digits = number.adjusted() + 1 if number > 0 else 0
    is_whole = number == number.to_integral_value() if digits <= 20 else False
    if digits in {8, 14} and is_whole:
        instant = _match_iso(str(int(number)), zone)
        if instant is not None:
            return instant
    shows_hour = isinstance(value, str) and digits == 10 and is_whole
    if shows_hour and _match_iso(f"{int(number)}00", zone) is not None:
        raise UnreadableDate("it may count seconds or show a date with its hour; name its form")
    if digits not in _UNIT_BY_DIGITS:
        raise UnreadableDate(
            "its number of digits does not say the unit; name its form: epoch, epoch_ms or epoch_us"
        )
    return _scale(number, _UNIT_BY_DIGITS[digits])


def _match_iso(text: str, zone: tzinfo) -> Instant | None:
    match = ISO.fullmatch(text) or BASIC.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    return _instant(
        (int(year), int(month), int(day)),
        (int(hour or 0), int(minute or 0), int(second or 0)),
        fraction,
        _read_offset(offset),
        zone,
    )


def _match_date(text: str, zone: tzinfo) -> Instant | None:
    return _match_iso(text, zone) if len(text) == 10 else None


def _match_http(text: str, zone: tzinfo) -> Instant | None:
    match = HTTP.fullmatch(text)
    if match is None:
        return _match_asctime(text, zone)
    day, month, year, hour, minute, second, offset = match.groups()
    number = int(year) if len(year) == 4 else int(year) + (2000 if int(year) < 69 else 1900)
    ymd = (number, MONTHS[month[:3].lower()], int(day))
    return _instant(
        ymd, (int(hour), int(minute), int(second or 0)), None, _read_offset(offset), zone
    )


def _match_asctime(text: str, zone: tzinfo) -> Instant | None:
    match = HTTP_ASCTIME.fullmatch(text)
    if match is None:
        return None
    month, day, hour, minute, second, offset, year = match.groups()
    ymd = (int(year), MONTHS[month[:3].lower()], int(day))
    clock = (int(hour), int(minute), int(second))
    return _instant(ymd, clock, None, _read_offset(offset) or 0, zone)


def _match_named_month(text: str, zone: tzinfo) -> Instant | None:
    match = NAMED_MONTH.fullmatch(text)
    if match is None:
        return None
    found = match.groupdict()
    month = MONTHS[(found["month1"] or found["month2"])[:3].lower()]
    hour, half = int(found["hour"] or 0), (found["half"] or "").lower()
    if half and not 1 <= hour <= 12:
        return None
    hour = hour % 12 + (12 if half == "p" else 0) if half else hour
    return _instant(
        (int(found["year"]), month, int(found["day1"] or found["day2"])),
        (hour, int(found["minute"] or 0), int(found["second"] or 0)),
        None,
        _read_offset(found["offset"]),
        zone,
    )


def _match_dotnet(text: str, zone: tzinfo) -> Instant | None:  # noqa: ARG001 - one signature for all
    match = DOTNET.fullmatch(text)  # the offset after the milliseconds does not move the instant
    return _build_instant(*_split_epoch(int(match[1]), 3)) if match is not None else None


def _read_usual_pattern(value: Any, pattern: str, read: CodeReader, zone: tzinfo) -> Instant:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UnreadableDate(f"it is {_kind(value)}, and the form {pattern} is a text")
    text = "" if isinstance(value, int) and abs(value) >= 10**_LONGEST else str(value).strip()
    parts = read(text[: _LONGEST + 1])
    instant = parts and _instant(*parts[:3], _read_offset(parts.offset), zone)
    if instant is None:
        raise UnreadableDate(f"it is not in the form {pattern}")
    return instant


def _read_pattern(value: Any, pattern: str, zone: tzinfo) -> Instant:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UnreadableDate(f"it is {_kind(value)}, and the form {pattern} is a text")
    text = "" if isinstance(value, int) and abs(value) >= 10**_LONGEST else str(value).strip()
    try:
        moment = datetime.strptime(text[: _LONGEST + 1], pattern)  # noqa: DTZ007 - the zone follows
    except (ValueError, re.error, OverflowError) as error:
        raise UnreadableDate(f"it is not in the form {pattern}") from find_cause(error)
    if "%Z" in pattern and moment.tzinfo is None and not NAMED_ZONES.search(text):
        raise UnreadableDate("the name of its zone is neither UTC nor GMT")
    offset = moment.utcoffset()
    seconds = offset // timedelta(seconds=1) if offset is not None else None
    seconds = 0 if "%Z" in pattern and seconds is None else seconds
    instant = _instant(
        (moment.year, moment.month, moment.day),
        (moment.hour, moment.minute, moment.second),
        f"{moment.microsecond:06d}",
        seconds,
        zone,
    )
    if instant is None:
        raise UnreadableDate("it is beyond the years 1 to 9999")
    return instant


def _read_offset(text: str | None) -> int | None:
    """Returns the seconds that a zone is ahead of UTC; None without a zone."""
    if text is None or text == "":
        return None
    if text[0] not in "+-":
        return {"E": -5, "C": -6, "M": -7, "P": -8}.get(text[0].upper(), 0) * 3600 + (
            3600 if text[1:2].upper() == "D" else 0
        )
    digits = text[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return seconds if text[0] == "+" else -seconds


def _instant(
    ymd: tuple[int, int, int],
    clock: tuple[int, int, int],
    fraction: str | None,
    offset: int | None,
    zone: tzinfo,
) -> Instant | None:
    """Returns the instant of a date and time that exist; a leap second is the first second after it."""
    hour, minute, second = clock
    if hour > 23 or minute > 59 or second > 60:
        return None
    day = find_day(*ymd)
    if day is None:
        return None
    if offset is None:
        offset = 0 if zone is UTC else _find_offset(datetime(*ymd, hour, minute, tzinfo=zone))
    seconds = day * 86_400 + hour * 3600 + minute * 60 + second
    return _build_instant(seconds - offset, int(fraction.ljust(9, "0")) if fraction else 0)


def _find_offset(local: datetime) -> int:
    """Returns the offset at a local time; at a time that comes twice, when clocks go back, that of the first."""
    offset = local.utcoffset()
    return offset // timedelta(seconds=1) if offset is not None else 0


def _build_instant(seconds: int, nanoseconds: int) -> Instant:
    if not _FIRST <= seconds < _LAST:
        raise UnreadableDate("it is beyond the years 1 to 9999")
    return Instant(seconds, nanoseconds)


def _kind(value: Any) -> str:
    names = {bool: "true or false", dict: "a mapping", list: "a list", type(None): "null"}
    return names.get(
        type(value),
        "a number"
        if isinstance(value, int | float)
        else "a text"
        if isinstance(value, str)
        else "a value",
    )
