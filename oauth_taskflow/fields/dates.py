"""The step ``dates``: dates of any form become RFC 3339."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from oauth_taskflow.date_codes import CodeReader, build_code_reader
from oauth_taskflow.dates import UTC, Instant, UnreadableDate, build_reader, is_empty_date
from oauth_taskflow.fields.convert import Converter, Inconvertible
from oauth_taskflow.fields.options import DateOptions
from oauth_taskflow.iso8601 import find_day

_CANONICAL = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?Z", re.ASCII)
_LONGEST = 80


def build_date_converter(options: str | Sequence[str] | DateOptions) -> Converter:
    """Returns a converter from a date to its text in RFC 3339; what APIs write for a missing date stays as it is.

    Raises:
        ValueError: the zone is unknown, as are its LookupErrors.
    """
    if not isinstance(options, DateOptions):
        options = DateOptions(form=options if isinstance(options, str) else list(options))
    forms = (options.form,) if isinstance(options.form, str) else tuple(options.form)
    zone = UTC if options.zone == "UTC" else ZoneInfo(options.zone)
    read = build_reader(forms, zone)
    writes_date = options.write == "date"
    take_shortcut = _never if writes_date else _find_shortcut(forms, zone)
    write: Callable[[Instant], str] = _write_instant
    if writes_date:
        write = lambda instant: instant.moment.astimezone(zone).date().isoformat()  # noqa: E731
    named = f"read as a date ({', '.join(forms)})"

    def convert(value: Any, kind: str, text: str) -> Any:
        done = take_shortcut(text) if kind == "text" else None
        if done is not None:
            return done
        try:
            return write(read(_to_python(kind, text)))
        except (UnreadableDate, OverflowError) as error:
            if kind == "text" and is_empty_date(text):
                return value
            raise Inconvertible(named, str(error)) from error

    return convert


def is_canonical(text: str) -> bool:
    """Whether ``text`` is a date and time that exists, as RFC 3339 writes it in UTC."""
    match = _CANONICAL.fullmatch(text)
    if match is None:
        return False
    try:
        datetime(*map(int, match.groups()))  # type: ignore[arg-type]  # noqa: DTZ001 - for its errors alone
    except ValueError:
        return False
    return True


Shortcut = Callable[[str], "str | None"]


def _find_shortcut(forms: tuple[str, ...], zone: tzinfo) -> Shortcut:
    """Returns a function that gives what most texts become without an ``Instant`` in between, and None for the others."""
    if {"iso", "any"} & set(forms):
        return lambda text: text if is_canonical(text) else None  # which keeps all its digits
    read = build_code_reader(forms[0]) if len(forms) == 1 and zone is UTC else None
    return _never if read is None else partial(_write_plain, read)


def _write_plain(read: CodeReader, text: str) -> str | None:
    """Returns the date that ``text`` shows, if it has no zone, fraction or leap second."""
    parts = read(text)
    if parts is None or parts.fraction or parts.offset or parts.clock[2] > 59:
        return None
    if find_day(*parts.ymd) is None:
        return None
    (year, month, day), (hour, minute, second) = parts.ymd, parts.clock
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}Z"


def _never(_: str) -> None:
    return None


def _write_instant(instant: Instant) -> str:
    return instant.text


def _to_python(kind: str, text: str) -> Any:
    """Returns the value that the readers of dates know, with all its digits."""
    if kind == "number" and len(text) <= _LONGEST:
        return Decimal(text) if set(text) & set(".eE") else int(text)
    if kind == "text":
        return text
    raise UnreadableDate(f"it is a {kind}" if kind != "number" else "it has too many digits")
