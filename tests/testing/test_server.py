"""The server as an object, as a process, as a fixture, and as an HTTP peer."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

import oauth_taskflow.testing
from oauth_taskflow.testing import OAuthTestServer, missing_extra
from oauth_taskflow.testing.__main__ import main
from oauth_taskflow.testing.fixtures import ServerFactory, _server_class
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


@pytest.mark.parametrize(
    ("methods", "client_auth", "password"),
    [
        (("client_secret_post",), "client_secret_post", "test-secret"),
        (("none",), "none", None),
    ],
)
def test_the_connection_names_the_client_authentication_that_works(
    oauth_server_factory: ServerFactory,
    methods: tuple[str, ...],
    client_auth: str,
    password: str | None,
) -> None:
    connection = oauth_server_factory(client_auth=methods).connection()

    assert connection["extra"]["client_auth"] == client_auth
    assert connection.get("password") == password


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


def test_a_server_that_was_never_started_can_be_stopped_twice() -> None:
    server = OAuthTestServer()
    server.stop()
    server.stop()

    with pytest.raises(requests.ConnectionError):
        requests.get(server.base_url, timeout=TIMEOUT)


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
    monkeypatch.setattr(oauth_server.faults, "latency", "not a number")
    with pytest.raises(requests.ConnectionError):
        requests.get(oauth_server.base_url + "/echo", timeout=TIMEOUT)

    assert "TypeError" in capfd.readouterr().err


def test_a_client_that_goes_away_leaves_no_trace_on_stderr(
    oauth_server: OAuthTestServer, capfd: pytest.CaptureFixture[str]
) -> None:
    address = urlsplit(oauth_server.base_url)
    oauth_server.fault("/echo", hang=0.05)
    raw = socket.create_connection((address.hostname, address.port), TIMEOUT)
    # Zero linger: closing resets the connection, so that writing the answer fails.
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.sendall(b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
    raw.close()
    while not oauth_server.requests or oauth_server.requests[0].status is None:
        time.sleep(0.005)
    requests.get(oauth_server.base_url + "/echo", timeout=TIMEOUT)

    assert capfd.readouterr().err == ""


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


def test_main_serves_until_a_signal_and_gives_the_handlers_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port, before = tmp_path / "port", signal.getsignal(signal.SIGTERM)
    statuses: list[int] = []

    def visit() -> None:
        while not port.exists():
            time.sleep(0.005)
        url = f"http://127.0.0.1:{port.read_text()}"
        statuses.append(requests.get(url + "/echo", timeout=TIMEOUT).status_code)
        os.kill(os.getpid(), signal.SIGTERM)

    visitor = threading.Thread(target=visit)
    visitor.start()
    status = main(["--port-file", str(port)])
    visitor.join()

    assert (status, statuses) == (0, [200])
    assert capsys.readouterr().out == f"http://127.0.0.1:{port.read_text()}\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_without_rotation_the_connection_file_holds_no_refresh_token(tmp_path: Path) -> None:
    connection = tmp_path / "connection.json"
    threading.Thread(target=stop_when_written, args=(connection,)).start()

    main(["--connection-file", str(connection)])

    assert "refresh_token" not in json.loads(connection.read_text())["extra"]


def test_the_connection_file_for_a_login_names_the_places_where_a_person_agrees(
    tmp_path: Path,
) -> None:
    connection = tmp_path / "connection.json"
    threading.Thread(target=stop_when_written, args=(connection,)).start()

    main(["--rotate", "--login", "--connection-file", str(connection)])

    extra = json.loads(connection.read_text())["extra"]
    assert {"authorize_url", "device_url", "revoke_url", "token_url"} <= set(extra)
    assert extra["grant_type"] == "authorization_code"
    assert "refresh_token" not in extra


def stop_when_written(path: Path) -> None:
    while not path.exists():
        time.sleep(0.005)
    os.kill(os.getpid(), signal.SIGTERM)


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


@pytest.mark.parametrize("library", ["airportsdata", "authlib", "joserfc", "msgspec"])
def test_a_missing_extra_is_named_by_fixture_and_command(
    library: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(missing_extra, "find_spec", lambda name: None if name == library else name)

    with pytest.raises(pytest.fail.Exception) as failed:
        _server_class()

    message = (
        f"The test server needs {library!r}, which is not installed. "
        "Install it with: pip install 'oauth-taskflow[testing]'"
    )
    assert str(failed.value) == message
    assert main([]) == 2
    assert capsys.readouterr().err == message + "\n"


def test_a_page_of_500_rows_costs_less_than_10_milliseconds(oauth_server: OAuthTestServer) -> None:
    with requests.Session() as client:
        url = oauth_server.base_url + "/with/none/page/airports?per_page=500&page="
        client.get(url + "1", timeout=TIMEOUT)
        began = time.process_time()  # client and server together, whatever else the machine does
        for page in range(1, 31):
            assert len(client.get(url + str(page), timeout=TIMEOUT).content) > 50_000
        took = time.process_time() - began

    assert took / 30 < 0.010
