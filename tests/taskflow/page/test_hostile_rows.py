"""One broken connection, wrong address or silent server does nothing to the rest of the page."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.taskflow.conftest import SetConnection
from tests.taskflow.page.conftest import SAME_ORIGIN, Browse
from tests.taskflow.test_write_back import StoredConnection


def read_rows(browse: Browse) -> dict[str, Any]:
    answer = browse("admin").get("/oauth/api/connections")
    assert answer.status_code == 200, answer.text
    return {row["conn_id"]: row for row in answer.json()["connections"]}


@pytest.mark.parametrize(
    "extra",
    [
        '{"a":' * 5000 + "1" + "}" * 5000,
        '{"provider": "\\ud800", "grant_type": "\\ud800"}',
        '{"token_url": "https://id.example.com',
        '["a"]',
        '{"provider": "no_such_preset"}',
    ],
    ids=["deep", "surrogate", "cut", "list", "preset"],
)
def test_a_connection_that_cannot_be_read_is_one_row_of_the_list(
    browse: Browse, set_connection: SetConnection, extra: str
) -> None:
    set_connection("broken", json.dumps({"conn_type": "oauth2", "extra": extra}))
    set_connection("crm", "oauth2://api.example.com")
    rows = read_rows(browse)
    assert rows["broken"]["health"] == "misconfigured"
    assert rows["crm"]["health"] == "unused"
    assert browse("admin").get("/oauth/").status_code == 200


def test_a_long_provider_is_cut(browse: Browse, set_connection: SetConnection) -> None:
    set_connection("crm", json.dumps({"conn_type": "oauth2", "extra": {"provider": "x" * 10**6}}))
    assert len(read_rows(browse)["crm"]["provider"]) == 100


def test_every_problem_of_a_connection_reaches_the_person(
    browse: Browse, set_connection: SetConnection
) -> None:
    set_connection("crm", "oauth2://api.example.com")
    answer = browse("admin").post(
        "/oauth/api/connections/crm/refresh", json={}, headers=SAME_ORIGIN
    )
    assert answer.status_code == 409
    assert "field 'token_url': " in answer.json()["hint"]
    assert "field 'password': " in answer.json()["hint"]


def test_a_connection_whose_key_is_lost_is_not_called_missing(
    airflow_home: Path, browse: Browse
) -> None:
    assert airflow_home.is_dir()
    from airflow.models import Connection  # noqa: PLC0415 - Airflow needs its home first
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above
    from sqlalchemy import update  # noqa: PLC0415 - as above

    stored = StoredConnection("crm", {"conn_type": "oauth2", "extra": {}})
    try:
        with create_session() as session:
            values = {"_extra": "of another key", "is_extra_encrypted": True}
            session.execute(update(Connection).where(Connection.conn_id == "crm").values(values))  # noqa: AIR311 - the ORM's
        assert read_rows(browse)["crm"]["health"] == "misconfigured"
        client = browse("admin")
        answer = client.post("/oauth/api/connections/crm/refresh", json={}, headers=SAME_ORIGIN)
        assert answer.json()["detail"] == "Airflow has this connection and cannot read it"
        shown = client.post("/oauth/api/connections/crm/form", json={}, headers=SAME_ORIGIN)
        assert shown.status_code == 409
        assert shown.json()["detail"].startswith("No Fernet key of this deployment opens")
    finally:
        stored.delete()


def test_a_connection_with_a_slash_can_be_connected(
    browse: Browse, set_connection: SetConnection
) -> None:
    set_connection("a/b", "oauth2://api.example.com")
    path = "/oauth/api/connections/a%2Fb/consent"
    for step, body in (("/offer", {}), ("", {"way": "browser"}), ("/finish", {"ticket": "A" * 43})):
        answer = browse("admin").post(path + step, json=body, headers=SAME_ORIGIN)
        assert answer.status_code == 409, step


def test_an_empty_bearer_token_is_none(browse: Browse) -> None:
    for text in ("Bearer", "Bearer ", "bearer   "):
        headers = {"Authorization": text, "Content-Type": "application/json"}
        answer = browse("admin").post(
            "/oauth/api/connections/crm/refresh", json={}, headers=headers
        )
        assert answer.status_code == 403, text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/callback"),
        ("HEAD", "/callback"),
        ("PUT", "/callback"),
        ("GET", "/callback/"),
        ("GET", "/Callback"),
        ("GET", "/consent"),
        ("POST", "/callback"),
    ],
)
def test_a_code_that_comes_another_way_reaches_neither_the_log_nor_an_address(
    root_app: Any, browse: Browse, method: str, path: str
) -> None:
    seen: list[bytes] = []

    async def look(scope: Any, receive: Any, send: Any) -> None:
        await root_app(scope, receive, send)
        seen.append(scope["query_string"])

    client = browse()
    client.app = look
    client._transport.app = look
    answer = client.request(method, f"/oauth{path}?code=c0de&state=x", follow_redirects=False)
    assert seen == [b""]
    assert "c0de" not in answer.headers.get("location", "") + answer.text


def test_actions_that_wait_leave_threads_to_airflow(
    browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oauth_taskflow.taskflow.page import access  # noqa: PLC0415 - Airflow needs its home first

    monkeypatch.setitem(access.TURNS, "action", asyncio.Semaphore(0))
    monkeypatch.setattr(access, "_PATIENCE", 0.01)
    client = browse("admin")
    answer = client.post("/oauth/api/connections/crm/refresh", json={}, headers=SAME_ORIGIN)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert client.get("/oauth/api/connections").status_code == 200


def test_a_turn_is_given_back(browse: Browse, monkeypatch: pytest.MonkeyPatch) -> None:
    from oauth_taskflow.taskflow.page import access  # noqa: PLC0415 - Airflow needs its home first

    turns = asyncio.Semaphore(1)
    monkeypatch.setitem(access.TURNS, "action", turns)
    for user in ("admin", "", "viewer", "admin"):
        answer = browse(user).post(
            "/oauth/api/connections/no_such/refresh", json={}, headers=SAME_ORIGIN
        )
        assert answer.status_code in {401, 403, 409}
        assert not turns.locked()


@pytest.mark.parametrize("size", [10**6, 2**20 + 1])
def test_a_body_is_read_up_to_a_limit_before_anybody_is_known(browse: Browse, size: int) -> None:
    body = (b"[" + b" " * (size - 2) + b"]" for _ in range(1))
    answer = browse().post("/oauth/api/connections/crm/refresh", content=body, headers=SAME_ORIGIN)
    assert answer.status_code == (401 if size < 2**20 else 413)


@pytest.mark.parametrize(
    ("kind", "path"), [("reading", "/api/connections"), ("parking", "/callback?state=x")]
)
def test_lists_and_callbacks_of_a_store_that_is_away_leave_threads_to_airflow(
    browse: Browse, monkeypatch: pytest.MonkeyPatch, kind: str, path: str
) -> None:
    from oauth_taskflow.taskflow.page import access  # noqa: PLC0415 - Airflow needs its home first

    assert sum(access.COUNTS.values()) <= 28, "Airflow's own routes share 40 threads with these"
    monkeypatch.setitem(access.TURNS, kind, asyncio.Semaphore(0))
    monkeypatch.setattr(access, "_PATIENCE", 0.01)
    assert browse("admin").get(f"/oauth{path}").status_code == 503
    monkeypatch.undo()
    assert browse("admin").get(f"/oauth{path}", follow_redirects=False).status_code in {200, 303}
