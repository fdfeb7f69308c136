"""Warehouses of dlt before dlt is loaded: credentials, columns, and errors of drivers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.tables.dlt_columns import RowColumns, name_columns
from oauth_taskflow.destinations.tables.dlt_credentials import Warehouse, read_warehouse
from oauth_taskflow.destinations.tables.dlt_errors import as_dlt_errors
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import FieldType, RecordSchema
from tests.destinations.contract import open_local

KEY = '{"type": "service_account", "project_id": "crm", "private_key": "hunter2-very-secret"}'


@dataclass
class Connection:
    """An Airflow connection."""

    host: str | None = None
    schema: str | None = None
    login: str | None = None
    password: str | None = None
    port: int | None = None
    conn_id: str = "warehouse"
    conn_type: str = "generic"
    extra_dejson: dict[str, Any] = field(default_factory=dict)


def read(name: str, connection: Connection) -> Warehouse:
    return read_warehouse(name, {}, "warehouse", StoreAccess(open_local, lambda _: connection))


CREDENTIALS = {
    "a key file as text": (
        *("bigquery", Connection(extra_dejson={"keyfile_dict": KEY})),
        *("bigquery://crm", {"project_id": "crm"}),
    ),
    "a key file as a mapping": (
        *("bigquery", Connection(login="x", extra_dejson={"credentials": {"project_id": "crm"}})),
        *("bigquery://crm", {"project_id": "crm", "username": "x"}),
    ),
    "a URL": (
        *("postgres", Connection(extra_dejson={"credentials": "postgres://u:hunter2@h:5/db"})),
        *("postgres://h:5/db", "postgres://u:hunter2@h:5/db"),
    ),
    "a file as host": (
        *("duckdb", Connection(host="/data/w.duckdb")),
        *("duckdb:///data/w.duckdb", "/data/w.duckdb"),
    ),
    "a file as schema": (
        *("duckdb", Connection(schema="/data/w.duckdb")),
        *("duckdb:///data/w.duckdb", "/data/w.duckdb"),
    ),
    "a file as credentials": (
        *("ducklake", Connection(host="/x", extra_dejson={"credentials": {"catalog": "c"}})),
        *("ducklake:", {"catalog": "c"}),
    ),
}


@pytest.mark.parametrize(
    ("name", "connection", "address", "expected"), CREDENTIALS.values(), ids=CREDENTIALS
)
def test_a_connection_gives_credentials_in_any_of_their_forms(
    name: str, connection: Connection, address: str, expected: Any
) -> None:
    found = read(name, connection)
    given = found.arguments["credentials"]
    if isinstance(expected, dict):
        assert {key: given[key] for key in expected} == expected
    else:
        assert given == expected
    assert found.address == address
    assert "hunter2" not in repr(found)
    assert any("hunter2" in text for text in found.secrets) == ("hunter2" in str(given))


@pytest.mark.parametrize("name", ["", " ", "100%"])
def test_a_name_that_no_column_can_have_is_refused(name: str) -> None:
    with pytest.raises(DestinationError, match="is not a name for a column"):
        name_columns(["id", name], str.strip, "warehouse")


def test_a_field_with_the_name_of_the_number_of_rows_is_refused() -> None:
    records = RecordSchema({"_row": FieldType("integer")})
    RowColumns("my_").check_fields(records, "warehouse")
    with pytest.raises(DestinationError, match="'_row', which is a technical column"):
        RowColumns("_").check_fields(records, "warehouse")


WAREHOUSE = Warehouse("postgres", "postgres://h/db", {}, ("hunter2",))


def test_our_error_within_those_of_a_library_is_the_one_that_is_raised() -> None:
    ours = DestinationError("A record has no key", where="at x")
    wrapped = RuntimeError("step load failed")
    wrapped.__cause__ = ours
    with pytest.raises(DestinationError) as caught, as_dlt_errors("Loading", WAREHOUSE):
        raise wrapped
    assert caught.value is ours


def test_causes_that_lead_in_a_circle_end_in_one_clear_error() -> None:
    one, other = OSError("connection refused for hunter2"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    with pytest.raises(DestinationError) as caught, as_dlt_errors("Loading", WAREHOUSE):
        raise one
    assert "Loading failed" in str(caught.value)
    assert "connection refused" in str(caught.value)
    assert "hunter2" not in str(caught.value)
