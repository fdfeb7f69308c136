"""Every kind of authentication in a whole Airflow at DEBUG level; then every place where a secret could have ended up.

The secrets hold characters that URLs, forms and Basic credentials encode, so that each form differs from the raw one.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from oauth_taskflow.redaction import secret_forms
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.api import StaticCredentials
from oauth_taskflow.testing.deployment import AirflowDeployment
from oauth_taskflow.testing.request_log import LoggedRequest

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

CLIENT_SECRET = "Cl1ent/s3cret+of=the&test?çlient"
BEARER = "B3arer/of+the~static.kind-0815"
API_KEY = "Ap1/key+which=opens&with?it"
PASSWORD = "Pa55/word+for=login&basic?ö"
WRONG = "Wr0ng/secret+that=opens&nothing?"
STATIC = (CLIENT_SECRET, BEARER, API_KEY, PASSWORD, WRONG)
USER = "admin"

DAGS = """\
from airflow.providers.http.operators.http import HttpOperator
from airflow.sdk import dag
from oauth_taskflow import OAuth2Hook, OAuth2HttpOperator, OAuthSession, oauth_task

PATHS = {paths!r}

@dag(schedule=None)
def kinds():
    @oauth_task(conn_id="client")
    def read(conn_id: str, path: str, session: OAuthSession) -> int:
        answer = session.get(path)
        answer.raise_for_status()
        print("what the author prints:", answer.request.headers, answer.request.url, session.auth, session.headers)
        return OAuth2Hook(http_conn_id=conn_id, method="GET").run(path).status_code

    for conn_id, path in PATHS.items():
        read.override(task_id=conn_id, conn_id=conn_id)(conn_id, path)

    @oauth_task(conn_id="wrong", retries=0)
    def refused(session: OAuthSession) -> None:
        session.get("/countries")

    @oauth_task(conn_id="rotating", retries=0)
    def breaks(session: OAuthSession) -> None:
        headers = session.get("/echo").request.headers
        raise RuntimeError(f"the author shows {{dict(headers)}}")

    refused()
    breaks()
    OAuth2HttpOperator(task_id="ours", http_conn_id="rotating", endpoint="/countries", method="GET", log_response=True)
    OAuth2HttpOperator(
        task_id="deferred", http_conn_id="query", endpoint="/countries", method="GET", deferrable=True
    )
    HttpOperator(task_id="stock", http_conn_id="bearer", endpoint="/countries", method="GET", log_response=True)

kinds()
"""
SPEC = """\
version: 1
dag_id: pulled
start_date: 2026-01-01
connection: rotating
endpoints:
  countries:
    request: {{path: /countries}}
    records: data
    destination: {{type: file, path: "{folder}", format: jsonl}}
"""
PATHS = {
    "client": "/countries",
    "posting": "/countries",
    "rotating": "/countries",
    "older": "/countries",
    "bearer": "/countries",
    "header": "/countries",
    "query": "/countries",
    "basic": "/countries",
    "login": "/countries",
}


def _connections(server: OAuthTestServer) -> dict[str, dict[str, Any]]:
    """One connection of every kind in docs/connections.md."""

    def static(kind: str, below: str = "", **fields: Any) -> dict[str, Any]:
        extra = {"auth_type": kind, **fields.pop("extra", {})}
        return {"conn_type": "oauth2", "host": server.base_url + below, "extra": extra, **fields}

    older = {
        "auth_type": "oauth2",
        "client_id": server.client_id,
        "client_secret": CLIENT_SECRET,
        "token_url": server.token_url,
        "refresh_token": server.issue_refresh_token(),
    }
    return {
        "client": server.connection(),
        "posting": server.connection(client_auth="client_secret_post"),
        "rotating": server.connection(refresh_token=server.issue_refresh_token()),
        "older": {"conn_type": "http", "host": server.base_url, "extra": older},
        "bearer": static("bearer", "/with/bearer", password=BEARER),
        "header": static("api_key", "/with/api_key", password=API_KEY),
        "query": static("api_key", "/with/none", password=API_KEY, extra={"api_key_in": "query"}),
        "basic": static("basic", "/with/basic", login=USER, password=PASSWORD),
        "login": static("session", login=USER, password=PASSWORD),
        "wrong": server.connection(password=WRONG),
    }


@dataclass
class ProcessArguments:
    """The arguments of all processes of this machine, looked at again and again."""

    seen: set[bytes] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Until ``over``."""
        while not self.over.wait(0.05):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):  # the process ended meanwhile
                    self.seen.add(file.read_bytes())


@dataclass(frozen=True)
class Aftermath:
    """What is left when everything ran: the server's log, the files of Airflow, the arguments of processes."""

    server: OAuthTestServer
    home: Path
    states: dict[str, str]
    arguments: set[bytes]

    def secrets(self) -> list[str]:
        """All that must not be found, those that were issued meanwhile included."""
        issued = self.server.vault.issued()
        assert len(issued) > len(PATHS)
        return [*STATIC, *issued]


def forms(secret: str) -> set[bytes]:
    """How ``secret`` may show up: raw, as URLs, forms and JSON write it, and in base64 behind any other text."""
    texts = {*secret_forms(secret), json.dumps(secret)[1:-1], quote(secret)}
    for text in {secret, quote_plus(secret)}:
        raw = text.encode()
        for before in range(3):
            whole = base64.b64encode(bytes(before) + raw)[4 if before else 0 :]
            texts.add(whole.rstrip(b"=")[:-1].decode())
    return {text.encode() for text in texts}


def _run_everything(server: OAuthTestServer, home: Path, dags: Path) -> Aftermath:
    watched = ProcessArguments()
    watcher = threading.Thread(target=watched.watch)
    watcher.start()
    debug = {"AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG"}
    try:
        with AirflowDeployment(home, dags, environment=debug, parallelism=6) as airflow:
            for conn_id, connection in _connections(server).items():
                airflow.add_connection(conn_id, connection)
            runs = {dag_id: airflow.trigger(dag_id) for dag_id in ("kinds", "pulled")}
            states: dict[str, str] = {}
            for dag_id, run_id in runs.items():
                airflow.wait(dag_id, run_id)
                tasks = airflow.task_instances(dag_id, run_id)
                states |= {f"{dag_id}.{task['task_id']}": task["state"] for task in tasks}
    finally:
        watched.over.set()
        watcher.join()
    return Aftermath(server, home, states, watched.seen)


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """One run of everything."""
    home = tmp_path_factory.mktemp("leaks")
    (dags := home / "dags").mkdir()
    (dags / "kinds.py").write_text(DAGS.format(paths=PATHS))
    (dags / "specs.py").write_text(
        "from oauth_taskflow import load_specs  # airflow dag\nload_specs(globals(), '.')\n"
    )
    (dags / "pulled.yaml").write_text(SPEC.format(folder=home / "lake"))
    server = OAuthTestServer(token_lifetime=2.0, client_secret=CLIENT_SECRET)
    server.credentials = StaticCredentials(BEARER, API_KEY, USER, PASSWORD)
    with server:
        yield _run_everything(server, home, dags)


@pytest.fixture(scope="module")
def needles(aftermath: Aftermath) -> dict[bytes, str]:
    """Every form of every secret, and which secret it is."""
    return {form: secret for secret in aftermath.secrets() for form in forms(secret)}


def test_every_kind_worked_and_what_should_fail_failed(aftermath: Aftermath) -> None:
    failed = {task for task, state in aftermath.states.items() if state != "success"}
    assert failed == {"kinds.refused", "kinds.breaks"}
    assert len(aftermath.states) == len(PATHS) + 6


def test_logs_database_token_store_and_every_other_file_hold_no_secret(
    aftermath: Aftermath, needles: dict[bytes, str]
) -> None:
    files = [path for path in aftermath.home.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"airflow.db", "oauth_taskflow.db", "standalone.log"} <= names
    assert any("DEBUG" in path.read_text(errors="replace") for path in files if ".log" in path.name)
    found = {
        (str(path.relative_to(aftermath.home)), secret, form)
        for path in files
        for form, secret in _found(needles, _without_what_the_author_shows(path))
    }
    assert found == set()


def _without_what_the_author_shows(path: Path) -> bytes:
    """LocalExecutor repeats task logs on the scheduler's output, and Airflow 3.3 masks nothing there.

    What the package and its libraries log must be clean without that; an author's own words cannot be.
    """
    if path.name != "standalone.log":
        return path.read_bytes()
    lines = path.read_bytes().splitlines()
    return b"\n".join(line for line in lines if b"the author" not in line)


def test_no_process_was_started_with_a_secret(
    aftermath: Aftermath, needles: dict[bytes, str]
) -> None:
    assert any(b"airflow" in arguments for arguments in aftermath.arguments)
    everything = b"\n".join(aftermath.arguments)
    assert _found(needles, everything) == []


def _found(needles: dict[bytes, str], text: bytes) -> list[tuple[bytes, str]]:
    return [(form, secret) for form, secret in needles.items() if form in text]


def test_on_the_wire_each_secret_goes_only_where_it_belongs(
    aftermath: Aftermath, needles: dict[bytes, str]
) -> None:
    astray = [
        (request.method, request.path, place, secret)
        for request in aftermath.server.requests
        for place, text in _places(request).items()
        for _, secret in _found(needles, text)
        if not _belongs(aftermath.server, request, place, secret)
    ]
    assert astray == []


def _places(request: LoggedRequest) -> dict[str, bytes]:
    texts = {"path": request.path, "query": str(request.query), "body": request.body}
    texts |= {f"header {name}": value for name, value in request.headers.items()}
    return {place: text.encode() for place, text in texts.items()}


def _belongs(server: OAuthTestServer, request: LoggedRequest, place: str, secret: str) -> bool:
    """Whether the protocol wants ``secret`` at this place of this request."""
    in_authorization = place == "header Authorization"
    if request.path == "/oauth/token":
        known = secret in {CLIENT_SECRET, WRONG} or server.vault.family(secret) is not None
        return known and (in_authorization or place == "body")
    if secret in {CLIENT_SECRET, WRONG}:
        return False
    if secret == PASSWORD:
        login = request.path == "/auth/token" and place == "body"
        return login or (request.path.startswith("/with/basic/") and in_authorization)
    if secret == BEARER:
        return request.path.startswith("/with/bearer/") and in_authorization
    if secret == API_KEY:
        in_header = request.path.startswith("/with/api_key/") and place == "header X-Api-Key"
        return in_header or (request.path.startswith("/with/none/") and place == "query")
    return in_authorization and server.vault.family(secret) is None
