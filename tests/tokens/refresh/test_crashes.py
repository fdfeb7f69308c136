"""Workers that are killed or stopped in the middle of a refresh, at every step that matters."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from multiprocessing.connection import Connection

import pytest
import requests

from oauth_taskflow.errors import RefreshResponseLost, TokenEndpointUnavailable
from oauth_taskflow.redaction import redact_address
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.events import Step
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from tests.tokens.conftest import KEY
from tests.tokens.worker import API_PATH, Plan, exit_code, one_token, start, wait_until_stopped

pytestmark = pytest.mark.slow

# The next worker has all the time that requests need on a busy machine.
SHORT_LEASE = ManagerOptions(lease_ttl=1.5, request_budget=0.9)
LONGER_LEASE = ManagerOptions(lease_ttl=6.0, request_budget=4.0)
PATIENT = ManagerOptions()


def _kill_at(step: Step, plan: Plan) -> None:
    """A worker that refreshes by ``plan`` and is gone at ``step``."""
    process, pipe = start(one_token, replace(plan, die_at=step))
    assert exit_code(process) == -signal.SIGKILL
    pipe.close()


def _works(server: OAuthTestServer, access_token: str) -> bool:
    headers = {"Authorization": f"Bearer {access_token}"}
    return requests.get(server.base_url + API_PATH, headers=headers, timeout=20).ok


@pytest.mark.parametrize("step", [Step.LEASED, Step.JOURNALED, Step.SENDING])
def test_killed_before_sending_loses_nothing(
    server: OAuthTestServer, real_store_url: str, step: Step
) -> None:
    plan = Plan.for_server(server, real_store_url, KEY)
    _kill_at(step, plan)
    assert server.counters.token_requests == 0
    assert _works(server, plan.manager().token().access_token)
    assert server.counters.reuse_detected == 0


def test_killed_after_persisting_loses_nothing_and_asks_no_second_time(
    server: OAuthTestServer, real_store_url: str
) -> None:
    plan = Plan.for_server(server, real_store_url, KEY)
    _kill_at(Step.PERSISTED, plan)
    manager = plan.manager()
    assert _works(server, manager.token().access_token)
    assert server.counters.token_requests == 1
    assert _works(server, manager.replace_refused(manager.token().access_token).access_token)
    assert server.counters.reuse_detected == 0


def test_killed_while_the_store_is_away_loses_nothing(
    server: OAuthTestServer, real_store_url: str
) -> None:
    plan = Plan.for_server(
        server, real_store_url, KEY, store_breaks_at=Step.ANSWERED, dies_waiting=True
    )
    process, pipe = start(one_token, plan)
    assert exit_code(process) == -signal.SIGKILL
    pipe.close()
    manager = replace(plan, store_breaks_at=None).manager()
    assert _works(server, manager.token().access_token)
    assert _works(server, manager.replace_refused(manager.token().access_token).access_token)
    assert (server.counters.token_requests, server.counters.reuse_detected) == (2, 0)


def test_killed_between_answer_and_persist_recovers_within_the_servers_grace(
    server: OAuthTestServer, real_store_url: str
) -> None:
    server.policy = replace(server.policy, grace=30.0)
    plan = Plan.for_server(server, real_store_url, KEY)
    _kill_at(Step.ANSWERED, plan)
    manager = plan.manager()
    assert _works(server, manager.token().access_token)
    assert _works(server, manager.replace_refused(manager.token().access_token).access_token)
    assert server.counters.reuse_detected == 0


def test_killed_between_answer_and_persist_without_grace_is_reported_as_a_lost_response(
    server: OAuthTestServer, real_store_url: str
) -> None:
    plan = Plan.for_server(server, real_store_url, KEY)
    _kill_at(Step.ANSWERED, plan)
    with pytest.raises(RefreshResponseLost) as raised:
        plan.manager().token()
    assert str(raised.value) == (
        "The refresh token was sent, no whole answer arrived, and the server now refuses it "
        f"(invalid_grant, HTTP 400) for connection 'crm' at {redact_address(server.token_url)}. "
        "It was not revoked: a worker or the network died in between. "
        "Authorize the connection again: airflow oauth login crm"
    )


def test_every_worker_gets_the_lost_response_error_without_another_token_request(
    server: OAuthTestServer, real_store_url: str
) -> None:
    plan = Plan.for_server(server, real_store_url, KEY)
    _kill_at(Step.ANSWERED, plan)
    with pytest.raises(RefreshResponseLost):
        plan.manager().token()
    before = server.counters.token_requests
    _, pipe = start(one_token, plan)
    assert pipe.recv() == "RefreshResponseLost"
    assert server.counters.token_requests == before


def _stop_at(step: Step, plan: Plan) -> tuple[int, Connection]:
    """A worker that stalls at ``step`` until SIGCONT, as a swapping or paused machine makes it."""
    process, pipe = start(one_token, replace(plan, die_at=step, signal=signal.SIGSTOP))
    return wait_until_stopped(process), pipe


def test_a_holder_stopped_before_sending_sends_nothing_when_it_wakes_after_its_lease(
    server: OAuthTestServer, real_store_url: str
) -> None:
    plan = Plan.for_server(server, real_store_url, KEY, options=SHORT_LEASE)
    stopped, pipe = _stop_at(Step.JOURNALED, plan)
    token = replace(plan, options=PATIENT).manager().token().access_token
    os.kill(stopped, signal.SIGCONT)
    assert pipe.recv() == token
    assert server.counters.token_requests == 1
    assert server.counters.reuse_detected == 0


def test_a_holder_that_lives_keeps_its_lease_until_it_runs_out(
    server: OAuthTestServer, real_store_url: str
) -> None:
    plan = Plan.for_server(server, real_store_url, KEY, options=LONGER_LEASE)
    stopped, _ = _stop_at(Step.LEASED, plan)
    successor = replace(plan, options=PATIENT).manager()
    owner = SqlTokenStore(real_store_url, [KEY]).read(successor.grant_key).lease.owner
    successor.token()
    assert time.monotonic() >= float(str(owner).split("|")[5])
    os.kill(stopped, signal.SIGCONT)


def test_a_late_writer_does_not_overwrite_the_newer_refresh_token_but_keeps_its_own_as_alternate(
    server: OAuthTestServer, real_store_url: str
) -> None:
    server.policy = replace(server.policy, grace=30.0)
    plan = Plan.for_server(server, real_store_url, KEY, options=LONGER_LEASE)
    stopped, pipe = _stop_at(Step.ANSWERED, plan)
    manager = replace(plan, options=PATIENT).manager()
    token = manager.token().access_token
    os.kill(stopped, signal.SIGCONT)
    assert pipe.recv() == token
    record = SqlTokenStore(real_store_url, [KEY]).read(manager.grant_key)
    assert len(record.alternates) == 1
    assert server.counters.reuse_detected == 0


def test_a_cool_down_asked_for_by_the_server_holds_for_other_processes(
    server: OAuthTestServer, real_store_url: str
) -> None:
    server.fault("/oauth/token", status=429, headers={"Retry-After": "60"}, times=9)
    plan = Plan.for_server(server, real_store_url, KEY)
    with pytest.raises(TokenEndpointUnavailable) as raised:
        plan.manager().token()
    assert raised.value.retry_after == pytest.approx(60, abs=5)
    _, pipe = start(one_token, plan)
    assert pipe.recv() == "TokenEndpointUnavailable"
    assert server.counters.token_requests == 1
