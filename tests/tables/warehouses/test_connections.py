"""Connections to a warehouse: credentials, clear errors, and nothing of dlt next to it."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from oauth_taskflow.destinations.base import Run, StoreAccess
from oauth_taskflow.destinations.tables.dlt_options import DltDestination
from oauth_taskflow.errors import DestinationError
from tests.destinations.contract import open_local, render
from tests.tables.kinds import KINDS, POSTGRES, Kind, connect, put, read_rows, summary_of
from tests.tables.warehouses.support import PASSWORD, Connection

pytest.importorskip("dlt")


def test_a_duckdb_file_that_another_process_has_open_is_one_clear_error(tmp_path: Path) -> None:
    kind = next(kind for kind in KINDS if kind.name == "dlt-duckdb")
    put(kind, tmp_path, [{"id": 1}], "r0")
    code = f"import duckdb; c = duckdb.connect({str(tmp_path / 'warehouse.duckdb')!r}); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(DestinationError, match="one process at a time"):
            put(kind, tmp_path, [{"id": 2}], "r1")
        other.communicate(b"\n")
    assert read_rows(kind, tmp_path, "id") == [(1,)]


@pytest.mark.parametrize("wrong", ["password", "host", "database"])
def test_wrong_credentials_are_one_clear_error_without_a_secret(
    tmp_path: Path, postgres: Kind, wrong: str
) -> None:
    server = urlsplit(POSTGRES[0])
    connection = Connection(
        conn_id="warehouse",
        conn_type="postgres",
        host="127.0.0.1",
        port=1 if wrong == "host" else server.port,
        login="nobody" if wrong == "password" else "postgres",
        password=PASSWORD,
        schema="missing" if wrong == "database" else "postgres",
        extra_dejson={},
    )
    options = DltDestination(
        destination="postgres", dataset="crm", table="contacts", conn_id="warehouse"
    )
    access = StoreAccess(open_local, lambda _: connection)
    destination = options.connect(options.locate(render, "r1"), access)
    with pytest.raises(DestinationError) as caught:
        destination.open(Run("contacts", "r1"))
    shown = "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in shown
    assert "Opening the table failed" in str(caught.value)
    assert "postgres://127.0.0.1:" in str(caught.value)


def test_a_connection_gives_the_credentials(tmp_path: Path, postgres: Kind) -> None:
    server = urlsplit(POSTGRES[0])
    connection = Connection(
        conn_id="warehouse",
        conn_type="postgres",
        host="127.0.0.1",
        port=server.port,
        login="postgres",
        password=PASSWORD,
        schema="postgres",
        extra_dejson={"credentials": {"connect_timeout": 5}, "sslmode": "other"},
    )
    options = DltDestination(
        destination="postgres", dataset="by_conn", table="contacts", conn_id="warehouse"
    )
    access = StoreAccess(open_local, lambda _: connection)
    destination = options.connect(options.locate(render, "r1"), access)
    writer = destination.open(Run("contacts", "r1"))
    writer.write([{"id": 1}])
    described = destination.describe(writer.commit(summary_of(1)))
    assert described.dataset == f"postgres://127.0.0.1:{server.port}/postgres/by_conn/contacts"
    assert PASSWORD not in repr(described) + destination.locate_manifest(Run("c", "r1")).path
    reader = DltDestination.connect_for_reading("warehouse", access)
    part = described.parts[0]
    assert list(reader.read(part.path, 0, 1, selector=part.selector)) == [{"id": 1}]


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("filesystem", {"bucket_url": "{}"}, "cannot replace rows"),
        ("sqlalchemy", {"credentials": "sqlite:///{}/crm.db"}, "SQLite rounds decimals"),
        ("dlt.destinations.sqlalchemy", {"credentials": "sqlite:///{}/crm.db"}, "JSON as a text"),
    ],
)
def test_a_destination_that_would_lose_rows_or_values_is_refused_before_the_pull(
    tmp_path: Path, name: str, options: dict[str, str], reason: str
) -> None:
    place = {key: value.format(tmp_path) for key, value in options.items()}
    chosen = DltDestination(destination=name, dataset="main", table="contacts", options=place)
    destination = chosen.connect(chosen.locate(render, "r1"), StoreAccess(open_local))
    with pytest.raises(DestinationError, match=reason):
        destination.open(Run("contacts", "r1"))
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_duckdb_would_split_is_refused_before_the_pull(tmp_path: Path) -> None:
    kind = next(kind for kind in KINDS if kind.name == "dlt-duckdb")
    with pytest.raises(DestinationError, match="no path with a question mark"):
        connect(kind, tmp_path / "a?b").open(Run("contacts", "r1"))
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_destination_is_named(tmp_path: Path) -> None:
    options = DltDestination(destination="duckbd", dataset="crm", table="contacts")
    destination = options.connect(options.locate(render, "r1"), StoreAccess(open_local))
    with pytest.raises(DestinationError, match="duckbd"):
        destination.open(Run("contacts", "r1"))


def test_nothing_is_read_from_or_written_to_what_dlt_uses_elsewhere(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".dlt").mkdir(parents=True)
    (tmp_path / ".dlt").mkdir()
    for folder in (home, tmp_path):
        (folder / ".dlt" / "config.toml").write_text(
            "[runtime]\ndlthub_telemetry=true\n[schema]\nnaming='direct'\n"
        )
        (folder / ".dlt" / "secrets.toml").write_text(
            "[destination.duckdb]\ncredentials='other.duckdb'\n"
        )
    before = sorted(tmp_path.rglob("*"))
    environment = {
        **os.environ,
        "HOME": str(home),
        "DLT_DATA_DIR": str(home / "data"),
        "DESTINATION__DUCKDB__CREDENTIALS": str(tmp_path / "environment.duckdb"),
        "SCHEMA__NAMING": "direct",
        "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
    }
    code = (
        "from pathlib import Path; from tests.tables.kinds import KINDS, put; import socket;"
        "socket.getaddrinfo = socket.socket.connect = None;"
        "put(next(k for k in KINDS if k.name == 'dlt-duckdb'), Path(), [{'firstName': 1}])"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)
    new = {path.name for path in set(tmp_path.rglob("*")) - set(before)}
    assert new == {"warehouse.duckdb"}
    assert read_rows(next(k for k in KINDS if k.name == "dlt-duckdb"), tmp_path, "first_name") == [
        (1,)
    ]
