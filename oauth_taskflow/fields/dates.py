"""The step ``dates``: dates of any form become RFC 3339."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from oauth_taskflow.dates import UTC, Instant, UnreadableDate, build_reader, is_empty_date
from oauth_taskflow.fields.convert import Converter, Inconvertible
from oauth_taskflow.fields.options import DateOptions

_CANONICAL = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?Z", re.ASCII)
_LONGEST = 80


def build_date_converter(options: str | Sequence[str] | DateOptions) -> Converter:
    """Returns a converter from a date to its text in RFC 3339; what APIs write where there is no date stays as it is.

    Raises:
        ValueError: the zone is unknown, as are its LookupErrors.
    """
    if not isinstance(options, DateOptions):
        options = DateOptions(form=options if isinstance(options, str) else list(options))
    forms = (options.form,) if isinstance(options.form, str) else tuple(options.form)
    zone = UTC if options.zone == "UTC" else ZoneInfo(options.zone)
    read = build_reader(forms, zone)
    writes_date = options.write == "date"
    # A text that is already what would be written keeps all its digits.
    is_done = is_canonical if {"iso", "any"} & set(forms) and not writes_date else _is_never
    write: Callable[[Instant], str] = _write_instant
    if writes_date:
        write = lambda instant: instant.moment.astimezone(zone).date().isoformat()  # noqa: E731
    named = f"read as a date ({', '.join(forms)})"

    def convert(value: Any, kind: str, text: str) -> Any:
        if kind == "text" and is_done(text):
            return value
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


def _is_never(_: str) -> bool:
    return False


def _write_instant(instant: Instant) -> str:
    return instant.text


def _to_python(kind: str, text: str) -> Any:
    """Returns the value that the readers of dates know, with all its digits."""
    if kind == "number" and len(text) <= _LONGEST:
        return Decimal(text) if set(text) & set(".eE") else int(text)
    if kind == "text":
        return text
    raise UnreadableDate(f"it is a {kind}" if kind != "number" else "it has too many digits")
