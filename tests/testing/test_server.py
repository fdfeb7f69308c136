"""The server as an object, as a process, as a fixture, and as an HTTP peer."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

import oauth_taskflow.testing
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.fixtures import ServerFactory
from tests.testing.calls import TIMEOUT, FakeClock, client_credentials


def test_the_connection_has_the_shape_of_an_airflow_connection(
    oauth_server: OAuthTestServer,
) -> None:
    assert oauth_server.connection() == {
        "conn_type": "oauth2",
        "host": oauth_server.base_url,
        "login": "test-client",
        "password": "test-secret",
        "extra": {"token_url": oauth_server.token_url, "scope": "airports.read"},
    }


def test_overrides_go_to_their_place_and_none_removes(oauth_server: OAuthTestServer) -> None:
    text = oauth_server.connection_json(
        conn_type="http", password=None, scope=None, refresh_token="rt"
    )

    assert json.loads(text) == {
        "conn_type": "http",
        "host": oauth_server.base_url,
        "login": "test-client",
        "extra": {"token_url": oauth_server.token_url, "refresh_token": "rt"},
    }


def test_a_server_without_scopes_names_none(oauth_server_factory: ServerFactory) -> None:
    server = oauth_server_factory(scopes=())

    assert "scope" not in server.connection()["extra"]
    assert "scope" not in client_credentials(server).json()


def test_a_stopped_server_cuts_idle_connections_and_frees_its_port() -> None:
    server = OAuthTestServer()
    with server, requests.Session() as client:
        assert client.get(server.base_url + "/echo", timeout=TIMEOUT).status_code == 200
        server.stop()
        with pytest.raises(requests.ConnectionError):
            client.get(server.base_url + "/echo", timeout=TIMEOUT)

    with OAuthTestServer(port=urlsplit(server.base_url).port or 0) as successor:
        assert successor.base_url == server.base_url


def test_one_connection_carries_many_requests(oauth_server: OAuthTestServer) -> None:
    address = urlsplit(oauth_server.base_url)
    client = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT)
    sockets = set()
    for _ in range(3):
        client.request("GET", "/echo")
        client.getresponse().read()
        sockets.add(client.sock)
    client.close()

    assert len(sockets) == 1
    assert None not in sockets


def test_chunked_request_bodies_are_read_whole(oauth_server: OAuthTestServer) -> None:
    def parts() -> Iterator[bytes]:
        yield b"one "
        yield b"two"

    answer = requests.post(oauth_server.base_url + "/echo", data=parts(), timeout=TIMEOUT)

    assert answer.json()["body"] == "one two"


def test_bytes_that_are_not_http_are_answered_and_forgotten(oauth_server: OAuthTestServer) -> None:
    address = urlsplit(oauth_server.base_url)
    with socket.create_connection((address.hostname, address.port), TIMEOUT) as raw:
        raw.sendall(b"this is no request line at all\r\n\r\n")
        answer = raw.makefile("rb").read()

    assert b"Error code: 400" in answer
    assert oauth_server.requests == []


def test_a_defect_in_the_server_shows_on_stderr(
    oauth_server: OAuthTestServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(oauth_server, "latency", "not a number")
    with pytest.raises(requests.ConnectionError):
        requests.get(oauth_server.base_url + "/echo", timeout=TIMEOUT)

    assert "TypeError" in capfd.readouterr().err


def test_two_servers_share_nothing(oauth_server_factory: ServerFactory) -> None:
    one, other = oauth_server_factory(), oauth_server_factory(clock=FakeClock())

    client_credentials(one)

    assert one.base_url != other.base_url
    assert other.counters.token_requests == 0


def test_the_package_names_what_it_has() -> None:
    for name in oauth_taskflow.testing.__all__:
        assert getattr(oauth_taskflow.testing, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = oauth_taskflow.testing.Nothing


def test_as_a_process_it_writes_port_and_connection_and_ends_on_sigterm(tmp_path: Path) -> None:
    port, connection = tmp_path / "port", tmp_path / "connection.json"
    command = [sys.executable, "-m", "oauth_taskflow.testing", "--rotate", "--token-lifetime", "5"]
    files = ["--port-file", str(port), "--connection-file", str(connection)]
    with subprocess.Popen([*command, *files], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        known = json.loads(connection.read_text())
        grant = {"grant_type": "refresh_token", "refresh_token": known["extra"]["refresh_token"]}
        auth = (known["login"], known["password"])
        answer = requests.post(url + "/oauth/token", data=grant, auth=auth, timeout=TIMEOUT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0

    assert url == f"http://127.0.0.1:{port.read_text()}"
    assert answer.json()["expires_in"] == 5
    assert stat.S_IMODE(connection.stat().st_mode) == 0o600


PROBE = """
import sys
import oauth_taskflow.testing.fixtures
print(sorted({"authlib", "airportsdata", "requests", "airflow"} & set(sys.modules)))
"""


def test_the_pytest_plugin_loads_nothing_heavy() -> None:
    probe = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True
    )

    assert probe.stdout.strip() == "[]"


def test_a_missing_extra_is_named_by_the_fixture(tmp_path: Path) -> None:
    (tmp_path / "authlib.py").write_text("raise ModuleNotFoundError(name='authlib')")
    (tmp_path / "test_it.py").write_text("def test_it(oauth_server): pass")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=False,
    )

    assert run.returncode == 1
    assert (
        "The fixture needs 'authlib', which is not installed. "
        "Install it with: pip install 'oauth-taskflow[testing]'" in run.stdout
    )


def test_a_page_of_500_rows_takes_less_than_10_milliseconds(oauth_server: OAuthTestServer) -> None:
    token = oauth_server.issue_access_token()
    with requests.Session() as client:
        client.headers["Authorization"] = f"Bearer {token}"
        url = oauth_server.base_url + "/page/airports?per_page=500&page="
        client.get(url + "1", timeout=TIMEOUT)
        began = time.perf_counter()
        for page in range(1, 31):
            assert len(client.get(url + str(page), timeout=TIMEOUT).content) > 50_000
        took = time.perf_counter() - began

    assert took / 30 < 0.010
