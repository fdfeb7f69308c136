"""One API server under Airflow's FAB auth manager for all tests here: a user of each of its roles, and of some made here."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from oauth_taskflow.testing import OAuthTestServer
from tests.browser.conftest import chromium
from tests.browser.server import ApiServer, Deployment

__all__ = ["chromium"]

READS_RUNS = ["can_read DAG Runs", "can_read Task Instances", "can_read XComs"]
# Made here, by their permissions on connections, plugins and DAGs.
MADE_ROLES = {
    "Reader": ["can_read Connections"],
    "Watcher": ["can_read Connections", "can_read Plugins"],
    "Editor": ["can_read Connections", "can_edit Connections"],
    "Adder": ["can_read Connections", "can_create Connections"],
    "Author": ["can_read Connections", "can_read Plugins", "can_read DAGs"],
    "Analyst": ["can_read Plugins", "can_read DAGs", *READS_RUNS],
}
ROLES = ("Admin", "Op", "User", "Viewer", "Public", *MADE_ROLES)
ADD_USERS = """\
import json
import sys
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
with get_application_builder() as builder:
    manager = builder.sm
    for name, permissions in json.loads(sys.argv[1]).items():
        role = manager.add_role(name)
        for permission in permissions:
            manager.add_permission_to_role(role, manager.create_permission(*permission.split(" ", 1)))
    for given in sys.argv[2:]:
        role, password = given.split("=", 1)
        name = role.lower()
        assert manager.add_user(name, name, name, f"{name}@example.com", manager.find_role(role), password)
"""
SPEC = """\
version: 1
dag_id: pulls
start_date: 2026-01-01
connection: crm
defaults: {records: data, destination: {path: "lake/{{ endpoint }}"}}
endpoints:
  contacts: {request: {path: /countries}}
"""
MANAGER = "airflow.providers.fab.auth_manager"


@pytest.fixture(scope="session")
def server() -> Iterator[OAuthTestServer]:
    """The authorization server and API."""
    with OAuthTestServer(rotate=True) as server:
        yield server


@pytest.fixture(scope="session")
def airflow(
    tmp_path_factory: pytest.TempPathFactory, server: OAuthTestServer
) -> Iterator[ApiServer]:
    """An API server with a user of each role, a connection that asks a person, and a DAG that uses it."""
    deployment = Deployment(tmp_path_factory.mktemp("fab"))
    deployment.environment |= {
        "AIRFLOW__CORE__AUTH_MANAGER": f"{MANAGER}.fab_auth_manager.FabAuthManager",
        "AIRFLOW__DATABASE__EXTERNAL_DB_MANAGERS": f"{MANAGER}.models.db.FABDBManager",
    }
    words = {role: f"a password of {role}" for role in ROLES}
    deployment.passwords = {role.lower(): word for role, word in words.items()}
    deployment.command("db", "migrate")
    deployment.run(
        ADD_USERS, json.dumps(MADE_ROLES), *(f"{role}={word}" for role, word in words.items())
    )
    dags = deployment.home / "dags"
    (dags / "pulls.yaml").write_text(SPEC)
    (dags / "pulls.py").write_text(
        "from pathlib import Path\nfrom oauth_taskflow import build_dag  # airflow dag\n"
        'pulls = build_dag(Path(__file__).with_suffix(".yaml"))\n'
    )
    deployment.command("dags", "reserialize")
    with ApiServer(deployment) as airflow:
        airflow.add_connection("crm", server.connection_to_authorize())
        yield airflow
