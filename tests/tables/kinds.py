"""The kinds of table that every test of this folder runs on: how a spec names one, and how a foreign reader sees it."""

from __future__ import annotations

import hashlib
import importlib
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
from oauth_taskflow.destinations.tables.dlt_options import DltDestination
from oauth_taskflow.destinations.tables.iceberg_options import IcebergDestination
from oauth_taskflow.destinations.transfer import TransferSummary
from tests.destinations.contract import open_local, render

TECHNICAL = ("_dag_id", "_endpoint", "_run_id", "_map_index")


class Kind(NamedTuple):
    """``options(folder, **more)`` are those of a spec, ``read(folder)`` gives all rows as another client reads them.

    Without ``is_nested``, objects and lists are JSON. ``access`` opens the places in the options.
    """

    name: str
    options: Callable[..., Any]
    read: Callable[[Path], list[dict[str, Any]]]
    is_nested: bool = True
    access: StoreAccess = StoreAccess(open_local)


def _delta_options(folder: Path, **more: Any) -> DeltaDestination:
    return DeltaDestination(path=f"{folder}/{{{{ endpoint }}}}", **more)


def _read_delta(folder: Path) -> list[dict[str, Any]]:
    from deltalake import DeltaTable  # noqa: PLC0415 - the tests of other kinds do without

    rows: list[dict[str, Any]] = DeltaTable(str(folder / "contacts")).to_pyarrow_table().to_pylist()
    return rows


def _iceberg_options(folder: Path, **more: Any) -> IcebergDestination:
    return IcebergDestination(table="crm.{{ endpoint }}", warehouse=str(folder / "lake"), **more)


def open_catalog(folder: Path) -> Any:
    """The catalog that an Iceberg destination without a connection keeps in its warehouse."""
    from pyiceberg.catalog import load_catalog  # noqa: PLC0415 - the tests of other kinds do without

    lake = folder / "lake"
    place = quote(str(lake / "catalog.db"))
    return load_catalog("default", type="sql", uri=f"sqlite:///{place}", warehouse=lake.as_uri())


def open_iceberg(folder: Path) -> Any:
    """The Iceberg table of the endpoint ``contacts``, as PyIceberg opens it."""
    return open_catalog(folder).load_table("crm.contacts")


def _read_iceberg(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = open_iceberg(folder).scan().to_arrow().to_pylist()
    return rows


def _duckdb_options(folder: Path, **more: Any) -> DltDestination:
    return _dlt_options("duckdb", str(folder / "warehouse.duckdb"), "crm", more)


def _postgres_options(folder: Path, **more: Any) -> DltDestination:
    return _dlt_options("postgres", POSTGRES[0], dataset_of(folder), more)


def _dlt_options(name: str, place: str, dataset: str, more: dict[str, Any]) -> DltDestination:
    options = {"credentials": place}
    return DltDestination(
        destination=name, dataset=dataset, table="{{ endpoint }}", options=options, **more
    )


def _read_duckdb(folder: Path) -> list[dict[str, Any]]:
    duckdb = importlib.import_module("duckdb")

    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        found = connection.execute("SELECT * FROM crm.contacts")
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _read_postgres(folder: Path) -> list[dict[str, Any]]:
    import psycopg  # noqa: PLC0415 - the tests of other kinds do without
    from psycopg.rows import dict_row  # noqa: PLC0415 - as above
    from psycopg.types.json import set_json_loads  # noqa: PLC0415 - as above

    with psycopg.connect(POSTGRES[0], row_factory=dict_row) as connection:
        set_json_loads(str_of, connection)
        rows = connection.execute(f'SELECT * FROM "{dataset_of(folder)}".contacts')
        return rows.fetchall()


def str_of(text: str | bytes) -> str:
    """JSON as it is written."""
    return text if isinstance(text, str) else text.decode()


def dataset_of(folder: Path) -> str:
    """A separate dataset for each test."""
    return f"t_{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"


# The URL of the server, once a test has asked for it.
POSTGRES: list[str] = []
KINDS = (
    Kind("delta", _delta_options, _read_delta),
    Kind("iceberg", _iceberg_options, _read_iceberg),
    Kind("dlt-duckdb", _duckdb_options, _read_duckdb, is_nested=False),
    Kind("dlt-postgres", _postgres_options, _read_postgres, is_nested=False),
)


def connect(
    kind: Kind, folder: Path, run_id: str = "r1", facts: EndpointFacts = NO_FACTS, **more: Any
) -> Destination:
    """The destination of the endpoint ``contacts`` in one run."""
    options = kind.options(folder, **more)
    found: Destination = options.connect(options.locate(render, run_id), kind.access, facts)
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
    found = [
        record if isinstance(record, msgspec.Raw) else msgspec.Raw(json.dumps(record).encode())
        for record in records
    ]
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
