"""The database, the answer, the clock or the neighbour fails: who notices, and what it costs."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy.engine import make_url

from oauth_taskflow.errors import InvalidGrant, RefreshResponseLost
from oauth_taskflow.oauth.endpoint.outcomes import Outcome
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.request_log import Counters
from oauth_taskflow.tokens.events import Event, Step
from oauth_taskflow.tokens.state.freshness import Freshness
from oauth_taskflow.tokens.state.record import GrantState
from tests.database_server import empty_tables
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.conftest import KEY
from tests.tokens.endpoints import grants, script_endpoint
from tests.tokens.gate import Gate
from tests.tokens.grant import manager, read_stored
from tests.tokens.worker import Plan, Report, call_api, start

_OUTAGE = 10.0
_LIFETIME = 14.0


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.mariadb
def test_ten_seconds_without_the_database_fail_no_call(postgres_url: str, mariadb_url: str) -> None:
    with ThreadPoolExecutor() as threads:
        for reports, counters in threads.map(_through_an_outage, (postgres_url, mariadb_url)):
            assert [report.trouble for report in reports] == ["", ""]
            assert sum(report.failed for report in reports) == 0
            assert (counters.token_requests, counters.revoked_families) == (2, 0)


def _through_an_outage(store_url: str) -> tuple[list[Report], Counters]:
    """Two processes call the API while their store goes away and comes back."""
    url = make_url(empty_tables(store_url))
    assert url.port is not None
    with Gate(url.port) as gate, OAuthTestServer(token_lifetime=_LIFETIME) as server:
        through = url.set(port=gate.port).render_as_string(hide_password=False)
        plan = Plan.for_server(server, through, KEY, seconds=_LIFETIME + 2)
        workers = [start(call_api, plan) for _ in range(2)]
        for _, pipe in workers:
            assert pipe.recv() == "ready"
        plan.manager().token()  # not before: starting takes as long as the machine likes
        for _, pipe in workers:
            pipe.send("go")
        time.sleep(_LIFETIME - _OUTAGE - 2)
        gate.close()
        time.sleep(_OUTAGE)
        gate.open()  # just before the token has to be refreshed, with the workers still trying
        return [pipe.recv() for _, pipe in workers], server.counters


def test_an_answer_dropped_after_the_rotation_is_fetched_by_asking_again_within_the_grace(
    server: OAuthTestServer, real_store_url: str
) -> None:
    server.policy = replace(server.policy, grace=60.0)
    server.drop_response_after_commit()
    under_test = Plan.for_server(server, real_store_url, KEY).manager()
    first = under_test.token()
    assert under_test.replace_refused(first.access_token) != first
    assert (server.counters.token_requests, server.counters.revoked_families) == (3, 0)


def test_an_answer_dropped_after_the_rotation_without_grace_is_reported_as_a_lost_answer(
    server: OAuthTestServer, real_store_url: str
) -> None:
    server.drop_response_after_commit()
    under_test = Plan.for_server(server, real_store_url, KEY).manager()
    for _ in range(3):
        with pytest.raises(RefreshResponseLost):
            under_test.token()
    assert (server.counters.token_requests, server.counters.revoked_families) == (2, 1)


def test_two_deployments_on_one_grant_both_get_the_error_and_stop_asking(
    server: OAuthTestServer, store: ClockedStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("deployments")
    plan = Plan.for_server(server, f"sqlite:///{folder}/one.db", KEY)
    one = plan.manager()
    other = replace(plan, store_url=f"sqlite:///{folder}/other.db").manager()
    token = one.token().access_token
    for _ in range(3):
        with pytest.raises(InvalidGrant, match="Refresh token refused"):
            other.token()
        with pytest.raises(InvalidGrant, match="airflow oauth login crm"):
            one.replace_refused(token)
    assert one.stored.read().state is other.stored.read().state is GrantState.NEEDS_CONSENT
    assert (server.counters.token_requests, server.counters.revoked_families) == (3, 1)


def test_a_refresh_that_ends_the_previous_access_token_costs_one_replay_and_no_second_refresh(
    server: OAuthTestServer, real_store_url: str
) -> None:
    server.policy = replace(server.policy, old_access_token_dies=True)
    plan = Plan.for_server(server, real_store_url, KEY)
    here, there = plan.manager(), plan.manager()
    old = here.token().access_token
    new = there.replace_refused(old).access_token
    # A request with the old token is under way, and answered with 401.
    assert here.token().access_token == old
    assert here.replace_refused(old).access_token == new
    assert (server.counters.token_requests, server.counters.revoked_families) == (2, 0)


@pytest.mark.parametrize("seconds", [300.0, 86_400.0])
def test_the_lease_of_a_living_worker_goes_on_though_the_stores_clock_is_set_ahead(
    store: ClockedStore, clock: FakeClock, seconds: float
) -> None:
    """The clock of a SQLite store is that of its machine: time service sets it for all workers at once."""

    def meanwhile() -> Outcome:
        store.ahead += seconds
        assert other._refresher.refresh(Freshness(60.0), wait=False) is None
        return grants(clock, "at", "rt-1")()

    endpoint = script_endpoint(meanwhile)
    under_test, other = manager(store, endpoint), manager(store, endpoint)
    assert under_test.token().access_token == "at"
    assert endpoint.sent == ["seed-token"]
    assert read_stored(store, under_test).refresh_token == "rt-1"


@pytest.mark.parametrize("seconds", [-300.0, 300.0])
@pytest.mark.parametrize("step", [Step.LEASED, Step.JOURNALED, Step.ANSWERED, Step.PERSISTED])
def test_a_clock_that_jumps_in_the_middle_of_a_refresh_costs_no_second_request(
    store: ClockedStore, clock: FakeClock, seconds: float, step: Step
) -> None:
    def jump(event: Event) -> None:
        if event.step is step and event.fence == 1:
            clock.jump(seconds)

    endpoint = script_endpoint(grants(clock, "at", "rt-1"))
    under_test = manager(store, endpoint, observer=jump)
    assert under_test.token().access_token == "at"
    assert manager(store, endpoint).token().access_token == "at"
    assert endpoint.sent == ["seed-token"]
    assert read_stored(store, under_test).refresh_token == "rt-1"
