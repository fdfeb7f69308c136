"""Parquet files of pulls through the engine as DuckDB and pyarrow read them: every row and column of one run and of several."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.specs.model import Endpoint, Request
from oauth_taskflow.specs.windows import Interval
from tests.api.pull.styles import STYLES, WithoutSockets
from tests.api.scripted import Asked, Reply
from tests.destinations.arrow.wider_run import shrink_groups
from tests.support.auth import bearer_auth

duckdb = pytest.importorskip(
    "duckdb", reason="lakes are tested in .venv-services (scripts/test-services)"
)

END = datetime(2026, 1, 4, tzinfo=timezone.utc)
# One value of each kind that JSON, Parquet and DuckDB have in common; later pages widen what earlier ones said.
FIRST: list[list[dict[str, Any]]] = [
    [{"id": 1, "name": "ann"}, {"id": 2, "name": None}, {"id": 3}],
    [{"id": 4, "name": "é\u0000x", "score": 1}, {"id": 5, "score": -7}],
    [{"id": 6, "score": 1.5, "tags": []}, {"id": 7, "owner": {"id": 1}}],
    [{"id": 8, "tags": ["a", None], "owner": {"id": 2, "mail": "m@x"}}, {"id": 9, "ok": True}],
    [{"id": 2**53 + 1, "at": "2026-01-01T00:00:00Z"}, {"id": 2**63 - 1}, {"id": 12}],
]
SECOND: list[list[dict[str, Any]]] = [
    [{"id": 20, "late": "new", "score": 0.1}, {"id": 21, "owner": {"more": [1, 2]}}],
    [{"id": 22, "name": "b", "tags": ["c"]}, {"id": 23}],
]


def pull(folder: Path, run_id: str, file_format: str, pages: Sequence[Sequence[Any]]) -> Path:
    """Pulls ``pages`` through the engine, and returns the folder of the run."""

    def api(asked: Asked) -> Reply:
        at = int(asked.query.get("at", 0))
        more = {"next": str(at + 1)} if at + 1 < len(pages) else {}
        return Reply(json.dumps({"items": pages[at], **more}).encode())

    endpoint = Endpoint(
        request=Request(path="/rows"),
        records="items",
        paginate=STYLES["cursor"](),
        destination=FileDestination(path=str(folder / file_format), format=file_format),
    )
    run = EndpointRun(
        name="rows",
        endpoint=endpoint,
        run_id=run_id,
        template_context={},
        interval=Interval(None, END),
        access=StoreAccess(lambda path, _conn_id: Path(path)),
    )
    retry = RetryPolicy(attempts=1)
    session = OAuthSession("https://api.example.com", bearer_auth("t"), retry=retry)
    session.mount("https://", WithoutSockets(api))
    with session:
        return Path(run_endpoint(run, session).manifest).parent


def files_of(folder: Path) -> list[str]:
    manifest = json.loads((folder / "_manifest.json").read_bytes())
    return [str(folder / file["name"]) for file in manifest["files"]]


def read_lines(folder: Path) -> list[Any]:
    return [
        json.loads(line)
        for name in files_of(folder)
        for line in Path(name).read_bytes().splitlines()
    ]


def without_nulls(value: Any) -> Any:
    """A row without what is null: a column cannot distinguish it from an absent field."""
    if isinstance(value, dict):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def compare(found: list[dict[str, Any]], expected: list[Any]) -> None:
    """Compares row by row, and types too: 1 is not 1.5's 1.0 where JSON has 1, but it is equal to it."""
    by_id = {row["id"]: without_nulls(row) for row in found}
    assert len(by_id) == len(found) == len(expected)
    assert by_id == {row["id"]: without_nulls(row) for row in expected}


def ask_duckdb(files: list[str], options: str = "") -> list[dict[str, Any]]:
    # With the folder's name run_id=… it makes a further column of the id of the run.
    options = f", hive_partitioning = false{options}"
    found = duckdb.sql(f"SELECT * FROM read_parquet({files!r}{options})")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


@pytest.fixture
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink_groups(monkeypatch.setattr)


@pytest.mark.usefixtures("_small_groups")
@pytest.mark.parametrize("pages", [FIRST, FIRST[::-1], SECOND], ids=["first", "back", "second"])
def test_readers_that_take_the_first_file_for_all_read_a_run_that_widened(
    tmp_path: Path, pages: list[list[Any]]
) -> None:
    files = files_of(pull(tmp_path, "r1", "parquet", pages))
    assert len(files) > 1
    expected = read_lines(pull(tmp_path, "r1", "jsonl", pages))
    assert expected == [record for page in pages for record in page]
    compare(ask_duckdb(files), expected)
    compare(pa.dataset.dataset(files).to_table().to_pylist(), expected)
    fields = {name for record in expected for name in record}
    assert set(ask_duckdb(files)[0]) == fields


@pytest.mark.usefixtures("_small_groups")
@pytest.mark.parametrize("order", [(FIRST, SECOND), (SECOND, FIRST)], ids=["grows", "shrinks"])
def test_several_runs_are_one_table_for_readers_that_unite_them(
    tmp_path: Path, order: tuple[Any, Any]
) -> None:
    files: list[str] = []
    expected: list[Any] = []
    for number, pages in enumerate(order):
        files += files_of(pull(tmp_path, f"r{number}", "parquet", pages))
        expected += read_lines(pull(tmp_path, f"r{number}", "jsonl", pages))
    compare(ask_duckdb(files, ", union_by_name = true"), expected)
    schemas = [pa.parquet.read_schema(file).remove_metadata() for file in files]
    schema = pa.unify_schemas(schemas, promote_options="permissive")
    compare(pa.dataset.dataset(files, schema=schema).to_table().to_pylist(), expected)


def test_a_glob_over_runs_names_each_run(tmp_path: Path) -> None:
    for number, pages in enumerate((FIRST, SECOND)):
        pull(tmp_path, f"r{number}", "parquet", pages)
    found = duckdb.sql(
        f"SELECT run_id, count(*) FROM read_parquet('{tmp_path}/parquet/*/*.parquet', "
        "union_by_name = true, hive_partitioning = true) GROUP BY ALL ORDER BY ALL"
    )
    counts = [sum(map(len, pages)) for pages in (FIRST, SECOND)]
    assert found.fetchall() == [("r0", counts[0]), ("r1", counts[1])]
