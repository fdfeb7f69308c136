"""The token store goes away between the trade of a code and the storing of its tokens: page and command keep them."""

from __future__ import annotations

import os
import tempfile
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from oauth_taskflow.taskflow.cli.grants import status
from oauth_taskflow.taskflow.cli.login import login
from oauth_taskflow.taskflow.grants.actions import forget_grants
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.messages import Request, Response
from oauth_taskflow.testing.transport import Listener
from oauth_taskflow.tokens.sql.table import GRANTS
from tests.database_server import empty_tables
from tests.taskflow.cli.login_runs import arguments, call_api, read_row
from tests.taskflow.conftest import Connect
from tests.taskflow.page.consents import agree, begin, come_back, finish, post
from tests.taskflow.page.test_connect_device import enter
from tests.tokens.gate import Gate

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("at_loopback")]
Switch = tuple[Callable[[], None], Callable[[], None]]


@pytest.fixture
def ended_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The thread that stores consents ends before the settings of its test do: it is the only one of this process."""
    yield
    for path in tmp_path.rglob("*.rescued"):
        path.unlink()
    for thread in threading.enumerate():
        if thread.name == "oauth-kept-consents":
            thread.join(120)
            assert not thread.is_alive()


@pytest.fixture(params=["sqlite", "postgres"])
def store(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ended_watch: None,
) -> Iterator[Switch]:
    """The token store of this test: takes it away, and brings it back."""
    of_server = request.getfixturevalue("postgres_url") if request.param == "postgres" else ""
    monkeypatch.setattr("oauth_taskflow.tokens.sql.transactions._ATTEMPTS", 2)  # not ten seconds
    monkeypatch.setattr("oauth_taskflow.taskflow.grants.kept_consents._PAUSE", 0.1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where recovery files are
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/tokens.db"
        _use(url, monkeypatch)
        yield (
            lambda: rename_table(url, GRANTS.name, "away"),
            lambda: rename_table(url, "away", GRANTS.name),
        )
        return
    place = make_url(empty_tables(of_server))
    assert place.port is not None
    with Gate(place.port) as gate:
        _use(place.set(port=gate.port).render_as_string(hide_password=False), monkeypatch)
        yield gate.close, gate.open


def _use(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE", url)
    monkeypatch.setenv("BROWSER", "any")
    monkeypatch.setattr(webbrowser, "open", lambda url: requests.get(url, timeout=60).ok)


def rename_table(url: str, old: str, new: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))
    engine.dispose()


@pytest.fixture
def token_url(oauth_server: OAuthTestServer, store: Switch) -> Iterator[str]:
    """A token endpoint that hands on what the server answers, and takes the store away before tokens arrive."""

    def answer(request: Request) -> Response:
        came = requests.post(
            f"{oauth_server.base_url}/oauth/token",
            data=request.body,
            headers={name: request.headers[name] for name in ("Authorization", "Content-Type")},
            timeout=60,
        )
        if came.ok:
            store[0]()
        return Response(
            came.status_code, came.content, (("Content-Type", came.headers["Content-Type"]),)
        )

    listener = Listener()
    listener.start(answer)
    yield f"http://127.0.0.1:{listener.port}/oauth/token"
    listener.stop()


def read_row_of_page(admin: TestClient) -> dict[str, Any]:
    answer = admin.get("/oauth/api/connections")
    assert answer.status_code == 200, answer.text
    (row,) = (row for row in answer.json()["connections"] if row["conn_id"] == "crm")
    assert isinstance(row, dict)
    return row


def check_kept(answer: dict[str, Any]) -> None:
    assert answer["detail"].startswith(
        "The consent succeeded, and its tokens wait in an encrypted file"
    )
    assert answer["where"].endswith(".consent.rescued")
    assert answer["hint"].startswith("Do not consent again: this machine stores them")


def test_a_consent_in_the_browser_is_there_when_the_store_is_back(
    connect: Connect,
    admin: TestClient,
    oauth_server: OAuthTestServer,
    token_url: str,
    store: Switch,
) -> None:
    connect(token_url=token_url)
    answer = finish(admin, come_back(admin, agree(begin(admin))))
    assert answer.status_code == 409
    check_kept(answer.json())
    store[1]()
    wait_until_stored(Path(tempfile.gettempdir()))
    row = read_row_of_page(admin)
    assert (row["health"], row["grants"][0]["consented_by"]) == ("healthy", "admin")
    assert call_api() == 200
    assert oauth_server.counters.token_requests == 1


def test_one_of_a_connection_that_was_edited_meanwhile_is_an_earlier_grant(
    connect: Connect, admin: TestClient, token_url: str, store: Switch, tmp_path: Path
) -> None:
    connect(token_url=token_url)
    finish(admin, come_back(admin, agree(begin(admin))))
    connect(token_url=token_url, scope="another")
    store[1]()
    wait_until_stored(tmp_path)
    row = read_row_of_page(admin)
    assert (row["health"], row["grants"][0]["health"]) == ("never_connected", "superseded")
    connect(token_url=token_url)
    assert read_row_of_page(admin)["health"] == "healthy"
    assert call_api() == 200


def test_one_that_waits_can_be_forgotten(
    connect: Connect, admin: TestClient, token_url: str, store: Switch, tmp_path: Path
) -> None:
    connect(token_url=token_url)
    finish(admin, come_back(admin, agree(begin(admin))))
    connect(auth_type="api_key", token_url=None)  # no grant any more: nothing would store it
    store[1]()
    assert forget_grants("crm") == 1
    assert list(tmp_path.rglob("*.rescued")) == []


def test_a_consent_on_another_device_is_there_when_the_store_is_back(
    connect: Connect,
    admin: TestClient,
    oauth_server: OAuthTestServer,
    token_url: str,
    store: Switch,
) -> None:
    oauth_server.desk.device_interval = 0.05
    connect(token_url=token_url)
    prompt = post(admin, way="device").json()
    enter(prompt)
    while "wait" in (answer := post(admin, "/ask", ticket=prompt["ticket"]).json()):
        time.sleep(answer["wait"])
    check_kept(answer)
    store[1]()
    assert call_api() == 200  # a task on this machine, before anyone looks
    assert read_row_of_page(admin)["health"] == "healthy"
    assert oauth_server.counters.refreshes == 0


def test_a_login_is_there_when_the_store_is_back(
    connect: Connect,
    oauth_server: OAuthTestServer,
    token_url: str,
    store: Switch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    connect(token_url=token_url)
    with pytest.raises(SystemExit):
        login(arguments())
    assert "Do not consent again: this machine stores them" in capsys.readouterr().err
    store[1]()
    status(arguments())
    assert read_row(capsys)["state"] == "fresh"
    assert call_api() == 200
    assert oauth_server.counters.token_requests == 1


def wait_until_stored(folder: Path) -> None:
    while list(folder.rglob("*.rescued")):
        time.sleep(0.05)


def test_the_server_stores_it_by_itself(
    connect: Connect, admin: TestClient, token_url: str, store: Switch, tmp_path: Path
) -> None:
    connect(token_url=token_url)
    finish(admin, come_back(admin, agree(begin(admin))))
    assert list(tmp_path.rglob("*.rescued"))
    store[1]()
    wait_until_stored(tmp_path)
    assert call_api() == 200


def test_one_of_a_connection_that_is_not_found_for_a_while_is_stored_when_it_is_found(
    connect: Connect,
    admin: TestClient,
    token_url: str,
    store: Switch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    connect(token_url=token_url)
    finish(admin, come_back(admin, agree(begin(admin))))
    found = os.environ.pop("AIRFLOW_CONN_CRM")  # as when Airflow's database is away too
    while "'crm' is not stored yet: There is no connection" not in caplog.text:
        time.sleep(0.05)
    os.environ["AIRFLOW_CONN_CRM"] = found
    store[1]()
    wait_until_stored(Path(tempfile.gettempdir()))
    assert call_api() == 200
