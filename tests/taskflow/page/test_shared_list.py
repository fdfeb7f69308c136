"""All who look at the same moment share one reading of the store, and each sees only what is theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import grants
from tests.taskflow.page.conftest import Browse

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from oauth_taskflow.tokens.sql.store import SqlTokenStore

SHARED = {"Cache-Control": ""}


@pytest.fixture
def store(root_app: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqlTokenStore]:
    """The token store; a reading is shared for an hour, so that slow machines see it too."""
    from oauth_taskflow.taskflow.config import fernet_keys, store_url  # noqa: PLC0415 - needs its home first
    from oauth_taskflow.taskflow.page import shared_list  # noqa: PLC0415 - as above
    from oauth_taskflow.tokens.registry import open_store  # noqa: PLC0415 - as above

    monkeypatch.setattr(shared_list, "SHARED_SECONDS", 3600.0)
    yield open_store(store_url(), fernet_keys())
    shared_list.LATEST.clear()


def names(client: TestClient, **headers: str) -> set[str]:
    """The connections that the list shows; by default as a page asks that was opened a while ago."""
    answer = client.get("/oauth/api/connections", headers=headers or SHARED)
    assert answer.status_code == 200, answer.text
    return {row["conn_id"] for row in answer.json()["connections"]}


def test_a_page_gets_the_reading_of_another_and_an_action_asks_for_a_new_one(
    store: SqlTokenStore, browse: Browse
) -> None:
    first, second = browse("admin"), browse("admin")
    grants.put(store, "early")
    assert "early" in names(first, **{"Cache-Control": "no-cache"})
    grants.put(store, "late")
    assert "late" not in names(second)
    assert "late" in names(second, **{"Cache-Control": "no-cache"})
    assert "late" in names(first)


def test_the_plain_page_shows_this_moment(store: SqlTokenStore, browse: Browse) -> None:
    client = browse("admin")
    names(client, **{"Cache-Control": "no-cache"})
    grants.put(store, "just_now")
    assert "just_now" in client.get("/oauth/", headers=SHARED).text


def test_a_shared_reading_shows_nobody_the_connections_of_others(
    store: SqlTokenStore, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager  # noqa: PLC0415 - needs its home first

    manager = get_auth_manager()
    ask = manager.is_authorized_connection

    def is_authorized(*, method: Any, user: Any, details: Any = None) -> bool:
        if user.get_name() == "viewer" and method == "GET":
            return details is None or details.conn_id in {None, "theirs"}
        return bool(ask(method=method, user=user, details=details))

    monkeypatch.setattr(manager, "is_authorized_connection", is_authorized)
    grants.put(store, "theirs")
    grants.put(store, "others")
    admin, viewer = browse("admin"), browse("viewer")
    assert {"theirs", "others"} <= names(admin, **{"Cache-Control": "no-cache"})
    assert names(viewer) == {"theirs"}
    assert names(viewer) == {"theirs"}
    assert {"theirs", "others"} <= names(admin)
    tag = admin.get("/oauth/api/connections", headers=SHARED).headers["etag"]
    given = {**SHARED, "If-None-Match": tag}
    assert admin.get("/oauth/api/connections", headers=given).status_code == 304
    assert viewer.get("/oauth/api/connections", headers=given).status_code == 200


def test_who_loses_a_permission_loses_it_at_once(
    store: SqlTokenStore, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager  # noqa: PLC0415 - needs its home first

    client = browse("admin")
    grants.put(store, "theirs")
    assert "theirs" in names(client, **{"Cache-Control": "no-cache"})
    monkeypatch.setattr(get_auth_manager(), "filter_authorized_connections", lambda **_: set())
    assert names(client) == set()


def test_a_failure_is_not_shared_with_those_who_ask_later(
    store: SqlTokenStore, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browse("admin")
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE", "redis://127.0.0.1/0")
        given = {"Cache-Control": "no-cache"}
        assert client.get("/oauth/api/connections", headers=given).status_code >= 400
    grants.put(store, "later")
    assert "later" in names(client, **{"Cache-Control": "no-cache"})
