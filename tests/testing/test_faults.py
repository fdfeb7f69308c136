"""Scripted failures: what the client sees, and what the server did all the same."""

from __future__ import annotations

import threading
import time

import pytest
import requests

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.fixtures import ServerFactory
from tests.testing.calls import TIMEOUT, client_credentials, get, refresh


def test_a_scripted_answer_comes_as_often_as_asked_and_then_no_more(
    oauth_server: OAuthTestServer,
) -> None:
    oauth_server.fault(
        "/oauth/token", status=503, headers={"Retry-After": "7"}, body="maintenance", times=2
    )

    answers = [client_credentials(oauth_server) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert (answers[0].text, answers[0].headers["Retry-After"]) == ("maintenance", "7")
    assert oauth_server.counters.tokens_issued == 1


def test_faults_of_one_path_leave_other_paths_alone(oauth_server: OAuthTestServer) -> None:
    oauth_server.fault("/page/*", status=500)
    token = oauth_server.issue_access_token()

    assert get(oauth_server, "/countries", token).status_code == 200
    assert get(oauth_server, "/page/airports", token).status_code == 500
    assert get(oauth_server, "/page/airports", token).status_code == 200


def test_a_response_dropped_after_commit_leaves_the_token_rotated(
    oauth_server: OAuthTestServer,
) -> None:
    token = oauth_server.issue_refresh_token()
    oauth_server.drop_response_after_commit()

    with pytest.raises(requests.ConnectionError):
        refresh(oauth_server, token)

    assert oauth_server.counters.refreshes == 1
    assert oauth_server.requests[-1].status is None
    assert refresh(oauth_server, token).json()["error"] == "invalid_grant"
    assert oauth_server.counters.reuse_detected == 1


def test_a_connection_dropped_before_the_request_is_carried_out_changes_nothing(
    oauth_server: OAuthTestServer,
) -> None:
    token = oauth_server.issue_refresh_token()
    oauth_server.fault("/oauth/token", drop=True)

    with pytest.raises(requests.ConnectionError):
        refresh(oauth_server, token)

    assert oauth_server.counters.refreshes == 0
    assert refresh(oauth_server, token).status_code == 200


def test_another_answer_after_commit_hides_what_was_done(oauth_server: OAuthTestServer) -> None:
    token = oauth_server.issue_refresh_token()
    oauth_server.fault("/oauth/token", status=502, after_commit=True)

    assert refresh(oauth_server, token).status_code == 502
    assert oauth_server.counters.refreshes == 1


def test_a_hang_outlasts_the_client_and_its_request_is_logged_unanswered(
    oauth_server: OAuthTestServer,
) -> None:
    oauth_server.fault("/echo", hang=30)

    with pytest.raises(requests.ReadTimeout):
        requests.get(oauth_server.base_url + "/echo", timeout=0.1)

    while not oauth_server.requests:  # it may reach the server after its client has gone
        time.sleep(0.005)
    assert [(entry.path, entry.status) for entry in oauth_server.requests] == [("/echo", None)]


def test_a_short_hang_only_delays_the_answer(oauth_server: OAuthTestServer) -> None:
    oauth_server.fault("/echo", hang=0.05)
    began = time.monotonic()

    answer = requests.get(oauth_server.base_url + "/echo", timeout=TIMEOUT)

    assert answer.status_code == 200
    assert time.monotonic() - began >= 0.05


def test_stopping_the_server_ends_a_hang(oauth_server: OAuthTestServer) -> None:
    server = oauth_server
    server.fault("/echo", hang=60)
    failures: list[Exception] = []

    def call() -> None:
        try:
            requests.get(server.base_url + "/echo", timeout=60)
        except requests.ConnectionError as cut:
            failures.append(cut)

    caller = threading.Thread(target=call)
    caller.start()
    while not server.requests:
        time.sleep(0.005)
    server.stop()
    caller.join(20)

    assert not caller.is_alive()
    assert len(failures) == 1


def test_latency_delays_every_answer(oauth_server_factory: ServerFactory) -> None:
    server = oauth_server_factory(latency=0.05)
    began = time.monotonic()

    requests.get(server.base_url + "/echo", timeout=TIMEOUT)

    assert time.monotonic() - began >= 0.05


def test_cleared_faults_never_happen(oauth_server: OAuthTestServer) -> None:
    oauth_server.fault("/echo", status=500)
    oauth_server.faults.clear()

    assert requests.get(oauth_server.base_url + "/echo", timeout=TIMEOUT).status_code == 200
