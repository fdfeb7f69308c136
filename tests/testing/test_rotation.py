"""Families of refresh tokens: rotation, reuse detection, grace."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from oauth_taskflow.testing import Counters, OAuthTestServer
from oauth_taskflow.testing.fixtures import ServerFactory
from oauth_taskflow.testing.server_state import Client
from tests.testing.calls import FakeClock, ask_token, get, refresh


def successor(server: OAuthTestServer, refresh_token: str) -> str:
    answer = refresh(server, refresh_token)
    assert answer.status_code == 200
    return str(answer.json()["refresh_token"])


def error(server: OAuthTestServer, refresh_token: str) -> str:
    return str(refresh(server, refresh_token).json().get("error"))


def test_each_refresh_yields_a_new_pair(oauth_server: OAuthTestServer) -> None:
    first = oauth_server.issue_refresh_token()

    second = successor(oauth_server, first)
    third = successor(oauth_server, second)

    assert len({first, second, third}) == 3
    assert oauth_server.counters == Counters(token_requests=2, tokens_issued=2, refreshes=2)


def test_reuse_revokes_the_whole_family_and_its_access_tokens(
    oauth_server: OAuthTestServer,
) -> None:
    first = oauth_server.issue_refresh_token()
    pair = refresh(oauth_server, first).json()

    assert error(oauth_server, first) == "invalid_grant"

    assert error(oauth_server, pair["refresh_token"]) == "invalid_grant"
    assert get(oauth_server, "/countries", pair["access_token"]).status_code == 401
    assert oauth_server.counters.reuse_detected == 1
    assert oauth_server.counters.revoked_families == 1


def test_reuse_leaves_other_families_alone(oauth_server: OAuthTestServer) -> None:
    first, other = oauth_server.issue_refresh_token(), oauth_server.issue_refresh_token()
    successor(oauth_server, first)
    error(oauth_server, first)

    assert refresh(oauth_server, other).status_code == 200


@pytest.fixture
def eager_thread_switches() -> Iterator[None]:
    """Threads change so often that a race shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.slow
@pytest.mark.usefixtures("eager_thread_switches")
def test_exactly_one_of_simultaneous_refreshes_with_one_token_wins(
    oauth_server: OAuthTestServer,
) -> None:
    together = Barrier(4)

    def attempt(token: str) -> int:
        together.wait()
        return refresh(oauth_server, token).status_code

    with ThreadPoolExecutor(4) as pool:
        for rounds in range(1, 26):
            statuses = Counter(pool.map(attempt, [oauth_server.issue_refresh_token()] * 4))
            assert statuses == {200: 1, 400: 3}
            assert oauth_server.counters.reuse_detected == rounds


def test_within_grace_a_resent_token_yields_another_pair_and_both_successors_live(
    oauth_server_factory: ServerFactory,
) -> None:
    clock = FakeClock()
    server = oauth_server_factory(grace=5, clock=clock)
    first = server.issue_refresh_token()
    lost = successor(server, first)
    clock.at += 4.9

    arrived = successor(server, first)

    assert arrived != lost
    assert refresh(server, arrived).status_code == 200
    assert refresh(server, lost).status_code == 200
    assert server.counters.reuse_detected == 0


def test_grace_ends_on_time_and_is_not_prolonged_by_use(
    oauth_server_factory: ServerFactory,
) -> None:
    clock = FakeClock()
    server = oauth_server_factory(grace=5, clock=clock)
    first = server.issue_refresh_token()
    successor(server, first)
    clock.at += 4
    successor(server, first)
    clock.at += 1

    assert error(server, first) == "invalid_grant"
    assert server.counters.revoked_families == 1


def test_grace_covers_only_the_previous_token(oauth_server_factory: ServerFactory) -> None:
    server = oauth_server_factory(grace=5, clock=FakeClock())
    first = server.issue_refresh_token()
    successor(server, successor(server, first))

    assert error(server, first) == "invalid_grant"
    assert server.counters.reuse_detected == 1


def test_without_grace_a_token_resent_at_the_same_instant_is_reuse(
    oauth_server_factory: ServerFactory,
) -> None:
    server = oauth_server_factory(clock=FakeClock())
    first = server.issue_refresh_token()
    successor(server, first)

    assert error(server, first) == "invalid_grant"


def test_without_rotation_the_token_stays_and_none_is_named(
    oauth_server_factory: ServerFactory,
) -> None:
    server = oauth_server_factory(rotate=False)
    token = server.issue_refresh_token()

    assert "refresh_token" not in refresh(server, token).json()
    assert refresh(server, token).status_code == 200


def test_the_previous_access_token_dies_when_the_policy_says_so(
    oauth_server: OAuthTestServer,
) -> None:
    first = refresh(oauth_server, oauth_server.issue_refresh_token()).json()
    assert get(oauth_server, "/countries", first["access_token"]).status_code == 200
    oauth_server.policy = replace(oauth_server.policy, old_access_token_dies=True)

    second = refresh(oauth_server, first["refresh_token"]).json()

    assert get(oauth_server, "/countries", first["access_token"]).status_code == 401
    assert get(oauth_server, "/countries", second["access_token"]).status_code == 200


def test_a_refresh_may_narrow_the_scope_but_not_widen_it(oauth_server: OAuthTestServer) -> None:
    token = oauth_server.issue_refresh_token(scope="airports.read airports.write")

    wide = refresh(oauth_server, token, scope="offline_access")
    narrow = refresh(oauth_server, token, scope="airports.read")

    assert wide.json()["error"] == "invalid_scope"
    assert narrow.json()["scope"] == "airports.read"


def test_a_foreign_client_can_neither_use_nor_kill_a_family(oauth_server: OAuthTestServer) -> None:
    oauth_server.vault.clients["other"] = Client("other", "other-secret")
    foreign = oauth_server.issue_refresh_token(client_id="other")

    assert error(oauth_server, foreign) == "invalid_grant"
    assert oauth_server.counters.reuse_detected == 0


def test_unknown_and_missing_refresh_tokens_are_refused(oauth_server: OAuthTestServer) -> None:
    assert error(oauth_server, "made-up") == "invalid_grant"
    assert ask_token(oauth_server, grant_type="refresh_token").json()["error"] == "invalid_request"
