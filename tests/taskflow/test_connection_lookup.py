"""Finding a connection by its id, and the error if it does not exist."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.taskflow.connection_lookup import find_connection, read_settings
from tests.support.measured import measure_child
from tests.taskflow.conftest import SetConnection
from tests.taskflow.test_write_back import StoredConnection


def test_a_connection_of_a_similar_name_is_suggested(
    airflow_home: Path, set_connection: SetConnection
) -> None:
    assert airflow_home.is_dir()
    set_connection("sales_crm", "oauth2://a.example")
    stored = StoredConnection("warehouse", {"conn_type": "oauth2", "extra": {}})
    try:
        for asked, meant in (("sale_crm", "sales_crm"), ("Warehouse_", "warehouse")):
            with pytest.raises(ConnectionConfigError, match=rf"Did you mean '{meant}'\? Add it in"):
                find_connection(asked)
    finally:
        stored.delete()


OUT_OF_REACH = """
from oauth_taskflow import OAuth2Hook
from oauth_taskflow.errors import ConnectionConfigError
try:
    OAuth2Hook(http_conn_id="crm").get_conn()
except ConnectionConfigError as error:
    print(error)
"""


def test_a_machine_without_the_metadata_database_says_so_and_not_that_the_connection_is_missing(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_REACH],
        env=measure_child({"AIRFLOW_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}),
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout.strip()
    assert said.startswith(
        "Connection 'crm' is not in this machine's variables and secrets backends, and Airflow's metadata database, "
        "which may hold it, cannot be read from here (OperationalError: no such table: connection). "
    )
    assert said.endswith(
        "Run this on the machine of the scheduler or the API server, in broker mode of the API server, or set "
        "AIRFLOW_CONN_CRM here."
    )


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        (
            "oauth2://id:pw@api.example.com/https?token_url=https%3A%2F%2Fi.d%2Ft",
            "https://api.example.com",
        ),
        (
            "oauth2://id:pw@https%3A%2F%2Fapi.example.com%2Fv3/?token_url=https%3A%2F%2Fi.d%2Ft",
            "https://api.example.com/v3",
        ),
        (
            "oauth2://id:pw@api.example.com:99/?token_url=https%3A%2F%2Fi.d%2Ft",
            "https://api.example.com:99",
        ),
    ],
)
def test_connection_uris_are_read_too(uri: str, url: str) -> None:
    from airflow.sdk import Connection  # noqa: PLC0415 - Airflow needs its home first

    assert read_settings(Connection.from_uri(uri, conn_id="crm")).base_url == url
