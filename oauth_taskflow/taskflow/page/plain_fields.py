"""The fields of a connection's form as the plain page shows them, and the values typed into them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from oauth_taskflow.connections.drafts.draft import FieldProblem
from oauth_taskflow.connections.drafts.form_key import FormKey
from oauth_taskflow.connections.drafts.stored import StoredForm
from oauth_taskflow.connections.drafts.ways import Way

# Groups of names of fields: typed values, and stored values to remove.
VALUE, DROP = "value", "drop"
NOTHING_STORED = StoredForm(conn_id="", provider="", way="", description="", values={}, hidden=())
_UNKNOWN = "A stored key that this way does not have."


class Entry(Struct, frozen=True, kw_only=True):
    """One field. ``text`` is what it shows, never a secret; ``is_kept``: a secret is stored and stays if nothing is typed."""

    key: FormKey
    text: str
    is_kept: bool
    problems: tuple[FieldProblem, ...]


class Typed(Struct, frozen=True, kw_only=True):
    """Typed values by key, and the keys whose stored values stay."""

    values: dict[str, Any]
    unchanged: list[str]


def list_entries(
    way: Way,
    stored: StoredForm,
    typed: Mapping[str, str] | None = None,
    problems: Sequence[FieldProblem] = (),
) -> tuple[list[Entry], list[Entry]]:
    """Returns the fields of ``way`` and of other stored keys, and those that few connections need."""
    texts = typed if typed is not None else {k: as_text(v) for k, v in stored.values.items()}

    def make(key: FormKey) -> Entry:
        is_secret = key.is_hidden or key.input == "password"
        return Entry(
            key=key,
            text="" if is_secret else texts.get(key.name, ""),
            is_kept=key.name in stored.hidden,
            problems=tuple(one for one in problems if one.field == key.name),
        )

    shown = [make(key) for key in (*way.keys, *_find_others(way, stored))]
    return shown, [make(key) for key in way.more]


def read_typed(typed: Mapping[str, str], dropped: Mapping[str, str], stored: StoredForm) -> Typed:
    """Reads the typed values. A text that shows a stored value means that value; an empty secret stays, unless it is dropped."""
    values = {
        name: stored.values[name]
        if name in stored.values and text == as_text(stored.values[name])
        else text
        for name, text in typed.items()
        if text
    }
    unchanged = [name for name in stored.hidden if name not in values and name not in dropped]
    return Typed(values=values, unchanged=unchanged)


def as_text(value: Any) -> str:
    """A stored value as a field shows it."""
    return value if isinstance(value, str) else json.dumps(value)


def _find_others(way: Way, stored: StoredForm) -> Iterator[FormKey]:
    known = {key.name for key in (*way.keys, *way.more)}
    for name in (*stored.values, *stored.hidden):
        if name not in known:
            yield FormKey(name=name, label=name, help=_UNKNOWN, is_hidden=name in stored.hidden)
