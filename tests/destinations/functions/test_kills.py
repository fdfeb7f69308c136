"""Loads by an author's function that are killed at any write of its database, or run twice at once: each row is there once."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.destinations.base import EndpointFacts
from oauth_taskflow.destinations.python_function import PythonDestination
from tests.api.scripted import scripted
from tests.destinations.postgres.killed_pull import pull, pull_in_process
from tests.destinations.postgres.tables import Warehouse
from tests.engine.cut_off import PagedApi
from tests.tables.forked import can_kill
from tests.tables.kinds import Kind, put, read_rows
from tests.tables.lakes.attempts import Attempt, AttemptOptions, make_records, race

pytestmark = pytest.mark.slow
SINKS = "tests.destinations.functions.sinks"
MODES = ["replace_run", "merge"]
OTHERS = [("r0", 7, "other")]
EXPECTED = [f"ann-{number}" for number in range(11)]
# How often an attempt writes to the file, by mode; how many steps a pull has.
_WRITES: dict[str, int] = {}
_STEPS: list[int] = []


def _sqlite(folder: Path, **_mode: Any) -> PythonDestination:
    file = str(folder / "crm.db")
    return PythonDestination(function=f"{SINKS}.load_sqlite", size=1, options={"file": file})


def _read_sqlite(folder: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(folder / "crm.db")) as database:
        rows = database.execute("SELECT run, id, tag FROM contacts").fetchall()
    return [{"run": json.loads(run)[2], "id": number, "tag": tag} for run, number, tag in rows]


def _postgres(url: str, table: str, _folder: Path, **_mode: Any) -> PythonDestination:
    options = {"table": table, "url": url}
    return PythonDestination(function=f"{SINKS}.load_postgres", size=1, options=options)


SQLITE = Kind("sqlite", _sqlite, _read_sqlite)


def begin(folder: Path, mode: str) -> None:
    """Another run, and an earlier try of the run that is killed."""
    folder.mkdir()
    facts = EndpointFacts(("id",) if mode == "merge" else ())
    put(SQLITE, folder, [{"id": 7, "tag": "other"}], "r0", facts=facts)
    put(SQLITE, folder, [{"id": number, "tag": "old"} for number in range(3)], facts=facts)


def count_writes(folder: Path, mode: str) -> int:
    if mode not in _WRITES:
        begin(folder, mode)
        ended = Attempt(SQLITE, folder, AttemptOptions("x", mode=mode)).run()
        assert ended.startswith("won "), ended
        _WRITES[mode] = int(ended.split()[1])
    return _WRITES[mode]


def check_kill(folder: Path, mode: str, share: float) -> None:
    """Kills an attempt at one of its writes to the file, and lets two others commit after it."""
    die_at = max(1, round(count_writes(folder / "probe", mode) * share))
    place = folder / "killed"
    begin(place, mode)
    before = read_rows(SQLITE, place, "run", "id", "tag")
    killed = Attempt(SQLITE, place, AttemptOptions("new", mode=mode, die_at=die_at))
    assert killed.run() == "killed"
    whole = [*OTHERS, *(("r1", number, "new") for number in range(4))]
    assert read_rows(SQLITE, place, "run", "id", "tag") in (before, whole), die_at
    facts = EndpointFacts(("id",) if mode == "merge" else ())
    for tag, rows in (("again", 4), ("last", 5)):
        put(SQLITE, place, make_records(AttemptOptions(tag, rows)), facts=facts)
        wanted = [*OTHERS, *(("r1", number, tag) for number in range(rows))]
        assert read_rows(SQLITE, place, "run", "id", "tag") == wanted, die_at
    (place / "tmp").rmdir()
    assert [path.name for path in place.iterdir()] == ["crm.db"]


@pytest.mark.skipif(not can_kill(), reason="needs Linux and a C compiler")
@pytest.mark.parametrize("part", range(8))
def test_a_kill_at_a_write_shows_the_run_whole_or_not_at_all_and_after_the_next_once(
    tmp_path: Path, part: int
) -> None:
    check_kill(tmp_path, MODES[part % 2], (part + 1) / 8)


@pytest.mark.full
@pytest.mark.skipif(not can_kill(), reason="needs Linux and a C compiler")
@pytest.mark.parametrize("part", range(40))
@pytest.mark.parametrize("mode", MODES)
def test_a_kill_at_any_write_leaves_a_table_that_the_next_attempts_complete(
    tmp_path: Path, mode: str, part: int
) -> None:
    check_kill(tmp_path, mode, (part + 1) / 40)


def count_steps(database: str, warehouse: Warehouse, api: str) -> int:
    if not _STEPS:
        probe = create_table(warehouse, "probe")
        code, printed = pull_in_process(database, probe, "function", api, "0")
        assert code == 0
        _STEPS.append(int(printed))
    return _STEPS[0]


def create_table(warehouse: Warehouse, name: str) -> str:
    schema = f"{warehouse.schema}_{name}"
    warehouse.ask(f"CREATE SCHEMA {schema}")
    warehouse.ask(f"CREATE TABLE {schema}.rows (run text, record jsonb)")
    return schema


def check_killed_pull(database: str, warehouse: Warehouse, share: float) -> None:
    """Kills a whole pull before or after one of its statements, then lets another one finish."""
    with scripted(PagedApi("cursor", {"ann": 6})) as server:
        step = max(1, round(count_steps(database, warehouse, server.url) * share))
        options = (database, create_table(warehouse, "rows"), "function", server.url)
        assert pull_in_process(*options, str(step))[0] == -9
        assert read_ids(warehouse) in ([], EXPECTED), step
        pull(*options)
    assert read_ids(warehouse) == EXPECTED, step


def read_ids(warehouse: Warehouse) -> list[str]:
    rows = warehouse.ask(f"SELECT record ->> 'id' FROM {warehouse.schema}_rows.rows")
    return sorted((row[0] for row in rows), key=lambda name: int(name.partition("-")[2]))


@pytest.mark.parametrize("share", [0.4, 0.85, 0.95, 1.0])  # most are in the commit
def test_a_pull_that_was_killed_is_whole_after_the_next(
    postgres_url: str, warehouse: Warehouse, share: float
) -> None:
    check_killed_pull(postgres_url, warehouse, share)


@pytest.mark.full
@pytest.mark.parametrize("part", range(40))
def test_a_pull_that_was_killed_anywhere_is_whole_after_the_next(
    postgres_url: str, warehouse: Warehouse, part: int
) -> None:
    check_killed_pull(postgres_url, warehouse, (part + 1) / 40)


def test_two_attempts_of_one_run_at_once_leave_the_rows_of_one(
    postgres_url: str, warehouse: Warehouse, tmp_path: Path
) -> None:
    table = f"{warehouse.schema}.contacts"
    warehouse.ask(f"CREATE SCHEMA {warehouse.schema}")
    warehouse.ask(f"CREATE TABLE {table} (run text, record jsonb)")
    url = postgres_url.replace("+psycopg", "")
    kind = Kind("postgres", partial(_postgres, url, table), _read_sqlite)
    ends = race(kind, tmp_path, *(AttemptOptions(tag, 3) for tag in ("a", "b", "c")))
    assert [end[:3] for end in ends] == ["won"] * 3
    found = warehouse.ask(f"SELECT record ->> 'tag', record -> 'id' FROM {table} ORDER BY 2")
    assert found == [(found[0][0], number) for number in range(3)]
