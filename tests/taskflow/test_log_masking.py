"""Log records that leave a task's process hold no secret."""

from __future__ import annotations

import base64
import importlib
import logging
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from oauth_taskflow import secret_registry
from oauth_taskflow.oauth.masking_source import MaskingTokenSource
from oauth_taskflow.oauth.token import Token, TokenSource
from oauth_taskflow.secret_registry import list_secrets
from oauth_taskflow.taskflow import log_masking
from oauth_taskflow.taskflow.broker import server as broker
from oauth_taskflow.taskflow.connection_lookup import load_settings
from oauth_taskflow.taskflow.sessions import open_session
from oauth_taskflow.testing import OAuthTestServer
from tests.oauth.keys import new_key, pem_of
from tests.oauth.raw_server import answering, raw_server
from tests.support.clock import FakeClock
from tests.taskflow.conftest import SetConnection


@pytest.fixture(autouse=True)
def secret() -> None:
    """Known before the test begins: Airflow sets logging up at its first import, which removes pytest's handler."""
    log_masking.install()
    secret_registry.add(["wire/key+x9hush"])


def test_the_debug_log_of_the_wire_holds_no_key_of_a_query(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with OAuthTestServer() as server, caplog.at_level(logging.DEBUG, "urllib3.connectionpool"):
        requests.get(f"{server.base_url}/echo", params={"key": "wire/key+x9hush"}, timeout=20)
    assert "GET /echo?key=*** HTTP/1.1" in caplog.text
    assert "hush" not in caplog.text


def test_warnings_and_retries_of_urllib3_log_no_key_of_a_query(
    caplog: pytest.LogCaptureFixture,
) -> None:
    head = b"HTTP/1.1 503 Later\r\nConnection: close\r\nContent-Length: 0\r\n: no name\r\n\r\n"
    garbled = answering(head)
    again = HTTPAdapter(max_retries=Retry(1, status_forcelist=[503], raise_on_status=False))
    with raw_server(garbled) as place, requests.Session() as session:
        session.mount("http://", again)
        with caplog.at_level(logging.DEBUG, "urllib3"):
            session.get(f"http://{place}/x", params={"key": "wire/key+x9hush"}, timeout=20)
    assert f"Failed to parse headers (url=http://{place}/x?key=***)" in caplog.text
    assert "Incremented Retry for (url='/x?key=***')" in caplog.text
    assert "hush" not in caplog.text


@pytest.mark.parametrize(
    ("parameter", "shown"),
    [
        ("fb_exchange_token=EAAnever-seen-before", "fb_exchange_token=***"),
        ("client_secret=never%2Bseen", "client_secret=***"),
        ("of=eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl", "of=***"),
    ],
)
def test_the_debug_log_of_the_wire_holds_no_text_that_looks_or_is_named_like_a_secret(
    parameter: str, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "urllib3.connectionpool"):
        line = ("http://127.0.0.1:1", "GET", f"/token?{parameter}&page=2")
        logging.getLogger("urllib3.connectionpool").debug('%s "%s %s"', *line)
    assert caplog.messages == [f'http://127.0.0.1:1 "GET /token?{shown}&page=2"']


def test_a_refresh_token_is_known_before_it_is_sent_wherever_it_was_kept(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    first = oauth_server.issue_refresh_token()
    set_connection("crm", oauth_server.connection(refresh_token=first))
    for _ in range(2):
        with open_session("crm") as session:
            assert session.get("/countries").status_code == 200
        oauth_server.revoke_access_tokens()
    family = oauth_server.state.family(first)
    assert family is not None
    assert len(family.spent_at) == 2
    assert family.spent_at.keys() <= list_secrets().keys()


def test_a_saml_assertion_is_known_in_the_form_that_is_sent(
    oauth_server: OAuthTestServer, set_connection: SetConnection, tmp_path: Path
) -> None:
    path = tmp_path / "assertion.xml"
    path.write_text(xml := "<Assertion><NameID>carol</NameID></Assertion>")
    extra = {"grant_type": "saml2_bearer", "assertion_file": str(path)}
    set_connection("crm", oauth_server.connection(**extra))
    with open_session("crm") as session:
        assert session.get("/countries").status_code == 200
    sent = base64.urlsafe_b64encode(xml.encode()).decode().rstrip("=")
    assert sent in list_secrets()
    assert sent in list_secrets()[xml]


def test_a_private_key_in_a_file_is_known_line_by_line(
    oauth_server: OAuthTestServer, set_connection: SetConnection, tmp_path: Path
) -> None:
    path = tmp_path / "key.pem"
    path.write_text(pem := pem_of(new_key()))
    set_connection("crm", oauth_server.connection(password=None, private_key_file=str(path)))
    load_settings("crm")
    assert set(pem.splitlines()[1:3]) <= set(list_secrets()[pem.strip()])


def test_the_broker_knows_the_secrets_before_it_uses_them(
    oauth_server: OAuthTestServer, set_connection: SetConnection, tmp_path: Path
) -> None:
    secret = f"of-{tmp_path.name}"
    set_connection("crm", oauth_server.connection(password=secret))
    assert secret not in list_secrets()
    broker._find_source(load_settings("crm"))
    assert secret in list_secrets()


def test_on_the_api_server_only_our_own_filter_learns_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr("airflow.sdk.log.mask_secret", reported.append)
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    secret_registry.add([secret := f"token-of-{tmp_path.name}"])
    assert reported == []
    assert secret in list_secrets()
    # A task of LocalExecutor inherits the variable, and an author prints there.
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - Airflow needs its home first

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", None, raising=False)
    secret_registry.add([other := f"another-{secret}"])
    assert other in reported[0]


def test_other_records_stay_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "httpx"):
        logging.getLogger("httpx").debug("HTTP Request: %s", "GET /echo")
    assert caplog.records[0].args == ("GET /echo",)


class Supervisor:
    """Keeps the messages of a task's process to the process that writes its log."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def send(self, message: Any) -> None:
        self.heard.append(message.value)


def test_the_supervisor_gets_each_secret_once_and_its_long_forms_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - Airflow needs its home first

    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    for _ in range(2):
        secret_registry.add(["one/secret", "another&secret", ""])
    (reported,) = supervisor.heard
    assert {"one/secret", "one%2Fsecret", "another%26secret"} <= set(reported)
    assert reported == sorted(reported, key=len)


class Constant(TokenSource):
    """Hands out one token."""

    def __init__(self, token: Token) -> None:
        self._token = token

    def token(self) -> Token:
        return self._token

    def replace_refused(self, access_token: str) -> Token:
        raise NotImplementedError


def airflows_patterns() -> str:
    """Returns the patterns that Airflow's maskers have compiled: that of tasks, and that of the API server."""
    compiled = []
    for name in ("airflow._shared.secrets_masker", "airflow.sdk._shared.secrets_masker"):
        masker = importlib.import_module(name)._secrets_masker()
        compiled.append(masker.replacer.pattern if masker.replacer else "")
    return "|".join(compiled)


def test_a_process_that_lives_for_weeks_forgets_tokens_that_have_expired(
    airflow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.models.connection import Connection  # noqa: PLC0415 - Airflow needs its home first

    monkeypatch.setattr(secret_registry, "SYSTEM_CLOCK", clock := FakeClock())
    secret_registry.add(["the-client-secret"])
    most = 0
    for number in range(50):
        token = Token(f"token/{number}", clock.now(), clock.now() + 3600)
        MaskingTokenSource(Constant(token)).token()
        # As Airflow's API server does with what the broker hands out.
        Connection("crm", "oauth2", password=token.access_token)
        most = max(most, airflows_patterns().count("token/"))
        clock.advance(1800)
    shown = airflows_patterns()
    assert "the\\-client\\-secret" in shown
    assert all(f"token/{number}" in shown for number in (47, 48, 49))
    assert "token/40" not in shown
    assert "token%2F40" not in shown
    # Raw and quoted by Airflow, raw and quoted by us: of the few that live, and not of fifty.
    assert most < 30


def test_a_secret_that_is_sent_repeatedly_stays_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    day = 86400.0
    monkeypatch.setattr(secret_registry, "SYSTEM_CLOCK", clock := FakeClock(0.0))
    secret_registry.add_in_transit(["used every day", "used once"])
    for _ in range(3):
        clock.advance(0.8 * day)
        secret_registry.add_in_transit(["used every day"])
    secret_registry.add(["another secret"])
    assert "used every day" in list_secrets()
    assert "used once" not in list_secrets()
