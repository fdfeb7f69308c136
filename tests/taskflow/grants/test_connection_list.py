"""Connections that cannot be read as they should: each is listed as far as it is known, and hides no other."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow.taskflow.grants import usage
from oauth_taskflow.taskflow.grants.connection_list import list_connections


@pytest.fixture
def foreign_row(airflow_home: Path) -> Iterator[str]:
    """A connection in the database whose extra was encrypted with another Fernet key."""
    from airflow.models import Connection as Row  # noqa: PLC0415 - needs its home first
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above
    from sqlalchemy import delete, insert  # noqa: PLC0415 - as above

    assert airflow_home.is_dir()
    table: Any = Row.__table__  # noqa: AIR311 - the ORM's
    sealed = Fernet(Fernet.generate_key()).encrypt(b'{"provider": "xero"}').decode()
    values = {"conn_id": "foreign_key", "conn_type": "oauth2", "extra": sealed}
    with create_session() as session:
        session.execute(insert(table).values(**values, is_encrypted=True, is_extra_encrypted=True))
    yield "foreign_key"
    with create_session() as session:
        session.execute(delete(table).where(table.c.conn_id == "foreign_key"))


def test_a_connection_of_another_key_is_listed_without_its_provider(foreign_row: str) -> None:
    listed = list_connections()[foreign_row]
    assert listed.summary is not None
    assert (listed.source, listed.summary.auth_type, listed.summary.provider) == (
        "database",
        "oauth2",
        "",
    )


class BrokenFiles:
    """A backend of files whose file cannot be read."""

    @property
    def _local_connections(self) -> dict[str, Any]:
        raise OSError("s3cret path")


class Files:
    """A backend of files with a connection of another package."""

    class _Postgres:
        conn_type, extra = "postgres", None

    _local_connections = {"other": _Postgres()}  # noqa: RUF012 - never changed


def test_a_backend_that_cannot_list_is_named_without_its_text(
    foreign_row: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from airflow import configuration  # noqa: PLC0415 - see above

    backends = [BrokenFiles(), Files(), *configuration.secrets_backend_list[:2]]
    monkeypatch.setattr(configuration, "secrets_backend_list", backends)
    assert foreign_row in list_connections()
    assert "BrokenFiles cannot list connections: OSError" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_dag_that_cannot_be_read_hides_no_other(
    airflow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415 - see above

    class Row:
        def __init__(self, dag_id: str, data: Any) -> None:
            self.dag_id, self._data = dag_id, data

        @property
        def data(self) -> Any:
            if isinstance(self._data, Exception):
                raise self._data
            return self._data

    rows = [
        Row("torn", zlib.error("incorrect header check")),
        Row("empty", None),
        Row("whole", {"dag": {"tasks": []}}),
    ]
    monkeypatch.setattr(SerializedDagModel, "get_latest_serialized_dags", lambda **_: rows)
    assert airflow_home.is_dir()
    assert list(usage._read_dags(["x"])) == [("empty", None), ("whole", [])]


def test_a_variable_of_a_team_is_not_shown_to_all(
    airflow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert airflow_home.is_dir()
    monkeypatch.setenv("AIRFLOW_CONN__BLUE___CRM", '{"conn_type": "oauth2"}')
    assert "_blue___crm" in list_connections()
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    assert "_blue___crm" not in list_connections()
