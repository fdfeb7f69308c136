"""The contract of every kind of destination. A new kind is checked by one call of ``check_destination``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.destinations.base import (
    Destination,
    DestinationKind,
    Run,
    StoreAccess,
    find_no_connection,
)
from oauth_taskflow.destinations.transfer import transfer

_NAME = re.compile(r"\{\{ (endpoint|dag_id)[^}]*\}\}")
RECORDS: list[Any] = [{"id": number, "name": f"n{number}"} for number in range(5)]


def find_gaps(kind: type[Any], destination: type[Any]) -> list[str]:
    """Returns the members of the two protocols that a kind and its destination lack."""
    pairs = ((DestinationKind, kind), (Destination, destination))
    return [
        f"{made.__name__}.{name}"
        for protocol, made in pairs
        for name, member in vars(protocol).items()
        if not name.startswith("_") and member is not None and not hasattr(made, name)
    ]


def open_local(path: str, _conn_id: str | None) -> Path:
    """Opens a path of this machine."""
    return Path(path)


def render(template: str) -> str:
    """Fills in the endpoint and an empty ``dag_id``, as for the runs below."""
    return _NAME.sub(lambda match: "contacts" if match[1] == "endpoint" else "", template)


def as_given(record: Any) -> Any:
    """Returns a record as most destinations read it back."""
    return record


def as_texts(record: dict[str, Any]) -> dict[str, str]:
    """Returns a record as a format without types reads it back."""
    return {name: str(value) for name, value in record.items()}


class Checked(NamedTuple):
    """The kind under test, what it reads back of a record, and the ways to its store."""

    kind: type[Any]
    read_back: Callable[[Any], Any]
    access: StoreAccess


def check_destination(
    options: Any,
    read_back: Callable[[Any], Any] = as_given,
    find_connection: Callable[[str], Any] = find_no_connection,
) -> None:
    """Writes, describes, reads back, replaces and removes, as the engine does; ``read_back`` is what became of a record."""
    kind, access = type(options), StoreAccess(open_local, find_connection)
    checked = Checked(kind, read_back, access)
    assert options.address
    assert set(options.templates()) <= set(kind.__struct_fields__)
    destination = options.connect(options.locate(render, "manual__1"), access)
    assert find_gaps(kind, type(destination)) == []

    manifests = {index: write(checked, destination, index) for index in (0, 1, -1)}
    again = write(checked, destination, 0)
    assert again == manifests[0], "a re-run replaces its own output"

    kept: Mapping[int, str | None] = {0: manifests[0], -1: None}
    assert destination.remove_stale(kept) == 1
    assert destination.remove_stale(kept) == 0
    aborted = destination.open(Run("contacts", "manual__1", map_index=2))
    aborted.write(RECORDS)
    aborted.abort()
    assert destination.remove_stale(kept) == 0, "an aborted writer left something"


def write(checked: Checked, destination: Destination, map_index: int) -> str:
    """Commits the records as one task instance, checks what reads them back, and returns the manifest."""
    run = Run("contacts", "manual__1", map_index=map_index)
    pages = [Page(RECORDS[:3], 1, "", 0), Page(RECORDS[3:], 1, "", 1)]
    output = transfer(pages, destination, run)
    assert (output.run, output.summary.rows) == (run, len(RECORDS))
    described = destination.describe(output)
    assert sum(part.rows for part in described.parts) == len(RECORDS)
    (part,) = described.parts
    expected = [checked.read_back(record) for record in RECORDS]
    reader = checked.kind.connect_for_reading(described.conn_id, checked.access)
    for place in (destination, reader):
        where = {"host": part.host, "selector": part.selector}
        assert list(place.read(part.path, 0, part.rows, **where)) == expected
        assert list(place.read(part.path, 1, 2, **where)) == expected[1:3]
    return described.manifest
