"""Errors about a field that a spec names, and that a record lacks or writes in another form."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.record_values import show_value
from oauth_taskflow.suggestions import find_closest, offer_name

_MOST_NAMES = 20
_LONGEST_NAME = 40


def unreadable_time_error(path: str, value: Any, reason: str = "") -> InvalidRecord:
    """Returns the error for an incremental field at ``path`` whose ``value`` cannot be read, with the reason."""
    return InvalidRecord(
        f"The incremental field {path!r} is {show_value(value, path)}{reason}",
        hint="Write into incremental.field_format how records write the field.",
    )


def missing_field_error(record: Any, path: str, option: str, hint: str) -> InvalidRecord:
    """Returns the error for a ``record`` whose field at ``path``, named by the spec key ``option``, is absent or null."""
    names = _field_names(record)
    if path in names:
        return InvalidRecord(
            f"The field {path!r}, which {option} names, is null in a record", hint=hint
        )
    near = _nearest(path, names)
    question = f"{offer_name(near)} " if near else ""
    return InvalidRecord(
        f"A record has no field {path!r}, which {option} names: {_describe(names)}",
        hint=f"{question}{hint}",
    )


def _field_names(record: Any) -> list[str]:
    if isinstance(record, msgspec.Raw):
        record = msgspec.json.decode(record)
    return [str(name) for name in record] if isinstance(record, dict) else []


def _describe(names: list[str]) -> str:
    if not names:
        return "it is a single value or an empty mapping"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"its fields are {', '.join(name[:_LONGEST_NAME] for name in names[:_MOST_NAMES])}{more}"


def _nearest(path: str, names: list[str]) -> str:
    """Returns the name most like ``path``; ``updatedAt`` and ``updated_at`` count as the same words."""
    plain = {re.sub(r"[\W_]+", "", name.lower()): name for name in reversed(names)}
    return plain.get(find_closest(re.sub(r"[\W_]+", "", path.lower()), plain), "")
