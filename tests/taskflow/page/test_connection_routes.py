"""The list of connections as JSON, and what can be done to their grants: with permission, from this origin, in the audit log."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.state.record import GrantState
from tests.browser import grants
from tests.taskflow.conftest import Connect, SetConnection
from tests.taskflow.page.conftest import SAME_ORIGIN, Browse
from tests.taskflow.page.stored_rows import empty, write_row

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from oauth_taskflow.tokens.sql.store import SqlTokenStore

Audit = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def store(root_app: Any) -> SqlTokenStore:
    """The token store of this test, as the API server opens it."""
    from oauth_taskflow.taskflow.config import fernet_keys, store_url  # noqa: PLC0415 - needs its home first
    from oauth_taskflow.tokens.registry import open_store  # noqa: PLC0415 - as above

    return open_store(store_url(), fernet_keys())


@pytest.fixture
def audit(root_app: Any) -> Audit:
    """The rows of Airflow's audit log that this test has written, the oldest first."""
    from airflow.models.log import Log  # noqa: PLC0415 - needs its home first
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above
    from sqlalchemy import delete, select  # noqa: PLC0415 - as above

    with create_session() as session:
        session.execute(delete(Log))

    def audit() -> list[dict[str, Any]]:
        with create_session() as session:
            rows = session.execute(select(Log.event, Log.owner, Log.extra).order_by(Log.id)).all()
        return [{"event": row.event, "owner": row.owner, **json.loads(row.extra)} for row in rows]

    return audit


def read(client: TestClient, conn_id: str) -> dict[str, Any]:
    rows = client.get("/oauth/api/connections").json()["connections"]
    (found,) = [row for row in rows if row["conn_id"] == conn_id]
    assert isinstance(found, dict)
    return found


def post(client: TestClient, conn_id: str, action: str, body: Any = None) -> Any:
    path = f"/oauth/api/connections/{conn_id}/{action}"
    return client.post(path, content=json.dumps(body or {}), headers=SAME_ORIGIN)


def test_a_connection_begins_never_connected_and_is_healthy_after_its_first_refresh(
    connect: Connect, oauth_server: OAuthTestServer, browse: Browse
) -> None:
    connect()
    client = browse("admin")
    assert read(client, "crm")["health"] == "never_connected"
    connect(refresh_token=oauth_server.issue_refresh_token())
    row = read(client, "crm")
    assert (row["health"], row["source"]) == ("unused", "environment")
    answer = post(client, "crm", "refresh")
    assert answer.json() == {"ok": True, "message": "Connection 'crm' has a new token."}
    row = read(client, "crm")
    assert row["health"] == "healthy"
    assert row["grants"][0]["expires_at"] > row["grants"][0]["refreshed_at"]
    assert row["actions"] == ["connect", "refresh", "test", "revoke", "forget"]


def test_a_refresh_fetches_a_new_token_although_the_old_one_is_fresh(
    set_connection: SetConnection, oauth_server: OAuthTestServer, browse: Browse
) -> None:
    set_connection("crm", oauth_server.connection())
    client = browse("admin")
    assert post(client, "crm", "refresh").status_code == 200
    assert post(client, "crm", "refresh").status_code == 200
    assert oauth_server.counters.token_requests == 2


@pytest.mark.parametrize("conn_id", [".", ".."])
def test_an_id_that_no_address_can_hold_has_no_actions_and_says_so(
    browse: Browse, store: SqlTokenStore, conn_id: str
) -> None:
    grants.put(store, conn_id)
    row = read(browse("admin"), conn_id)
    assert (row["health"], row["actions"]) == ("orphaned", [])
    assert "use airflow oauth" in row["obstacle"]
    assert "use airflow oauth" in browse("admin").get("/oauth/").text


def test_the_plain_list_leads_to_ids_with_slashes_and_dots(
    browse: Browse, set_connection: SetConnection, oauth_server: OAuthTestServer
) -> None:
    set_connection("a/../b", oauth_server.connection_to_authorize())
    assert 'href="/oauth/connect/a%2F..%2Fb"' in browse("admin").get("/oauth/").text


def test_looking_asks_no_token_endpoint_and_changes_nothing(
    connect: Connect, oauth_server: OAuthTestServer, browse: Browse, store: SqlTokenStore
) -> None:
    connect(refresh_token=oauth_server.issue_refresh_token())
    key = grants.put(store, "crm", token=grants.ended_token(2.0))
    before = store.read(key).revision
    client = browse("admin")
    client.get("/oauth/api/connections")
    client.get("/oauth/")
    assert oauth_server.requests == []
    assert store.read(key).revision == before


def test_a_failed_refresh_says_what_where_and_what_to_do_and_so_does_the_list(
    connect: Connect, oauth_server: OAuthTestServer, browse: Browse, audit: Audit
) -> None:
    connect(refresh_token="spent-long-ago-1234")
    client = browse("admin")
    answer = post(client, "crm", "refresh")
    assert answer.status_code == 409
    body = answer.json()
    assert "invalid_grant" in body["detail"]
    assert oauth_server.base_url.removeprefix("http://") in body["where"]
    assert "with Connect. The old refresh token" in body["hint"]
    assert "airflow oauth" not in body["hint"]  # who reads this may have no shell
    row = read(client, "crm")
    assert row["health"] == "needs_consent"
    assert row["grants"][0]["problem"]["what"] == body["detail"]
    assert row["grants"][0]["problem"]["hint"] == body["hint"]
    (line,) = audit()
    assert (line["event"], line["owner"], line["connection_id"]) == (
        "oauth_refresh",
        "admin",
        "crm",
    )
    assert line["outcome"] == f"failed: {body['detail']}"


def test_a_revoked_grant_needs_consent_and_its_tokens_are_gone_at_the_server(
    connect: Connect, oauth_server: OAuthTestServer, browse: Browse, audit: Audit
) -> None:
    seed = oauth_server.issue_refresh_token()
    connect(refresh_token=seed, revoke_url=f"{oauth_server.base_url}/oauth/revoke")
    client = browse("admin")
    post(client, "crm", "refresh")
    assert post(client, "crm", "revoke").status_code == 200
    assert read(client, "crm")["health"] == "needs_consent"
    assert [call.path for call in oauth_server.requests][-1] == "/oauth/revoke"
    assert [line["outcome"] for line in audit()] == ["done", "done"]


def test_a_server_that_refuses_to_revoke_leaves_the_grant_as_it_was(
    connect: Connect, oauth_server: OAuthTestServer, browse: Browse
) -> None:
    connect(
        refresh_token=oauth_server.issue_refresh_token(),
        revoke_url=f"{oauth_server.base_url}/oauth/revoke",
    )
    client = browse("admin")
    post(client, "crm", "refresh")
    oauth_server.fault("/oauth/revoke", status=503, times=20)
    assert post(client, "crm", "revoke").status_code == 409
    assert read(client, "crm")["health"] == "healthy"


def test_grants_are_forgotten_one_by_one_or_all_those_of_a_lost_connection_too(
    browse: Browse, store: SqlTokenStore, audit: Audit
) -> None:
    first = grants.put(store, "gone", 1)
    grants.put(store, "gone", 2)
    grants.put(store, "gone", 3)
    client = browse("admin")
    row = read(client, "gone")
    assert (row["health"], len(row["grants"]), row["actions"]) == ("orphaned", 3, ["forget"])
    assert "1 stored grant of" in post(client, "gone", "forget", {"grant": first}).json()["message"]
    assert post(client, "gone", "forget", {"grant": first}).status_code == 409
    assert "2 stored grants of" in post(client, "gone", "forget").json()["message"]
    rows = client.get("/oauth/api/connections").json()["connections"]
    assert "gone" not in {one["conn_id"] for one in rows}
    assert [line["outcome"] for line in audit()] == [
        "forgot 1",
        "failed: Nothing is stored for connection 'gone'",
        "forgot 2",
    ]


def test_a_test_says_how_it_went_and_can_be_switched_off(
    set_connection: SetConnection,
    oauth_server: OAuthTestServer,
    browse: Browse,
    audit: Audit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_connection("crm", oauth_server.connection())
    client = browse("admin")
    answer = post(client, "crm", "test").json()
    assert answer["ok"]
    assert "Token received" in answer["message"]
    set_connection("crm", oauth_server.connection(password="wrong-secret-1"))
    answer = post(client, "crm", "test").json()
    assert not answer["ok"]
    assert "invalid_client" in answer["message"]
    asked = oauth_server.counters.token_requests
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__PAGE_TEST", "False")
    assert "test" not in read(client, "crm")["actions"]
    refused = post(client, "crm", "test")
    assert (refused.status_code, oauth_server.counters.token_requests) == (409, asked)
    assert "switched off" in refused.json()["detail"]
    assert [line["outcome"].partition(":")[0] for line in audit()] == ["works", "failed", "failed"]


@pytest.mark.parametrize(("name", "status"), [("", 401), ("viewer", 403)])
def test_without_the_permission_nothing_is_done_and_nothing_audited(
    oauth_server: OAuthTestServer, browse: Browse, audit: Audit, name: str, status: int
) -> None:
    client = browse(name)
    for action in ("refresh", "test", "revoke", "forget"):
        assert post(client, "crm", action).status_code == status
    assert oauth_server.requests == []
    assert audit() == []


@pytest.mark.parametrize("action", ["refresh", "test", "revoke", "forget"])
def test_a_request_from_another_site_or_with_another_body_does_nothing(
    connect: Connect, oauth_server: OAuthTestServer, browse: Browse, audit: Audit, action: str
) -> None:
    connect(refresh_token=oauth_server.issue_refresh_token())
    client = browse("admin")
    path = f"/oauth/api/connections/crm/{action}"
    foreign = {**SAME_ORIGIN, "Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}
    assert client.post(path, content="{}", headers=foreign).status_code == 403
    form = {**SAME_ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}
    assert client.post(path, content="a=b", headers=form).status_code == 415
    for body in ("", "[]", '{"more": 1}', "no JSON"):
        assert client.post(path, content=body, headers=SAME_ORIGIN).status_code == 422
    assert client.get(path).status_code in {404, 405}
    assert oauth_server.requests == []
    assert audit() == []


def test_without_an_audit_log_nothing_is_done(
    connect: Connect,
    oauth_server: OAuthTestServer,
    browse: Browse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sqlalchemy.exc import OperationalError  # noqa: PLC0415 - see above

    from oauth_taskflow.taskflow.page import audit as module  # noqa: PLC0415 - see above

    def fail() -> None:
        raise OperationalError("insert", {}, Exception("disk full"))

    connect(refresh_token=oauth_server.issue_refresh_token())
    client = browse("admin")
    monkeypatch.setattr(module, "create_session", fail)
    answer = post(client, "crm", "refresh")
    assert answer.status_code == 409
    assert "so nothing was done" in answer.json()["detail"]
    assert oauth_server.requests == []


def test_ids_with_slashes_and_spaces_are_reached(
    browse: Browse, store: SqlTokenStore, audit: Audit
) -> None:
    grants.put(store, "team/crm.eu prod")
    assert post(browse("admin"), "team%2Fcrm.eu%20prod", "forget").status_code == 200
    assert audit()[0]["connection_id"] == "team/crm.eu prod"


def test_the_same_content_is_sent_once(browse: Browse, store: SqlTokenStore) -> None:
    key = grants.put(store, "crm")
    client = browse("admin")
    tag = client.get("/oauth/api/connections").headers["etag"]
    again = client.get("/oauth/api/connections", headers={"If-None-Match": f'W/{tag}, "x"'})
    assert (again.status_code, again.content) == (304, b"")
    store.forget(key)
    assert client.get("/oauth/api/connections", headers={"If-None-Match": tag}).status_code == 200


def test_no_token_or_secret_is_in_any_answer(
    set_connection: SetConnection,
    oauth_server: OAuthTestServer,
    browse: Browse,
    store: SqlTokenStore,
) -> None:
    set_connection("crm", oauth_server.connection())
    grants.put(store, "other")
    grants.put(store, "third", state=GrantState.NEEDS_CONSENT)
    client = browse("admin")
    text = post(client, "crm", "refresh").text + post(client, "crm", "test").text
    text += client.get("/oauth/api/connections").text + client.get("/oauth/").text
    secrets = {grants.SECRET, oauth_server.client_secret, *oauth_server.state.list_issued()}
    assert [one for one in secrets if one in text] == []


@pytest.mark.parametrize(
    "variable",
    [
        "no connection",
        "{",
        "[]",
        '{"conn_type": 5, "extra": 7}',
        "oauth2://[::1",
        "oauth2://u:p@h/?__extra__=x",
    ],
)
def test_a_broken_variable_hides_no_other_connection(
    set_connection: SetConnection, oauth_server: OAuthTestServer, browse: Browse, variable: str
) -> None:
    set_connection("broken", variable)
    set_connection("crm", oauth_server.connection())
    assert read(browse("admin"), "crm")["health"] == "unused"


def test_variables_as_uris_and_files_of_a_backend_are_listed(
    set_connection: SetConnection,
    browse: Browse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow import configuration  # noqa: PLC0415 - see above
    from airflow.secrets.local_filesystem import LocalFilesystemBackend  # noqa: PLC0415 - see above

    set_connection("by_uri", "oauth2://me:secret@api.example.com/?provider=hubspot")
    file = tmp_path / "connections.json"
    file.write_text(json.dumps({"by_file": {"conn_type": "oauth2", "extra": {"provider": "xero"}}}))
    backend = LocalFilesystemBackend(connections_file_path=str(file))
    monkeypatch.setattr(
        configuration, "secrets_backend_list", [backend, *configuration.secrets_backend_list[:2]]
    )
    client = browse("admin")
    assert (read(client, "by_uri")["title"], read(client, "by_uri")["source"]) == (
        "HubSpot",
        "environment",
    )
    assert (read(client, "by_file")["title"], read(client, "by_file")["source"]) == (
        "Xero",
        "LocalFilesystemBackend",
    )


def test_a_connection_in_two_places_says_which_one_airflow_uses(
    set_connection: SetConnection, browse: Browse
) -> None:
    empty()
    write_row("crm", {"provider": "slack"})
    set_connection("crm", {"conn_type": "oauth2", "extra": {"provider": "xero"}})
    client = browse("admin")
    hint = "Airflow finds this connection in the environment first: the one in the database is not used."
    assert (read(client, "crm")["title"], read(client, "crm")["hint"]) == ("Xero", hint)
    assert hint in client.get("/oauth/").text
    empty()
    assert read(client, "crm")["hint"] == ""
