"""The server's record of requests, read in this process and over HTTP."""

from __future__ import annotations

import threading
import time
from typing import Any

import requests

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.fixtures import ServerFactory
from tests.testing.calls import TIMEOUT, FakeClock, client_credentials, get, refresh


def order(server: OAuthTestServer, method: str, path: str, body: object = None) -> Any:
    """A call to the control endpoints."""
    return requests.request(method, server.base_url + path, json=body, timeout=TIMEOUT).json()


def test_a_request_is_logged_with_all_that_was_sent(oauth_server_factory: ServerFactory) -> None:
    server = oauth_server_factory(clock=FakeClock(at=1234.5))

    client_credentials(server, scope="airports.read")

    (entry,) = server.requests
    assert (entry.time, entry.method, entry.path, entry.status) == (
        1234.5,
        "POST",
        "/oauth/token",
        200,
    )
    assert entry.form == {"grant_type": "client_credentials", "scope": "airports.read"}
    assert entry.headers["Authorization"].startswith("Basic ")


def test_repeated_headers_and_parameters_are_kept(oauth_server: OAuthTestServer) -> None:
    requests.get(oauth_server.base_url + "/echo?a=1&a=2&b=", timeout=TIMEOUT)

    (entry,) = oauth_server.requests
    assert entry.query == (("a", "1"), ("a", "2"), ("b", ""))
    assert entry.params == {"a": "2", "b": ""}


def test_the_log_shows_no_secret_in_its_repr(oauth_server: OAuthTestServer) -> None:
    refresh(oauth_server, "very-secret")

    assert "very-secret" not in repr(oauth_server.requests)
    assert "Basic" not in repr(oauth_server.requests)


def test_clearing_forgets_requests_but_not_counters(oauth_server: OAuthTestServer) -> None:
    client_credentials(oauth_server)
    oauth_server.clear_log()

    assert oauth_server.requests == []
    assert oauth_server.counters.token_requests == 1


def test_a_request_that_was_cleared_away_while_it_ran_does_not_come_back(
    oauth_server: OAuthTestServer,
) -> None:
    oauth_server.fault("/echo", hang=0.1)
    caller = threading.Thread(
        target=requests.get, args=(oauth_server.base_url + "/echo",), kwargs={"timeout": TIMEOUT}
    )
    caller.start()
    while not oauth_server.requests:
        time.sleep(0.005)
    oauth_server.clear_log()
    caller.join()

    assert oauth_server.requests == []


def test_other_processes_read_the_log_and_the_counters_over_http(
    oauth_server: OAuthTestServer,
) -> None:
    client_credentials(oauth_server)

    (entry,) = order(oauth_server, "GET", "/_log")
    assert (entry["path"], entry["status"]) == ("/oauth/token", 200)
    assert order(oauth_server, "GET", "/_counters")["token_requests"] == 1
    assert order(oauth_server, "DELETE", "/_log") == {}
    assert order(oauth_server, "GET", "/_log") == []


def test_other_processes_get_refresh_tokens_and_connections(oauth_server: OAuthTestServer) -> None:
    token = order(oauth_server, "POST", "/_refresh_token", {"scope": "airports.write"})

    assert refresh(oauth_server, token["refresh_token"]).json()["scope"] == "airports.write"
    assert order(oauth_server, "POST", "/_connection", {"leeway": 1}) == oauth_server.connection(
        leeway=1
    )


def test_other_processes_script_faults_and_revoke_tokens(oauth_server: OAuthTestServer) -> None:
    token = oauth_server.issue_access_token()

    order(oauth_server, "POST", "/_fault", {"path": "/oauth/token", "status": 418})
    assert order(oauth_server, "POST", "/_revoke_access_tokens") == {"revoked": 1}

    assert client_credentials(oauth_server).status_code == 418
    assert get(oauth_server, "/countries", token).status_code == 401


def test_a_wrong_order_is_refused_with_its_reason(oauth_server: OAuthTestServer) -> None:
    assert "path" in order(oauth_server, "POST", "/_fault", {"status": 500})["error"]
    assert "who" in order(oauth_server, "POST", "/_refresh_token", {"who": "me"})["error"]
