"""Databases that refuse: one clear error, no secret and no record in it, and nothing visible."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg
import pytest
from msgspec.structs import replace

from oauth_taskflow.destinations.base import EndpointFacts, Run, StoreAccess
from oauth_taskflow.destinations.postgres.options import PostgresDestination
from oauth_taskflow.errors import DestinationError
from tests.destinations.postgres.tables import PASSWORD, Warehouse, ids, summary

RUN = Run("contacts", "r1", dag_id="crm")


def refused(action: Callable[[], object]) -> DestinationError:
    with pytest.raises(DestinationError) as caught:
        action()
    shown = "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in shown
    assert "vertraulich" not in shown, "a record"
    return caught.value


def open_with(postgres_url: str, **changed: Any) -> DestinationError:
    warehouse = Warehouse(postgres_url, "public", **changed)
    return refused(lambda: warehouse.destination().open(RUN))


@pytest.fixture
def stranger(warehouse: Warehouse, postgres_url: str) -> Any:
    """A login without any right, whose password is asked for by no test: the server trusts all of them."""
    name = f"u_{warehouse.schema}"
    warehouse.ask(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    yield Warehouse(postgres_url, warehouse.schema, login=name)
    warehouse.ask(f"DROP OWNED BY {name}")
    warehouse.ask(f"DROP ROLE {name}")


@pytest.mark.parametrize(
    ("changed", "said", "retryable"),
    [
        ({"host": "127.0.0.1", "port": 1}, "Connection refused", True),
        ({"host": "no-such-host.invalid"}, "no-such-host.invalid", True),
        ({"schema": "nowhere"}, 'database "nowhere" does not exist', False),
        ({"login": "nobody_here"}, 'role "nobody_here" does not exist', False),
        ({"conn_type": "http"}, "has the type 'http'", False),
        ({"extra_dejson": {"iam": True}}, "A login by iam is not supported", False),
        ({"extra_dejson": {"sslmode": "nonsense"}}, "sslmode", True),
        ({"extra_dejson": {"sslmode": "require", "cursor": "dict"}}, "SSL", True),
    ],
    ids=str,
)
def test_a_wrong_connection_is_one_clear_error(
    postgres_url: str, changed: dict[str, Any], said: str, retryable: bool
) -> None:
    error = open_with(postgres_url, **changed)
    assert said in str(error)
    assert error.retryable is retryable
    assert "\n" not in error.what
    assert error.hint


def test_a_wrong_password_is_said_without_it(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test server trusts every client, so the driver raises what a strict one answers."""

    def strict(**given: Any) -> None:
        assert given["password"] == PASSWORD
        raise psycopg.OperationalError(
            'connection failed: FATAL:  password authentication failed for user "postgres"'
        )

    monkeypatch.setattr(psycopg, "connect", strict)
    error = refused(lambda: warehouse.destination().open(RUN))
    assert str(error) == (
        'Connecting to PostgreSQL failed (connection failed: FATAL: password authentication failed for user "postgres") at '
        f"127.0.0.1:{warehouse.found.port}/postgres (connection 'warehouse'). "
        "Check login and password of the connection, the rights LOGIN and CONNECT, and the server's pg_hba.conf."
    )
    assert not error.retryable


@pytest.mark.parametrize(
    ("take", "said"),
    [
        ("ALTER ROLE {login} NOLOGIN", "is not permitted to log in"),
        ("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC", "permission denied for database"),
    ],
)
def test_a_login_that_may_not_connect_is_no_server_that_is_away(
    warehouse: Warehouse, stranger: Warehouse, take: str, said: str
) -> None:
    database = f"d_{warehouse.schema}"
    warehouse.ask(f"CREATE DATABASE {database}")
    warehouse.ask(take.format(login=stranger.found.login, database=database))
    stranger.found = replace(stranger.found, schema=database)
    error = refused(lambda: stranger.destination().open(RUN))
    warehouse.ask(f"DROP DATABASE {database}")
    assert said in str(error)
    assert "the rights LOGIN and CONNECT" in error.hint
    assert not error.retryable


def test_a_login_without_rights_on_the_schema_changes_nothing(
    warehouse: Warehouse, stranger: Warehouse
) -> None:
    error = refused(lambda: stranger.destination().open(RUN))
    assert "permission denied for database" in str(error)
    warehouse.ask(f"CREATE SCHEMA {warehouse.schema}")
    error = refused(lambda: stranger.destination().open(RUN))
    assert f"permission denied for schema {warehouse.schema}" in str(error)
    assert "Grant the rights that docs/postgres.md names" in str(error)
    assert not error.retryable
    warehouse.ask(f"GRANT CREATE, USAGE ON SCHEMA {warehouse.schema} TO {stranger.found.login}")
    stranger.pull([ids(2)])
    assert len(warehouse.column("record")) == 2


def test_a_login_without_rights_on_the_table_changes_nothing(
    warehouse: Warehouse, stranger: Warehouse
) -> None:
    warehouse.pull([ids(1)])
    warehouse.ask(f"GRANT CREATE, USAGE ON SCHEMA {warehouse.schema} TO {stranger.found.login}")
    warehouse.ask(
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {warehouse.schema}._oauth_taskflow_runs, "
        f"{warehouse.schema}._oauth_taskflow_stages TO {stranger.found.login}"
    )
    error = refused(lambda: stranger.pull([ids(1)], run="r2"))
    assert "permission denied for table contacts" in str(error)
    warehouse.ask(
        f"GRANT SELECT, INSERT, DELETE ON {warehouse.schema}.contacts TO {stranger.found.login}"
    )
    stranger.pull([ids(2)], run="r2")
    assert len(warehouse.column("record")) == 3


def test_a_database_that_refuses_a_record_names_its_number_and_not_its_content(
    warehouse: Warehouse,
) -> None:
    too_large = msgspec.Raw(b'{"secret": "vertraulich", "n": 1e200000}')
    error = refused(lambda: warehouse.pull([ids(4), [too_large]]))
    assert f"at record 5, {warehouse.schema}.contacts" in str(error)
    assert warehouse.column("record") == []
    assert warehouse.stages() == []


def test_a_disk_that_is_full_is_one_error_and_the_next_try_is_whole(warehouse: Warehouse) -> None:
    """A trigger raises what PostgreSQL raises on a full disk (53100), after some rows."""
    schema = warehouse.schema
    warehouse.pull([ids(3)])
    warehouse.ask(
        f"CREATE FUNCTION {schema}.full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF (NEW.record ->> 'id')::int = 700 THEN RAISE EXCEPTION USING errcode = '53100', "
        "message = 'could not extend file: No space left on device'; END IF; RETURN NEW; END $$"
    )
    trigger = f"CREATE TRIGGER quota BEFORE INSERT ON {schema}.contacts FOR EACH ROW EXECUTE FUNCTION {schema}.full_disk()"
    warehouse.ask(trigger)
    error = refused(lambda: warehouse.pull([ids(1000)]))
    assert "No space left on device" in str(error)
    assert "Free space on the database server" in str(error)
    assert error.retryable
    assert len(warehouse.column("record")) == 3, "the output before is whole"
    assert warehouse.stages() == []
    warehouse.ask(f"DROP TRIGGER quota ON {schema}.contacts")
    warehouse.pull([ids(1000)])
    assert len(warehouse.column("record")) == 1000


def test_a_full_disk_of_the_worker_is_said(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = warehouse.destination().open(RUN)

    def no_space(_lines: bytes, _count: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer._staged, "add", no_space)
    error = refused(lambda: writer.write(ids(1)))
    assert "could not be spooled on this machine's disk (No space left on device)" in str(error)
    writer.abort()


def test_a_table_that_another_process_holds_is_waited_for(warehouse: Warehouse) -> None:
    warehouse.pull([ids(1)])
    writer = warehouse.destination(run="r2").open(Run("contacts", "r2", dag_id="crm"))
    writer.write(ids(1))
    warehouse.found.extra_dejson["options"] = "-c lock_timeout=200"
    strict = warehouse.destination(run="r3").open(Run("contacts", "r3", dag_id="crm"))
    strict.write(ids(1))
    host, port = warehouse.found.host, warehouse.found.port
    with psycopg.connect(host=host, port=port, user="postgres") as blocker:
        blocker.execute(f"LOCK TABLE {warehouse.schema}.contacts")
        error = refused(lambda: strict.commit(summary(1)))
        assert error.retryable
        assert "lock_timeout" in error.hint
        strict.abort()
    writer.commit(summary(1))
    assert len(warehouse.column("record")) == 2


def drop(what: str) -> Callable[[Warehouse], object]:
    return lambda warehouse: warehouse.ask(f"DROP {what.format(warehouse.schema)} CASCADE")


def make_view(warehouse: Warehouse) -> None:
    warehouse.ask(f"ALTER TABLE {warehouse.schema}.contacts RENAME TO other")
    warehouse.ask(f"CREATE VIEW {warehouse.schema}.contacts AS TABLE {warehouse.schema}.other")


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (drop("TABLE {}.contacts"), "run the task again, which creates it"),
        (drop("TABLE {}._oauth_taskflow_runs"), "run the task again, which creates it"),
        (make_view, "name another one"),
    ],
    ids=["table", "register", "view"],
)
def test_a_table_that_goes_while_records_come_is_said(
    warehouse: Warehouse, change: Callable[[Warehouse], object], hint: str
) -> None:
    writer = warehouse.destination().open(RUN)
    writer.write(ids(3))
    change(warehouse)
    error = refused(lambda: writer.commit(summary(3)))
    assert hint in str(error)
    writer.abort()


def test_a_statement_that_takes_too_long_for_the_login_is_said(warehouse: Warehouse) -> None:
    warehouse.pull([ids(1)])
    warehouse.found.extra_dejson = {"options": "-c statement_timeout=200"}
    with warehouse.lock(f"{warehouse.schema}.contacts"):
        error = refused(lambda: warehouse.pull([ids(1)]))
    assert error.retryable
    assert "statement_timeout is too short" in str(error)


@pytest.mark.parametrize("layout", ["raw", "columns"])
def test_a_key_too_long_for_an_index_is_said(warehouse: Warehouse, layout: str) -> None:
    record = {"id": "".join(map(chr, range(0x4E00, 0x4E00 + 1500)))}
    facts = EndpointFacts(("id",))
    error = refused(lambda: warehouse.pull([[record]], facts, layout=layout, mode="merge"))
    assert "A key to merge by may have 2,700 bytes" in str(error)


def test_a_number_too_small_for_the_database_is_said(warehouse: Warehouse) -> None:
    error = refused(lambda: warehouse.pull([[msgspec.Raw(b'{"n": 1e-20000}')]]))
    assert "let the field be a text" in str(error)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "it is empty"),
        (".contacts", "it is empty"),
        ("a.b.c", "it has more than two parts"),
        ("x" * 64, "it is longer than 63 bytes"),
        ("a\0b", "it has a control character"),
        ("_oauth_taskflow_runs", "belong to the destination"),
    ],
)
def test_a_table_name_that_cannot_be_is_refused_before_anything_is_asked(
    table: str, said: str
) -> None:
    options = PostgresDestination(conn_id="warehouse", table=table or "x")
    with pytest.raises(DestinationError, match=said):
        replace(options, table=table).locate(lambda text: text, "r")


@pytest.mark.parametrize("value", ["other.contacts", 'x"; DROP TABLE y; --', "Ünïcode", "%s"])
def test_a_value_that_came_with_a_run_stays_one_name(warehouse: Warehouse, value: str) -> None:
    options = PostgresDestination(
        conn_id="warehouse", table=warehouse.schema + ".{{ params.target }}"
    )

    def render(template: str) -> str:
        return value if "params" in template else template

    if "." in value:
        with pytest.raises(DestinationError, match="cannot be a table: it has a dot"):
            options.locate(render, "r")
        return
    destination = options.connect(options.locate(render, "r"), warehouse.access)
    writer = destination.open(RUN)
    writer.write(ids(2))
    writer.commit(summary(2))
    names = warehouse.ask(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", warehouse.schema
    )
    assert (value,) in names


def test_a_connection_that_is_missing_is_said_before_the_pull() -> None:
    options = PostgresDestination(conn_id="warehouse", table="contacts")
    destination = options.connect(options.locate(str, "r"), StoreAccess(lambda path, _: path))
    error = refused(lambda: destination.open(RUN))
    assert "No Airflow connection can be read here, so not 'warehouse' either" in str(error)
