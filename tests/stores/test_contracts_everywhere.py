"""Contracts, quarantine, several destinations and reading back, from pages of an API to every kind of destination."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

pytest.importorskip(
    "s3fs", reason="object stores are tested in .venv-services (scripts/test-services)"
)
pytest.importorskip("deltalake")

from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.destinations.postgres.options import PostgresDestination
from oauth_taskflow.destinations.python_function import PythonDestination
from oauth_taskflow.destinations.tables.delta_options import DeltaDestination
from oauth_taskflow.destinations.tables.iceberg_options import IcebergDestination
from oauth_taskflow.engine.output_records import EndpointRecords
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.engine.summary import EndpointSummary
from oauth_taskflow.errors import DestinationError, InvalidRecord
from oauth_taskflow.specs.windows import Interval
from tests.api.scripted import scripted
from tests.destinations.postgres.tables import Warehouse
from tests.engine.yaml_run import read_endpoint, utc
from tests.stores.lakes.kinds import find_catalog, place_of
from tests.stores.opener import open_folder
from tests.support.auth import bearer_auth
from tests.support.lanes import gate_and_full
from tests.tables.kinds import KINDS, POSTGRES

SPEC = """
request: {path: /items}
records: data
paginate: {type: next_url, next: next}
primary_key: id
"""
# {columns} and {types} are modes.
CONTRACT = "contract: {columns: COLUMNS, types: TYPES, schema: {fields: {id: integer, v: text}}}\n"
# In the gate each kind of destination, each format, each store and each layout is there once.
GATE = (
    "delta",
    "iceberg s3",
    "disk jsonl.gz",
    "disk csv",
    "disk arrow",
    "s3 parquet",
    "abfs jsonl",
    "raw",
    "columns",
    "dlt-duckdb",
    "python",
)
FULL = (
    "iceberg",
    "delta s3",
    "disk jsonl.zst",
    "s3 jsonl",
    "abfs parquet",
    "dlt-postgres",
)


class Place:
    """A destination of this test alone, and the access to it and to the folder of rejected records."""

    def __init__(self, name: str, folder: Path, warehouse: Warehouse) -> None:
        self.folder, self._warehouse = folder, warehouse
        self._is_text = name.endswith("csv")
        self.options = self.find(name)
        self.access = StoreAccess(self._open, self._find_connection)

    def find(self, name: str) -> Any:
        """The options of the destination ``name`` of ``GATE`` or ``FULL``."""
        kind, _, more = name.partition(" ")
        store = place_of(self.folder) if more == "s3" else str(self.folder)
        if kind == "delta":
            return DeltaDestination(path=f"{store}/{{{{ endpoint }}}}")
        if kind == "iceberg":
            catalog = f"sqlite:///{self.folder / 'catalog.db'}" if more else None
            return IcebergDestination(
                table="crm.{{ endpoint }}", warehouse=store, catalog_conn_id=catalog
            )
        if kind in {"disk", "s3", "abfs"}:
            base = str(self.folder) if kind == "disk" else place_of(self.folder, kind)
            return FileDestination(path=f"{base}/files/{{{{ endpoint }}}}", format=more)
        if kind == "python":
            return PythonDestination(function="tests.destinations.author_sinks.Memory")
        if kind.startswith("dlt"):
            return next(each for each in KINDS if each.name == kind).options(self.folder)
        return PostgresDestination(
            conn_id="warehouse",
            table=f"{self._warehouse.schema}.{{{{ endpoint }}}}",
            layout=kind,  # type: ignore[arg-type]  # a layout
        )

    def _open(self, path: str, _conn_id: str | None) -> Any:
        return open_folder(path) if "://" in path else Path(path)

    def _find_connection(self, conn_id: str) -> Any:
        return self._warehouse.found if conn_id == "warehouse" else find_catalog(conn_id)

    def pull(
        self, spec: str, *pages: list[Any], run_id: str = "r1", name: str = "items", **more: Any
    ) -> EndpointSummary:
        """Runs the endpoint as a task does; ``name`` is that of its table or folder."""
        text = SPEC + spec
        if "discard_row" in spec or "quarantine" in spec:
            text += f'quarantine: {{path: "{self.folder}/rejected"}}\n'
        endpoint = replace(read_endpoint(text), destination=self.options, **more)
        run = EndpointRun(
            name=name,
            endpoint=endpoint,
            run_id=run_id,
            template_context={"endpoint": name, "dag_id": "crm", "params": {}},
            interval=Interval(None, utc(2026, 1, 1)),
            access=self.access,
        )

        def answer(asked: Any) -> Any:
            number = int(asked.query.get("at", 0))
            following = f"/items?at={number + 1}" if number + 1 < len(pages) else None
            return {"data": pages[number], "next": following}

        with scripted(answer) as api, OAuthSession(api.url, bearer_auth("t")) as session:
            return run_endpoint(run, session)

    def read(self, summary: Any) -> list[dict[str, Any]]:
        """The records that a summary names, without the fields that are null, in the order of their ids."""
        given = summary if isinstance(summary, dict) else summary.as_dict()
        found = EndpointRecords("items", [given], self.access)
        read = [self._undo_text(row) for row in found]
        table = [self._undo_text(row) for row in found.arrow().to_pylist()]
        assert sorted(row["id"] for row in table) == sorted(row["id"] for row in read)
        rows = [{k: v for k, v in row.items() if v is not None} for row in read]
        return sorted(rows, key=lambda row: row["id"])

    def _undo_text(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row of CSV, which says no types, with the values that its texts write."""
        return {k: _value_of(v) for k, v in row.items()} if self._is_text else row

    def rejected(self, run_id: str = "r1") -> list[Any]:
        """The records in quarantine."""
        (part,) = (self.folder / "rejected" / f"run_id={run_id}").glob("part-*")
        return [json.loads(line)["record"] for line in part.read_bytes().splitlines()]


def _value_of(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text


@pytest.fixture(params=gate_and_full(GATE, FULL))
def place(
    request: pytest.FixtureRequest, servers: None, tmp_path: Path, postgres_url: str
) -> Place:
    """Each destination in turn."""
    if request.param in {"raw", "columns"}:
        pytest.importorskip("psycopg")
    if request.param.startswith("dlt"):
        pytest.importorskip("dlt")
        POSTGRES[:] = [postgres_url.replace("+psycopg://postgres@", "://postgres:trusted@")]
    return Place(request.param, tmp_path, Warehouse(postgres_url, f"t{secrets.token_hex(6)}"))


def contract(columns: str, types: str) -> str:
    return CONTRACT.replace("COLUMNS", columns).replace("TYPES", types)


def test_what_a_contract_discards_is_in_quarantine_and_nowhere_else(place: Place) -> None:
    spec = contract("discard_value", "discard_row")
    pages: list[list[Any]] = [
        [{"id": 1, "v": "a", "new": 1}, {"id": 2, "v": 7}],
        [{"id": 3, "v": "c"}],
    ]
    for _ in range(2):
        done = place.pull(spec, *pages)
        assert (done.rows, done.rejected, done.discarded) == (2, 1, {"new": 1})
        assert place.read(done) == [{"id": 1, "v": "a"}, {"id": 3, "v": "c"}]
        assert place.rejected() == [{"id": 2, "v": 7}]


# By the modes of columns and types: what is written, how many records are rejected, and what is left out.
MODES: dict[tuple[str, str], tuple[list[Any], int, dict[str, int]]] = {
    ("discard_row", "discard_value"): ([{"id": 2, "v": "b"}, {"id": 3}], 1, {"v": 1}),
    ("evolve", "discard_row"): ([{"id": 1, "v": "a", "new": 1}, {"id": 2, "v": "b"}], 1, {}),
    ("discard_value", "evolve"): (
        [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}, {"id": 3, "v": 7}],
        0,
        {"new": 1},
    ),
}


def test_columns_and_types_have_modes_of_their_own(place: Place) -> None:
    pages: list[list[Any]] = [[{"id": 1, "v": "a", "new": 1}, {"id": 2, "v": "b"}]]
    for (columns, types), (rows, rejected, discarded) in MODES.items():
        name = f"{columns}_{types}"
        done = place.pull(contract(columns, types), *pages, [{"id": 3, "v": 7}], name=name)
        assert place.read(done) == rows, name
        assert (done.rejected, done.discarded or {}) == (rejected, discarded), name


def test_failed_casts_are_in_quarantine(place: Place) -> None:
    spec = "fields: {cast: {n: integer}, on_error: quarantine}\n"
    done = place.pull(spec, [{"id": 1, "n": "5"}, {"id": 2, "n": "x"}])
    assert (done.rejected, place.read(done)) == (1, [{"id": 1, "n": 5}])
    assert place.rejected() == [{"id": 2, "n": "x"}]


@pytest.mark.parametrize("page", [{"id": 2, "new": 1}, {"id": 2, "v": 7}])
def test_a_frozen_contract_changes_nothing(place: Place, page: Any) -> None:
    spec = contract("freeze", "freeze")
    kept = place.pull(spec, [{"id": 1, "v": "a"}])
    with pytest.raises(InvalidRecord, match="schema"):
        place.pull(spec, [{"id": 3, "v": "b"}], [page])
    assert place.read(kept) == [{"id": 1, "v": "a"}]
    again = place.pull(spec, [{"id": 4, "v": "d"}])
    assert place.read(again) == [{"id": 4, "v": "d"}]


def test_an_evolving_contract_takes_new_fields_within_a_run_and_between_runs(place: Place) -> None:
    pages: list[list[Any]] = [[{"id": 1}], [{"id": 2, "new": {"a": 1}}]]
    first = place.pull("contract: evolve\n", *pages)
    rows: list[Any] = [{"id": 5, "new": {"a": 2}, "more": "x"}]
    second = place.pull("contract: evolve\n", rows, run_id="r2")
    assert place.read(second) == rows
    assert place.read(first) == [{"id": 1}, {"id": 2, "new": {"a": 1}}]
    assert set((second.schema or {})["properties"]) >= {"id", "new", "more"}


@pytest.mark.parametrize("table", ["delta", "iceberg s3", "columns"])
def test_a_table_and_files_in_a_store_get_each_run_together(
    servers: None, tmp_path: Path, postgres_url: str, table: str
) -> None:
    place = Place(table, tmp_path, Warehouse(postgres_url, f"t{secrets.token_hex(6)}"))
    both = [place.options, place.find("s3 parquet")]
    place.options = None
    runs: list[list[Any]] = [[{"id": 1}, {"id": 2}], [{"id": 3}]]
    for rows in runs:
        done = place.pull("", rows, destinations=both)
        assert place.read(done) == rows
        (further,) = done.further
        assert place.read(to_builtins(further)) == rows

    def fail(*_: Any) -> None:
        raise OSError("the store is away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("oauth_taskflow.destinations.object_folder.ObjectAttempt.publish", fail)
        with pytest.raises(DestinationError, match="the store is away"):
            place.pull("", [{"id": 9}], destinations=both)
    assert place.read(done) == [{"id": 3}], "the table is the first, and commits last"
    last = place.pull("", [{"id": 9}], destinations=both)
    assert place.read(last) == place.read(to_builtins(last.further[0])) == [{"id": 9}]
