"""No GET changes state but the parking of a consent's answer: the statements that databases get are watched on every GET route."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, Engine, event, make_url

from oauth_taskflow import build_dag
from tests.browser import grants
from tests.taskflow.conftest import Connect
from tests.taskflow.page.consents import agree, begin, leave_kept_consent
from tests.taskflow.page.stored_rows import write_row, zendesk
from tests.taskflow.page.test_abandoned_actions import outcomes, write_begun
from tests.taskflow.page.test_endpoints import SPEC
from tests.taskflow.page.test_routes import ANONYMOUS, routes

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.usefixtures("no_connections", "own_store", "at_loopback"),
]
# What a statement begins with that changes nothing.
_READING = re.compile(
    r"\s*(SELECT|PRAGMA|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)\b", re.IGNORECASE
)
PLACES = {
    "connection_id": "crm",
    "provider": "zendesk",
    "problem": "unknown",
    "dag_id": "tab",
    "task_id": "contacts",
}


@pytest.fixture
def writes(own_store: None) -> Iterator[list[str]]:
    """The statements that may change something in Airflow's database or the token store of this test.

    Other tests of the process may have left a thread that still writes to a store of theirs.
    """
    from airflow import settings  # noqa: PLC0415 - needs its home first

    from oauth_taskflow.taskflow.config import store_url  # noqa: PLC0415 - as above

    seen: list[str] = []
    watched = {make_url(str(settings.SQL_ALCHEMY_CONN)).database, make_url(store_url()).database}
    assert len(watched - {None}) == 2

    def watch(connection: Connection, _: Any, statement: str, *__: Any) -> None:
        if connection.engine.url.database in watched and not _READING.match(statement):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", watch)
    yield seen
    event.remove(Engine, "before_cursor_execute", watch)


@pytest.fixture
def remains(
    root_app: Any,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Everything that a look could end: a kept consent, the row of a killed action, an expired consent in flight; the paths of files."""
    from oauth_taskflow.taskflow.config import fernet_keys, store_url  # noqa: PLC0415 - needs its home first
    from oauth_taskflow.taskflow.page import audit  # noqa: PLC0415 - as above
    from oauth_taskflow.tokens.registry import open_store  # noqa: PLC0415 - as above
    from tests.taskflow.dags.dag_runs import store_dag  # noqa: PLC0415 - as above

    for limit in (100, 50):  # two versions
        (tmp_path / "tab.yaml").write_text(
            SPEC.format(folder=tmp_path, path="/contacts", limit=limit, more="")
        )
        store_dag(build_dag(tmp_path / "tab.yaml"))
    monkeypatch.setattr(audit, "_LOOK_PAUSE", 0.0)
    monkeypatch.setattr(audit._Look, "next", 0.0)
    connect()
    write_row("crm", zendesk()["values"])
    grants.put(open_store(store_url(), fernet_keys()), "crm")
    leave_kept_consent()
    write_begun("", age=timedelta(days=1))
    return find_files(tmp_path)


def find_files(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*.rescued"))


def fill_in(path: str) -> str:
    return re.sub(r"\{(\w+)(:path)?\}", lambda found: PLACES[found[1]], path)


def test_no_get_but_the_parking_callback_writes_to_a_database(
    root_app: Any, admin: TestClient, remains: list[str], writes: list[str], tmp_path: Path
) -> None:
    paths = {route.path for route in routes(root_app) if "GET" in route.methods} - ANONYMOUS
    assert len(paths) > 10
    assert remains
    reached = {}
    for path in sorted(paths):
        reached[path] = admin.get(f"/oauth{fill_in(path)}", follow_redirects=False).status_code
        assert writes == [], path
    assert {path for path, status in reached.items() if status != 200} == {"/consent/{problem}"}
    assert find_files(tmp_path) == remains
    assert outcomes() == ["begun"]


def test_the_parking_callback_writes(
    admin: TestClient, connect: Connect, writes: list[str]
) -> None:
    connect()
    query = agree(begin(admin))
    writes.clear()
    assert admin.get(f"/oauth/callback?{query}", follow_redirects=False).status_code == 303
    assert [one.split()[0] for one in writes] == ["UPDATE"]
