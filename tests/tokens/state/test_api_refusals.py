"""An API that answers every token with 401: it must not spend a rotating grant, and what ended in flight is replaced."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import httpx
import pytest
import requests

from oauth_taskflow.api.aio.session import AsyncOAuthSession
from oauth_taskflow.api.auth import OAuth2Auth
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.errors import TokenRequestError
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.state import api_refusals
from oauth_taskflow.tokens.state.record import GrantRecord
from oauth_taskflow.tokens.state.transitions import Transition
from tests.oauth.raw_server import answering, http_answer, raw_server
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.conftest import KEY
from tests.tokens.endpoints import down, grants, script_endpoint
from tests.tokens.grant import manager
from tests.tokens.worker import API_PATH, Plan


def issuing(clock: FakeClock, *, lifetime: float | None = 3600) -> list[Callable[[], Granted]]:
    """Answers with the tokens at-0, at-1, … and their refresh tokens."""
    return [grants(clock, f"at-{n}", f"rt-{n}", lifetime=lifetime) for n in range(60)]


def test_ten_calls_to_an_api_that_always_says_401_cost_one_forced_refresh(
    server: OAuthTestServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = Plan.for_server(server, f"sqlite:///{tmp_path}/t.db", KEY)
    with raw_server(answering(http_answer(401, b"no"))) as place:
        for _ in range(10):  # as many workers: each has its own memory
            with OAuthSession(f"http://{place}", OAuth2Auth(plan.manager())) as session:
                assert session.get("/x").status_code == 401
    assert server.counters.token_requests == 2
    warnings = [r.getMessage() for r in caplog.records if "refuses (401)" in r.getMessage()]
    assert len(warnings) == 9
    assert warnings[0].startswith(
        "connection crm: the API refuses (401) access tokens that were just fetched and are fresh"
    )


def test_the_error_of_a_401_says_until_when_refreshes_are_suspended(
    server: OAuthTestServer, tmp_path: Path
) -> None:
    plan = Plan.for_server(server, f"sqlite:///{tmp_path}/t.db", KEY)
    with raw_server(answering(http_answer(401, b"no"))) as place:
        for call in range(3):
            with OAuthSession(f"http://{place}", OAuth2Auth(plan.manager())) as session:
                answer = session.get("/x")
            with pytest.raises(requests.HTTPError) as reported:
                answer.raise_for_status()
            # The first call forced a refresh itself; the token that came was refused too.
            assert ("no 401 forces another refresh" in str(reported.value)) == (call > 0)
    until = re.search(r"until (\S+) no 401", str(reported.value))
    assert until is not None
    left = datetime.fromisoformat(until[1]).timestamp() - time.time()
    assert 0 < left <= 300
    assert "airflow oauth refresh" in str(reported.value)


def test_an_async_401_also_says_until_when_refreshes_are_suspended(
    server: OAuthTestServer, tmp_path: Path
) -> None:
    plan = Plan.for_server(server, f"sqlite:///{tmp_path}/t.db", KEY)

    async def call(place: str) -> httpx.Response:
        async with AsyncOAuthSession(f"http://{place}", OAuth2Auth(plan.manager())) as session:
            return await session.get("/x")

    with raw_server(answering(http_answer(401, b"no"))) as place:
        asyncio.run(call(place))
        answer = asyncio.run(call(place))
    with pytest.raises(httpx.HTTPStatusError, match="no 401 forces another refresh"):
        answer.raise_for_status()


def test_a_kept_token_says_until_when(store: ClockedStore, clock: FakeClock) -> None:
    worker = manager(store, script_endpoint(*issuing(clock)))
    assert worker.replace_refused(worker.token().access_token).kept_until is None
    since = clock.now()
    clock.advance(100)
    kept = worker.replace_refused("at-1")
    assert kept.access_token == "at-1"
    assert kept.kept_until == pytest.approx(since + 300)
    clock.advance(201)
    assert worker.replace_refused("at-1").kept_until is None


@pytest.mark.parametrize("lifetime", [3600, None])
def test_401s_force_one_refresh_in_five_minutes(
    store: ClockedStore, clock: FakeClock, lifetime: float | None
) -> None:
    endpoint = script_endpoint(*issuing(clock, lifetime=lifetime))
    for _ in range(31):  # every half a minute, by one worker after the other
        worker = manager(store, endpoint)
        worker.replace_refused(worker.token().access_token)
        clock.advance(30)
    assert len(endpoint.sent) == 1 + 4  # at once, and after 5, 10 and 15 minutes


def test_a_worker_warns_once_for_each_hold(
    store: ClockedStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    worker = manager(store, script_endpoint(*issuing(clock)))
    for _ in range(4):
        worker.replace_refused(worker.token().access_token)
    assert [record.getMessage().count("at most 300 s") for record in caplog.records] == [1]


@pytest.mark.parametrize(("lifetime", "count"), [(3600, 0), (None, 1)])
def test_the_warning_names_token_lifetime_where_no_answer_says_how_long_tokens_live(
    store: ClockedStore,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    lifetime: float | None,
    count: int,
) -> None:
    worker = manager(store, script_endpoint(*issuing(clock, lifetime=lifetime)))
    for _ in range(4):
        worker.replace_refused(worker.token().access_token)
    (warning,) = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert warning.count("set token_lifetime") == count


def test_a_refresh_at_expiry_is_not_held(store: ClockedStore, clock: FakeClock) -> None:
    worker = manager(store, script_endpoint(*issuing(clock, lifetime=100)))
    for _ in range(3):
        worker.replace_refused(worker.token().access_token)
    assert worker.token().access_token == "at-1"
    clock.advance(101)
    assert worker.token().access_token == "at-2"


def test_a_token_that_ended_in_flight_is_replaced_each_time(
    store: ClockedStore, clock: FakeClock
) -> None:
    worker = manager(store, script_endpoint(*issuing(clock, lifetime=3)))
    for number in range(20):
        assert worker.token().access_token == f"at-{number}"
        clock.advance(1.5)  # the server counts whole seconds
        worker.replace_refused(f"at-{number}")


def test_an_old_token_that_the_server_ended_is_replaced(
    store: ClockedStore, clock: FakeClock
) -> None:
    worker = manager(store, script_endpoint(*issuing(clock)))
    for number in range(5):
        assert worker.token().access_token == f"at-{number}"
        clock.advance(90)
        assert worker.replace_refused(f"at-{number}").access_token == f"at-{number + 1}"


def test_a_failed_refresh_does_not_count_as_forced(store: ClockedStore, clock: FakeClock) -> None:
    answers = issuing(clock)
    worker = manager(store, script_endpoint(answers[0], *[down() for _ in range(3)], *answers[1:]))
    with pytest.raises(Exception, match="away"):
        worker.replace_refused(worker.token().access_token)
    clock.advance(10)
    assert worker.replace_refused("at-0").access_token == "at-1"


def test_a_person_may_replace_the_token_at_any_time(store: ClockedStore, clock: FakeClock) -> None:
    worker = manager(store, script_endpoint(*issuing(clock)))
    for number in range(4):
        assert worker.token().access_token == f"at-{number}"
        assert worker.renew(f"at-{number}").access_token == f"at-{number + 1}"


@pytest.mark.no_cover
@pytest.mark.slow
def test_many_threads_with_tokens_of_three_seconds_call_without_a_failure(
    server: OAuthTestServer, tmp_path: Path
) -> None:
    server.policy = replace(server.policy, lifetime=3.0)
    manager = Plan.for_server(server, f"sqlite:///{tmp_path}/t.db", KEY).manager()
    url, failed, end = server.base_url + API_PATH, [], time.monotonic() + 8

    def call() -> None:
        auth = OAuth2Auth(manager, origins=[server.base_url])
        while time.monotonic() < end:
            status = requests.get(url, auth=auth, timeout=20).status_code
            failed.extend([status] if status != 200 else [])
            time.sleep(0.05)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert server.counters.reuse_detected == 0


def test_a_grant_revoked_just_after_a_forced_refresh_is_reported_as_revoked(
    clock: FakeClock, store: ClockedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = manager(store, script_endpoint(*issuing(clock)))
    held, change = under_test.token(), ClockedStore.change

    def revoke_before(
        self: ClockedStore, record: GrantRecord, transition: Transition
    ) -> GrantRecord:
        if transition is api_refusals.note_doubt:  # the lease is given back by then
            under_test.stored.store_revocation(under_test.stored.read())
        return change(self, record, transition)

    monkeypatch.setattr(ClockedStore, "change", revoke_before)
    with pytest.raises(TokenRequestError, match="revoked by a person"):
        under_test.replace_refused(held.access_token)
