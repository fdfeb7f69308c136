"""The kinds of table that every test of this folder runs on: how a spec names one, and how a foreign reader sees it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from oauth_taskflow.destinations.base import (
    NO_FACTS,
    Description,
    Destination,
    EndpointFacts,
    Run,
    StoreAccess,
)
from oauth_taskflow.destinations.tables.delta_options import DeltaDestination
from oauth_taskflow.destinations.tables.iceberg_options import IcebergDestination
from oauth_taskflow.destinations.transfer import TransferSummary
from tests.destinations.contract import open_local, render

TECHNICAL = ("_dag_id", "_endpoint", "_run_id", "_map_index")


class Kind(NamedTuple):
    """``options(folder, **more)`` are those of a spec, ``read(folder)`` gives all rows as another client reads them."""

    name: str
    options: Callable[..., Any]
    read: Callable[[Path], list[dict[str, Any]]]


def _delta_options(folder: Path, **more: Any) -> DeltaDestination:
    return DeltaDestination(path=f"{folder}/{{{{ endpoint }}}}", **more)


def _read_delta(folder: Path) -> list[dict[str, Any]]:
    from deltalake import DeltaTable  # noqa: PLC0415 - the tests of other kinds do without

    rows: list[dict[str, Any]] = DeltaTable(str(folder / "contacts")).to_pyarrow_table().to_pylist()
    return rows


def _iceberg_options(folder: Path, **more: Any) -> IcebergDestination:
    return IcebergDestination(table="crm.{{ endpoint }}", warehouse=str(folder / "lake"), **more)


def _read_iceberg(folder: Path) -> list[dict[str, Any]]:
    from pyiceberg.catalog import load_catalog  # noqa: PLC0415 - the tests of other kinds do without

    place = quote(str(folder / "lake" / "catalog.db"))
    catalog = load_catalog("default", type="sql", uri=f"sqlite:///{place}")
    rows: list[dict[str, Any]] = catalog.load_table("crm.contacts").scan().to_arrow().to_pylist()
    return rows


KINDS = (
    Kind("delta", _delta_options, _read_delta),
    Kind("iceberg", _iceberg_options, _read_iceberg),
)


def connect(
    kind: Kind, folder: Path, run_id: str = "r1", facts: EndpointFacts = NO_FACTS, **more: Any
) -> Destination:
    """The destination of the endpoint ``contacts`` in one run."""
    options = kind.options(folder, **more)
    found: Destination = options.connect(
        options.locate(render, run_id), StoreAccess(open_local), facts
    )
    return found


def put(
    kind: Kind,
    folder: Path,
    records: Iterable[Any],
    run_id: str = "r1",
    *,
    map_index: int = -1,
    facts: EndpointFacts = NO_FACTS,
    **more: Any,
) -> Description:
    """Commits records as one task instance does, undecoded."""
    destination = connect(kind, folder, run_id, facts, **more)
    writer = destination.open(Run("contacts", run_id, map_index=map_index))
    found = [msgspec.Raw(json.dumps(record).encode()) for record in records]
    try:
        writer.write(found)
        return destination.describe(writer.commit(summary_of(len(found))))
    except BaseException:
        writer.abort()
        raise


def summary_of(rows: int) -> TransferSummary:
    """The figures of a pull of so many rows."""
    return TransferSummary(
        rows=rows,
        pages=1,
        received_bytes=1,
        dropped=0,
        watermark=None,
        started="",
        finished="",
        seconds=0.0,
    )


def read_rows(kind: Kind, folder: Path, *names: str) -> list[tuple[Any, ...]]:
    """The values of columns in all rows, sorted as text."""
    found = [tuple(row.get(name) for name in names) for row in kind.read(folder)]
    return sorted(found, key=repr)
