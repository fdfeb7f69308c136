"""The store's contract, on each database: atomic changes, one lease, nothing readable at rest."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import create_engine, event, inspect, select, update
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.schema import CreateTable

from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.errors import TokenStoreError, TokenUndecryptable
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.sql.engine import new_engine
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from oauth_taskflow.tokens.sql.table import GRANTS, create_schema, database_clock
from oauth_taskflow.tokens.sql.transactions import Database
from oauth_taskflow.tokens.state import transitions
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState, Journal
from tests.tokens.conftest import KEY
from tests.tokens.worker import Plan, one_token, start

_names = iter(range(1_000_000))


@pytest.fixture
def grant_key() -> str:
    """A grant that no other test uses: the PostgreSQL server is shared."""
    return f"{os.getpid():032x}{next(_names):032x}"


def fill_record(store: SqlTokenStore, grant_key: str) -> GrantRecord:
    """A record with something in every field."""
    taken = store.acquire(grant_key, owner="me", ttl=30)
    assert taken is not None
    return store.change(
        taken,
        lambda record: replace(
            record,
            conn_id="crm",
            state=GrantState.ACTIVE,
            token=Token("access-secret", 1.5, 2.5, scope="a", extras={"instance_url": "https://x"}),
            refresh_token="refresh-secret",
            alternates=("alternate-secret",),
            seeds=("mark",),
            lineage="lineage",
            journal=Journal(1, "mark", 3.5, doubtful=True),
        ),
    )


def test_a_grant_that_was_never_stored_is_empty(real_store: SqlTokenStore, grant_key: str) -> None:
    record = real_store.read(grant_key)
    assert (record.state, record.token, record.revision) == (GrantState.EMPTY, None, 0)


def test_a_stored_record_is_read_unchanged(real_store: SqlTokenStore, grant_key: str) -> None:
    wanted = fill_record(real_store, grant_key)
    found = real_store.read(grant_key)
    assert replace(found, read_at=wanted.read_at) == wanted


def test_the_lease_has_one_holder_at_a_time(real_store: SqlTokenStore, grant_key: str) -> None:
    def take(number: int) -> bool:
        return real_store.acquire(grant_key, owner=str(number), ttl=30) is not None

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(take, range(24))) == 1


def test_a_lease_runs_out_by_the_databases_clock(real_store: SqlTokenStore, grant_key: str) -> None:
    first = real_store.acquire(grant_key, owner="a", ttl=0.05)
    assert first is not None
    for _ in range(500):  # the database's clock cannot be faked
        if (taken := real_store.acquire(grant_key, owner="b", ttl=30)) is not None:
            break
        time.sleep(0.01)
    assert taken is not None
    assert (taken.lease.owner, taken.lease.fence) == ("b", first.lease.fence + 1)


def test_only_the_lease_of_the_named_fence_is_broken(
    real_store: SqlTokenStore, grant_key: str
) -> None:
    dead = real_store.acquire(grant_key, owner="dead", ttl=30)
    assert dead is not None
    fence = dead.lease.fence
    assert real_store.acquire(grant_key, owner="b", ttl=30, breaking=fence + 6) is None
    assert real_store.acquire(grant_key, owner="b", ttl=30, breaking=fence) is not None
    assert real_store.acquire(grant_key, owner="c", ttl=30, breaking=fence) is None


def test_a_released_lease_is_free(real_store: SqlTokenStore, grant_key: str) -> None:
    taken = real_store.acquire(grant_key, owner="a", ttl=30)
    assert taken is not None
    real_store.change(taken, transitions.release_lease(taken.lease, unsent=False))
    assert real_store.acquire(grant_key, owner="b", ttl=30) is not None


def test_a_holder_cannot_release_the_lease_of_its_successor(
    real_store: SqlTokenStore, grant_key: str
) -> None:
    mine = real_store.acquire(grant_key, owner="a", ttl=0)
    theirs = real_store.acquire(grant_key, owner="b", ttl=30)
    assert mine is not None
    assert theirs is not None
    real_store.change(mine, transitions.release_lease(mine.lease, unsent=False))
    assert real_store.read(grant_key).lease == theirs.lease


def test_changes_of_many_threads_are_all_kept(real_store: SqlTokenStore, grant_key: str) -> None:
    real_store.acquire(grant_key, owner="a", ttl=0)
    stale = real_store.read(grant_key)

    def add(number: int) -> None:
        real_store.change(stale, lambda r: replace(r, seeds=(*r.seeds, str(number))))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(24)))
    assert sorted(map(int, real_store.read(grant_key).seeds)) == list(range(24))


def test_a_change_to_a_forgotten_grant_ends_and_writes_nothing(
    real_store: SqlTokenStore, grant_key: str
) -> None:
    record = fill_record(real_store, grant_key)
    real_store.forget(grant_key)
    calls = iter(range(10))  # fails instead of going round for ever
    after = real_store.change(record, lambda r: replace(r, conn_id=f"crm-{next(calls)}"))
    assert (after.revision, after.state, after.conn_id) == (0, GrantState.EMPTY, "")
    assert real_store.read(grant_key).state is GrantState.EMPTY


def test_the_version_counts_secrets_and_the_revision_every_write(
    real_store: SqlTokenStore, grant_key: str
) -> None:
    before = fill_record(real_store, grant_key)
    after = real_store.change(before, lambda r: replace(r, journal=None))
    assert (after.version, after.revision) == (before.version, before.revision + 1)


def test_a_row_swapped_with_another_is_refused(real_store: SqlTokenStore, grant_key: str) -> None:
    fill_record(real_store, grant_key)
    other = grant_key[::-1]
    fill_record(real_store, other)
    with real_store._database.open_engine().begin() as connection:
        payload = connection.scalar(select(GRANTS.c.payload).where(GRANTS.c.grant_key == other))
        mine = update(GRANTS).where(GRANTS.c.grant_key == grant_key)
        connection.execute(mine.values(payload=payload))
    with pytest.raises(TokenUndecryptable):
        real_store.read(grant_key)


def test_a_forgotten_grant_is_gone_and_the_numbers_of_the_next_one_are_higher(
    real_store: SqlTokenStore, grant_key: str
) -> None:
    before = fill_record(real_store, grant_key)
    real_store.forget(grant_key)
    assert real_store.read(grant_key).state is GrantState.EMPTY
    after = fill_record(real_store, grant_key)
    assert after.revision > before.revision
    assert after.lease.fence > before.lease.fence


@pytest.mark.slow
def test_eight_processes_may_create_the_schema_at_once(real_store_url: str, tmp_path: Path) -> None:
    plan = Plan(real_store_url, KEY, "http://127.0.0.1:9/token", "")
    if real_store_url.startswith("postgresql"):
        with create_engine(real_store_url).begin() as connection:
            GRANTS.drop(connection, checkfirst=True)
    workers = [start(one_token, plan) for _ in range(8)]
    assert {pipe.recv() for _, pipe in workers} == {"ConnectionConfigError"}


def test_no_secret_is_readable_in_the_file(tmp_path: Path, grant_key: str) -> None:
    store = SqlTokenStore(f"sqlite:///{tmp_path}/t.db", [KEY])
    fill_record(store, grant_key)
    store.close()
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("t.db*"))
    assert b"secret" not in raw
    assert b"instance_url" not in raw


def test_the_sqlite_file_belongs_to_its_owner_only(tmp_path: Path, grant_key: str) -> None:
    store = SqlTokenStore(f"sqlite:///{tmp_path}/new/folder/t.db", [KEY])
    store.acquire(grant_key, owner="a", ttl=1)
    path = tmp_path / "new" / "folder" / "t.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(other.stat().st_mode) for other in path.parent.iterdir()} == {0o600}


def test_without_waiting_the_lease_is_missed_at_once_while_another_worker_writes(
    tmp_path: Path, grant_key: str
) -> None:
    """SQLite lets those who wait ask ever more rarely, so that a crowd would hold up the one with the lease."""
    store = SqlTokenStore(f"sqlite:///{tmp_path}/t.db", [KEY])
    store.acquire(grant_key, owner="a", ttl=0)
    blocker = sqlite3.connect(tmp_path / "t.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    # Waiting takes ten seconds, eight times; this thread would not come to the next line meanwhile.
    assert store.acquire(grant_key, owner="b", ttl=30, waits=False) is None
    assert store.read(grant_key).lease.owner == "a"
    blocker.execute("ROLLBACK")
    assert store.acquire(grant_key, owner="b", ttl=30, waits=False) is not None
    blocker.close()


def test_a_locked_database_is_waited_for(tmp_path: Path, grant_key: str) -> None:
    store = SqlTokenStore(f"sqlite:///{tmp_path}/t.db", [KEY])
    store.acquire(grant_key, owner="a", ttl=0)
    blocker = sqlite3.connect(tmp_path / "t.db", check_same_thread=False, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, blocker.rollback).start()
    assert store.acquire(grant_key, owner="b", ttl=30) is not None
    blocker.close()


def test_a_database_that_is_away_is_named_without_its_password(grant_key: str) -> None:
    store = SqlTokenStore("postgresql+psycopg://me:pass-word@127.0.0.1:9/db", [KEY])
    store._database._clock = _Hurry()
    with pytest.raises(TokenStoreError) as raised:
        store.read(grant_key)
    assert raised.value.retryable
    assert "at postgresql+psycopg://me:***@127.0.0.1:9/db. Check that the database" in str(
        raised.value
    )
    assert "pass-word" not in str(raised.value)


class _Hurry:
    """Real time, without the pauses."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        return None


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "The token store URL is not a database URL"),
        ("nonsense", "The token store URL is not a database URL"),
        ("oracle://host/db", "The token store cannot use 'oracle' databases"),
        ("sqlite://", "The SQLite token store needs a file"),
        ("sqlite:///:memory:", "The SQLite token store needs a file"),
    ],
)
def test_an_unusable_url_is_refused_at_once(url: str, message: str) -> None:
    with pytest.raises(TokenStoreError) as raised:
        SqlTokenStore(url, [KEY])
    assert str(raised.value) == (
        f"{message}. Set [oauth_taskflow] token_store to sqlite:///…, postgresql+psycopg://… or "
        "mysql+…://…."
    )


def test_a_relative_path_is_refused_because_each_folder_would_get_a_store() -> None:
    with pytest.raises(TokenStoreError) as raised:
        SqlTokenStore("sqlite:///tokens.db", [KEY])
    assert str(raised.value) == (
        "The path of the SQLite token store is relative (tokens.db). An absolute one has four slashes: "
        "sqlite:////var/lib/airflow/tokens.db."
    )


def test_a_missing_driver_is_named(grant_key: str) -> None:
    store = SqlTokenStore("mysql+mysqlconnector://me@127.0.0.1/db", [KEY])
    with pytest.raises(TokenStoreError, match="No driver for the token store"):
        store.read(grant_key)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, grant_key: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TokenStoreError, match="The token store file cannot be opened"):
        SqlTokenStore(f"sqlite:///{tmp_path}/file/t.db", [KEY]).read(grant_key)


def test_a_file_that_is_not_a_database_is_named(tmp_path: Path, grant_key: str) -> None:
    (tmp_path / "t.db").write_text("no database" * 100)
    with pytest.raises(TokenStoreError, match="file is not a database") as raised:
        SqlTokenStore(f"sqlite:///{tmp_path}/t.db", [KEY]).read(grant_key)
    assert not raised.value.retryable


def test_the_schema_and_clock_compile_for_mysql() -> None:
    dialect = mysql.dialect()
    assert "MEDIUMTEXT" in str(CreateTable(GRANTS).compile(dialect=dialect))
    assert "SYSDATE(6)" in str(select(database_clock("mysql")).compile(dialect=dialect))


@pytest.mark.mariadb
def test_mariadb_is_used_with_row_locks_only_in_utc_and_with_transactions(mariadb_url: str) -> None:
    database = Database(make_url(mariadb_url), SYSTEM_CLOCK)
    with database.open_engine().connect() as connection:
        settings = connection.exec_driver_sql(
            "SELECT @@time_zone, @@tx_isolation, @@idle_write_transaction_timeout"
        ).one()
        created = connection.exec_driver_sql(f"SHOW CREATE TABLE {GRANTS.name}").one()[1]
        now = connection.execute(select(database_clock("mysql"))).scalar_one()
    database.close()
    assert tuple(settings) == ("+00:00", "READ-COMMITTED", 15)
    assert "ENGINE=InnoDB" in created
    assert "utf8mb4_bin" in created
    assert now == pytest.approx(time.time(), abs=5)


@pytest.mark.parametrize(("query", "seconds"), [("", 20), ("?read_timeout=99", 99)])
def test_a_silent_server_is_waited_for_as_long_as_the_url_says_and_never_for_ever(
    query: str, seconds: int
) -> None:
    given: list[dict[str, object]] = []
    engine = new_engine(make_url(f"mysql+pymysql://me@127.0.0.1/db{query}"))

    @event.listens_for(engine, "do_connect")
    def note(_dialect: object, _record: object, _args: object, fields: dict[str, object]) -> None:
        given.append(fields)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        engine.connect()
    assert given[0]["read_timeout"] == seconds


def test_a_table_that_another_process_created_meanwhile_is_used(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/t.db"
    engine = create_engine(url)

    @event.listens_for(engine, "before_cursor_execute")
    def lose_the_race(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "CREATE TABLE" in statement:
            create_schema(create_engine(url))
            raise IntegrityError("pg_type_typname_nsp_index", None, Exception("duplicate key"))

    create_schema(engine)
    assert inspect(engine).has_table(GRANTS.name)


def test_a_table_that_cannot_be_created_is_an_error(tmp_path: Path, grant_key: str) -> None:
    sqlite3.connect(tmp_path / "t.db").close()
    engine = create_engine(f"sqlite:///file:{tmp_path}/t.db?mode=ro&uri=true")
    with pytest.raises(OperationalError, match="readonly"):
        create_schema(engine)


def test_closing_twice_does_no_harm(tmp_path: Path, grant_key: str) -> None:
    store = SqlTokenStore(f"sqlite:///{tmp_path}/t.db", [KEY])
    store.read(grant_key)
    store.close()
    store.close()
    assert store.read(grant_key).revision == 0


def test_a_forked_child_opens_new_connections(real_store: SqlTokenStore, grant_key: str) -> None:
    fill_record(real_store, grant_key)
    inherited = real_store._database._engine
    real_store._database._pid -= 1  # what a child sees: an engine that another process made
    assert real_store.read(grant_key).conn_id == "crm"
    assert real_store._database._engine is not inherited


def test_a_child_forked_before_the_first_use_starts_as_usual(real_store: SqlTokenStore) -> None:
    real_store._database._pid -= 1
    assert real_store.read("nobody").revision == 0


def test_a_row_that_another_worker_added_meanwhile_is_used(
    real_store: SqlTokenStore, grant_key: str
) -> None:
    engine = real_store._database.open_engine()

    def lose_the_race(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("INSERT"):
            raise IntegrityError("INSERT", None, Exception("duplicate key"))

    event.listen(engine, "before_cursor_execute", lose_the_race)
    assert real_store.acquire(grant_key, owner="a", ttl=30) is None
    event.remove(engine, "before_cursor_execute", lose_the_race)
    assert real_store.acquire(grant_key, owner="a", ttl=30) is not None


def test_the_repr_shows_no_password() -> None:
    store = SqlTokenStore("postgresql+psycopg://me:pass-word@db.example.com/x?sslkey=k", [KEY])
    assert repr(store) == "SqlTokenStore('postgresql+psycopg://me:***@db.example.com/x')"
    assert not store.is_local
