"""Rotated refresh tokens in the Airflow connection: which are copied, which are left alone, what is said when it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow.connections.settings import OAuth2Settings
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.taskflow.broker import server as broker
from oauth_taskflow.taskflow.connection_lookup import load_settings
from oauth_taskflow.taskflow.grants import write_back
from oauth_taskflow.taskflow.sessions import open_session, token_source
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.grant_key import Fingerprints
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from oauth_taskflow.tokens.state.transitions import is_superseded
from tests.api.scripted import Asked, Reply, ScriptedApi, scripted
from tests.connections.samples import connection
from tests.support.clock import FakeClock
from tests.taskflow.conftest import SetConnection
from tests.taskflow.later import an_hour_later
from tests.taskflow.test_secrets_backend import as_airflow_makes_it
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.endpoints import grants, script_endpoint
from tests.tokens.grant import manager, rotate_elsewhere


class StoredConnection:
    """A connection in Airflow's metadata database."""

    def __init__(self, conn_id: str, fields: dict[str, Any]) -> None:
        from airflow.models import Connection  # noqa: PLC0415 - Airflow needs its home first
        from airflow.utils.session import create_session  # noqa: PLC0415 - as above

        self.conn_id, self._session = conn_id, create_session
        self._class = Connection  # noqa: AIR311 - the ORM's
        self.delete()
        text = json.dumps(fields.pop("extra"))
        with create_session() as session:
            session.add(Connection(conn_id=conn_id, extra=text, **fields))  # noqa: AIR311 - the ORM's

    def extra(self) -> dict[str, Any]:
        with self._session() as session:
            row = session.query(self._class).filter_by(conn_id=self.conn_id).one()
            return dict(row.extra_dejson)

    def put(self, **extra: Any) -> None:
        with self._session() as session:
            row = session.query(self._class).filter_by(conn_id=self.conn_id).one()
            row.set_extra(json.dumps({**row.extra_dejson, **extra}))

    def delete(self) -> None:
        with self._session() as session:
            session.query(self._class).filter_by(conn_id=self.conn_id).delete()


@pytest.fixture
def stored(airflow_home: Path, oauth_server: OAuthTestServer) -> Iterator[StoredConnection]:
    """``copied``: a rotating grant whose refresh tokens are written back."""
    assert airflow_home.is_dir()
    seed = oauth_server.issue_refresh_token()
    found = StoredConnection("copied", oauth_server.connection(refresh_token=seed, write_back=True))
    yield found
    found.delete()
    broker._sources.clear()


def is_live(server: OAuthTestServer, refresh_token: str) -> bool:
    family = server.state.family(refresh_token)
    return family is not None and refresh_token in family.live


def test_each_rotated_refresh_token_is_written_into_the_metadata_database(
    stored: StoredConnection, oauth_server: OAuthTestServer
) -> None:
    before = stored.extra()
    with open_session("copied") as session:
        for _ in range(3):
            session.get("/countries").raise_for_status()
            an_hour_later()
            oauth_server.revoke_access_tokens()
    after = stored.extra()
    assert oauth_server.counters.refreshes == 3
    assert is_live(oauth_server, after["refresh_token"])
    assert {**after, "refresh_token": ""} == {**before, "refresh_token": ""}


def test_a_written_back_token_does_not_count_as_a_new_consent(
    stored: StoredConnection, oauth_server: OAuthTestServer
) -> None:
    old = open_session("copied")
    old.get("/countries").raise_for_status()
    for number in range(4):
        # The worker from the beginning, and one that reads the connection only now: each in turn has to refresh.
        with open_session("copied") as late:
            an_hour_later()
            oauth_server.revoke_access_tokens()
            for session in (old, late) if number % 2 else (late, old):
                session.get("/countries").raise_for_status()
    old.close()
    assert oauth_server.counters.refreshes == 5
    assert oauth_server.counters.reuse_detected == 0
    assert is_live(oauth_server, stored.extra()["refresh_token"])


def test_a_refresh_token_that_a_user_put_in_is_kept_and_used_next(
    stored: StoredConnection, oauth_server: OAuthTestServer
) -> None:
    with open_session("copied") as session:
        session.get("/countries").raise_for_status()
        consent = oauth_server.issue_refresh_token()
        stored.put(refresh_token=consent)
        oauth_server.revoke_access_tokens()
        session.get("/countries").raise_for_status()
    assert stored.extra()["refresh_token"] == consent
    with open_session("copied") as session:
        session.get("/countries").raise_for_status()
    assert not is_live(oauth_server, consent)
    assert is_live(oauth_server, stored.extra()["refresh_token"])


def test_the_broker_writes_back_too(
    stored: StoredConnection, oauth_server: OAuthTestServer
) -> None:
    before = stored.extra()["refresh_token"]
    found = as_airflow_makes_it().get_connection("copied")
    assert found.password in oauth_server.state.list_issued()
    after = stored.extra()["refresh_token"]
    assert after != before
    assert is_live(oauth_server, after)
    assert after not in str(found.extra)


def test_a_connection_that_cannot_be_written_is_named_and_the_token_used(
    airflow_home: Path,
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert airflow_home.is_dir()
    seed = oauth_server.issue_refresh_token()
    set_connection("variable", oauth_server.connection(refresh_token=seed, write_back="true"))
    with open_session("variable") as session:
        assert session.get("/countries").status_code == 200
    assert (
        "the refresh token was not written back: The connection is not in the metadata database in connection "
        "'variable', field 'write_back'. A secrets backend or variable cannot be written to: leave write_back out."
    ) in caplog.messages


def test_a_task_needs_a_connection_to_the_rest_api(
    stored: StoredConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stored.conn_id == "copied"
    with pytest.raises(ConnectionConfigError) as caught:
        write_back._airflow_session("crm", open_session)
    assert str(caught.value) == (
        "A task cannot write connections by itself in connection 'crm', field 'write_back'. Set [oauth_taskflow] "
        "write_back_conn_id to a connection to Airflow's REST API, or use broker mode."
    )
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__WRITE_BACK_CONN_ID", "copied")
    with write_back._airflow_session("crm", open_session) as session:
        assert (session.conn_id, session.retry.attempts) == ("copied", 1)


def test_without_write_back_nothing_is_copied(
    stored: StoredConnection, oauth_server: OAuthTestServer
) -> None:
    stored.put(write_back=False)
    before = stored.extra()
    source = token_source(load_settings("copied"))
    assert source is not None
    source.token()
    assert oauth_server.counters.refreshes == 1
    assert stored.extra() == before


def test_write_back_that_is_switched_on_counts_for_the_next_session_of_the_process(
    stored: StoredConnection, oauth_server: OAuthTestServer
) -> None:
    stored.put(write_back=False)
    with open_session("copied") as before:
        before.get("/countries").raise_for_status()
        seed = stored.extra()["refresh_token"]
        stored.put(write_back=True)
        an_hour_later()
        oauth_server.revoke_access_tokens()
        with open_session("copied") as after:
            after.get("/countries").raise_for_status()
    assert stored.extra()["refresh_token"] != seed
    assert is_live(oauth_server, stored.extra()["refresh_token"])


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"write_back": "perhaps", "refresh_token": "r"}, "The value must be true or false"),
        ({"write_back": True}, "The client_credentials grant has no refresh token to write back"),
    ],
)
def test_write_back_that_makes_no_sense_is_refused(extra: dict[str, Any], message: str) -> None:
    from oauth_taskflow.connections.parse import parse_connection  # noqa: PLC0415 - next to its test

    with pytest.raises(ConnectionConfigError, match=f"^{message} in connection 'crm', field"):
        parse_connection(connection(extra))
    auth = parse_connection(connection({**extra, "write_back": "false"})).auth
    assert isinstance(auth, OAuth2Settings)
    assert not auth.write_back


@pytest.fixture
def rest_api(
    set_connection: SetConnection, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ScriptedApi]:
    """Airflow's REST API as a task sees it: secrets are masked in what it shows."""

    def answer(asked: Asked) -> Any:
        if asked.method == "PATCH":
            return {}
        shown = {"token_url": "https://id.example.com/token", "refresh_token": "***"}
        return {"connection_id": "copied", "conn_type": "oauth2", "extra": json.dumps(shown)}

    monkeypatch.setattr(write_back, "in_task", lambda: True)
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__WRITE_BACK_CONN_ID", "rest")
    with scripted(answer) as api:
        extra = {"auth_type": "none"}
        set_connection("rest", {"conn_type": "oauth2", "host": api.url, "extra": extra})
        yield api


def test_a_task_writes_through_the_rest_api_and_leaves_masked_values_as_they_are(
    stored: StoredConnection, oauth_server: OAuthTestServer, rest_api: ScriptedApi
) -> None:
    with open_session("copied") as session:
        session.get("/countries").raise_for_status()
    asked, patched = rest_api.asked
    assert (asked.method, asked.path) == ("GET", "/api/v2/connections/copied")
    assert (patched.method, patched.path) == ("PATCH", "/api/v2/connections/copied")
    assert patched.query == {"update_mask": "extra"}
    extra = json.loads(patched.json.pop("extra"))
    assert is_live(oauth_server, extra.pop("refresh_token"))
    assert extra == {"token_url": "https://id.example.com/token"}
    assert patched.json["conn_type"] == "oauth2"


def test_a_task_leaves_a_refresh_token_alone_that_a_user_put_in(
    stored: StoredConnection, oauth_server: OAuthTestServer, rest_api: ScriptedApi
) -> None:
    with open_session("copied") as session:
        session.get("/countries").raise_for_status()
        stored.put(refresh_token=oauth_server.issue_refresh_token())
        asked = len(rest_api.asked)
        an_hour_later()
        oauth_server.revoke_access_tokens()
        session.get("/countries").raise_for_status()
    assert len(rest_api.asked) == asked == 2


@pytest.mark.parametrize(
    "reply",
    [
        Reply({"detail": "Forbidden"}, 403),
        Reply(b"<html>log in</html>"),
        Reply([1]),
        Reply({"conn_type": "oauth2", "extra": "[1]"}),
    ],
)
def test_a_rest_api_that_refuses_costs_the_copy_and_not_the_token(
    stored: StoredConnection,
    rest_api: ScriptedApi,
    caplog: pytest.LogCaptureFixture,
    reply: Reply,
) -> None:
    assert stored.conn_id == "copied"
    rest_api.route = lambda _: reply
    with open_session("copied") as session:
        session.get("/countries").raise_for_status()
    assert [asked.method for asked in rest_api.asked] == ["GET"]
    assert "the refresh token was not written back: " in caplog.text


def test_a_grant_without_a_refresh_token_leaves_its_connection_alone(tmp_path: Path) -> None:
    store = SqlTokenStore(f"sqlite:///{tmp_path}/tokens.db", [Fernet.generate_key()])
    write_back.write_back("nowhere", store, "a" * 64)  # would refuse the missing connection


def test_a_token_that_is_rotated_while_it_is_written_back_counts_as_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    store = ClockedStore(f"sqlite:///{tmp_path}/tokens.db", [Fernet.generate_key()], clock=clock)
    under_test = manager(store, script_endpoint(grants(clock, "at-1", "rt-1")))
    under_test.token()
    copied: list[str | None] = []
    monkeypatch.setattr(write_back, "in_task", lambda: False)
    monkeypatch.setattr(
        write_back, "_into_database", lambda copy: copied.append(copy.record.refresh_token)
    )
    store.meanwhile = lambda: rotate_elsewhere(store, under_test.grant_key, clock, "2")
    write_back.write_back("crm", store, under_test.grant_key)
    rotate_elsewhere(store, under_test.grant_key, clock, "3")
    assert copied == ["rt-2"]
    seen = Fingerprints(store.cipher.fingerprints("rt-2"), ("client",))
    assert not is_superseded(store.read(under_test.grant_key), seen)
