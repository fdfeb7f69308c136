"""Finding a connection by its id: what is said when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.taskflow.connection_source import find_connection
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
