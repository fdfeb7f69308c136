"""A connection that was edited: its former grants are named as such, and its state is that of the next use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow import secret_registry
from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.taskflow.config import fernet_keys, store_url
from oauth_taskflow.taskflow.grants import current_grant
from oauth_taskflow.taskflow.grants.current_grant import CurrentGrants
from oauth_taskflow.taskflow.grants.managed_grant import load_managed_grant
from oauth_taskflow.taskflow.grants.overview import ConnectionOverview, read_overview
from oauth_taskflow.taskflow.http.hook import OAuth2Hook
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.registry import open_store
from tests.taskflow.conftest import Connect, SetConnection

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_home", "own_store")]


def use(conn_id: str = "crm") -> None:
    """Uses the connection as a task does."""
    with OAuth2Hook(http_conn_id=conn_id).get_conn() as session:
        session.get("/page/airports").raise_for_status()


def look(conn_id: str = "crm") -> ConnectionOverview:
    return next(one for one in read_overview() if one.conn_id == conn_id)


def states(one: ConnectionOverview) -> list[bool]:
    return [grant.is_former for grant in one.grants]


def test_another_scope_makes_the_grant_a_former_one_until_the_next_consent(
    connect: Connect, oauth_server: OAuthTestServer
) -> None:
    seed = oauth_server.issue_refresh_token()
    connect(refresh_token=seed)
    use()
    assert (look().health, states(look())) == ("healthy", [False])
    asked = len(oauth_server.requests)
    connect(scope="airports.read airports.write")
    assert (look().health, states(look())) == ("never_connected", [True])
    connect(refresh_token=seed)
    assert (look().health, states(look())) == ("healthy", [False])
    assert len(oauth_server.requests) == asked


def test_another_refresh_token_in_the_connection_begins_another_grant(
    connect: Connect, oauth_server: OAuthTestServer
) -> None:
    connect(refresh_token=oauth_server.issue_refresh_token())
    use()
    connect(refresh_token=oauth_server.issue_refresh_token())
    assert (look().health, states(look())) == ("unused", [True])
    use()
    assert (look().health, states(look())) == ("healthy", [False])


def test_a_client_secret_that_was_rotated_changes_nothing(
    set_connection: SetConnection, oauth_server: OAuthTestServer
) -> None:
    connection = oauth_server.connection()
    set_connection("crm", connection)
    use()
    set_connection("crm", {**connection, "password": "another-client-secret"})
    assert (look().health, states(look())) == ("healthy", [False])
    set_connection("crm", {**connection, "login": "another-client"})
    assert (look().health, states(look())) == ("unused", [True])


def test_a_connection_in_the_database_is_read_once_for_each_way_it_is_stored(
    airflow_home: Path, oauth_server: OAuthTestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.taskflow.page.stored_rows import (  # noqa: PLC0415 - Airflow needs its home first
        empty,
        write_row,
    )

    read: list[str] = []

    def count(fields: Any, **how: Any) -> Any:
        read.append(fields.conn_id)
        return parse_connection(fields, **how)

    monkeypatch.setattr(f"{current_grant.__name__}.parse_connection", count)
    known = oauth_server.connection()
    empty()
    write_row(
        "stored", known["extra"], host=known["host"], login=known["login"], password="s3cret-1"
    )
    try:
        grants = CurrentGrants(open_store(store_url(), fernet_keys()).cipher)
        found = [grants.find({"stored": "database"}, 40)["stored"] for _ in range(3)]
        assert found[0].keys == {load_managed_grant("stored").manager.grant_key}
        assert read == ["stored"]
    finally:
        empty()


def test_looking_announces_no_secret(
    set_connection: SetConnection, oauth_server: OAuthTestServer
) -> None:
    set_connection("crm", {**oauth_server.connection(), "password": "never-announced-secret"})
    secret_registry._known.clear()
    grants = CurrentGrants(open_store(store_url(), fernet_keys()).cipher)
    assert grants.find({"crm": "environment"}, 40)
    assert "never-announced-secret" not in secret_registry.list_secrets()


@pytest.mark.parametrize(
    "connection", ["oauth2://u:p@h/", "[]", "{", '{"conn_type": 5}', '{"conn_type": "oauth2"}']
)
def test_a_connection_that_cannot_be_read_here_is_left_out(
    set_connection: SetConnection, connection: str
) -> None:
    set_connection("crm", connection)
    grants = CurrentGrants(open_store(store_url(), fernet_keys()).cipher)
    sources = {"crm": "environment", "gone": "environment", "row": "database"}
    assert grants.find(sources, 40) == {}


def test_of_a_crowd_some_are_left_to_the_next_look(
    set_connection: SetConnection, oauth_server: OAuthTestServer
) -> None:
    names = [set_connection(f"crowd_{number}", oauth_server.connection()) for number in range(5)]
    grants = CurrentGrants(open_store(store_url(), fernet_keys()).cipher)
    sources = dict.fromkeys(names, "environment")
    assert [len(grants.find(sources, 2)) for _ in range(4)] == [2, 4, 5, 5]
