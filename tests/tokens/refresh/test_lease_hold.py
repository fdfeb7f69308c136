"""A lease lasts while its holder shows that it lives: workers on other machines, which see no process of it."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as changed

from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.events import Step
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.refresh import lease_owner
from oauth_taskflow.tokens.refresh.lease_hold import LeaseHold
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.conftest import KEY
from tests.tokens.endpoints import grants, script_endpoint
from tests.tokens.grant import manager, read_stored
from tests.tokens.worker import Plan, exit_code, one_token, start, wait_until_stopped

# The whole attempt may take as long as ever; a sign of life is missed sooner, so that the tests are quick.
QUICK = ManagerOptions(heartbeat=0.4)
_ELSEWHERE = "far-away||4711|?|ab12|9.0"


def test_a_dead_holder_elsewhere_costs_seconds_and_a_living_one_keeps_its_lease_for_all_its_time() -> (
    None
):
    options = ManagerOptions()
    assert options.lease_step == 8.0
    assert options.lease_step + 2 * options.heartbeat <= 12.0
    assert options.lease_ttl == 90.0


@pytest.mark.slow
@pytest.mark.parametrize("step", [Step.LEASED, Step.JOURNALED])
def test_the_lease_of_a_worker_elsewhere_that_was_killed_ends_within_seconds(
    server: OAuthTestServer, real_store_url: str, step: Step, caplog: pytest.LogCaptureFixture
) -> None:
    plan = Plan.for_server(server, real_store_url, KEY, options=QUICK, elsewhere=True, die_at=step)
    process, pipe = start(one_token, plan)
    assert exit_code(process) == -signal.SIGKILL
    pipe.close()
    began = time.monotonic()
    replace(plan, die_at=None, elsewhere=False).manager().token()
    assert time.monotonic() - began < QUICK.lease_ttl / 2
    assert server.counters.token_requests == 1
    assert f"process {process.pid} on host" in caplog.text
    assert "gave no sign of life while it refreshed the token; this worker goes on" in caplog.text


@pytest.mark.slow
def test_a_worker_elsewhere_that_is_killed_after_sending_leaves_the_in_doubt_branch(
    server: OAuthTestServer, real_store_url: str
) -> None:
    server.policy = replace(server.policy, grace=60.0)
    plan = Plan.for_server(server, real_store_url, KEY, options=QUICK, elsewhere=True)
    process, pipe = start(one_token, replace(plan, die_at=Step.ANSWERED))
    assert exit_code(process) == -signal.SIGKILL
    pipe.close()
    under_test = replace(plan, elsewhere=False).manager()
    token = under_test.token().access_token
    assert under_test.replace_refused(token).access_token != token
    assert (server.counters.token_requests, server.counters.reuse_detected) == (3, 0)


@pytest.mark.slow
def test_a_slow_token_endpoint_never_costs_a_living_holder_its_lease(
    server: OAuthTestServer, real_store_url: str
) -> None:
    server.faults.latency = 9.0  # more than twice the time after which silence means death
    # Slower than elsewhere: the holder shows in time that it lives, also on a busy machine.
    options = changed(QUICK, heartbeat=1.0)
    plan = Plan.for_server(server, real_store_url, KEY, options=options, elsewhere=True)
    assert server.faults.latency > 2 * options.lease_step
    pipes = [start(one_token, plan)[1] for _ in range(2)]
    tokens = {pipe.recv() for pipe in pipes}
    tokens.add(replace(plan, elsewhere=False).manager().token().access_token)
    assert len(tokens) == 1
    assert server.counters.token_requests == 1


@pytest.mark.slow
def test_a_holder_elsewhere_that_stood_still_before_sending_sends_nothing_when_it_wakes(
    server: OAuthTestServer, real_store_url: str
) -> None:
    plan = Plan.for_server(server, real_store_url, KEY, options=QUICK, elsewhere=True)
    stopping = replace(plan, die_at=Step.SENDING, signal=signal.SIGSTOP)
    process, pipe = start(one_token, stopping)
    stopped = wait_until_stopped(process)
    token = replace(plan, elsewhere=False).manager().token().access_token
    os.kill(stopped, signal.SIGCONT)
    assert pipe.recv() == token
    assert (server.counters.token_requests, server.counters.reuse_detected) == (1, 0)


@pytest.mark.slow
def test_a_holder_elsewhere_that_stood_still_after_the_answer_keeps_its_pair_as_alternate(
    server: OAuthTestServer, real_store_url: str
) -> None:
    server.policy = replace(server.policy, grace=60.0)
    plan = Plan.for_server(server, real_store_url, KEY, options=QUICK, elsewhere=True)
    process, pipe = start(one_token, replace(plan, die_at=Step.ANSWERED, signal=signal.SIGSTOP))
    stopped = wait_until_stopped(process)
    other = replace(plan, elsewhere=False).manager()
    token = other.token().access_token
    os.kill(stopped, signal.SIGCONT)
    assert pipe.recv() == token
    assert len(SqlTokenStore(real_store_url, [KEY]).read(other.grant_key).alternates) == 1
    assert server.counters.reuse_detected == 0


def test_a_lease_is_prolonged_by_the_databases_clock_and_only_while_it_is_in_force(
    real_store: SqlTokenStore,
) -> None:
    key = f"prolonged-{os.getpid()}"
    mine = real_store.acquire(key, owner="a", ttl=0)
    assert mine is not None
    assert real_store.prolong(key, mine.lease, ttl=30, waits=False)
    record = real_store.read(key)
    assert record.lease.until == pytest.approx(record.read_at.store + 30, abs=5)
    assert real_store.acquire(key, owner="b", ttl=30) is None
    theirs = real_store.acquire(key, owner="b", ttl=30, breaking=mine.lease.fence)
    assert theirs is not None
    assert not real_store.prolong(key, mine.lease, ttl=300, waits=True)
    assert real_store.read(key).lease == theirs.lease
    real_store.forget(key)


def test_a_change_under_way_does_not_undo_a_prolongation(real_store: SqlTokenStore) -> None:
    key = f"kept-{os.getpid()}"
    mine = real_store.acquire(key, owner="a", ttl=1)
    assert mine is not None
    assert real_store.prolong(key, mine.lease, ttl=300, waits=True)
    after = real_store.change(mine, lambda record: changed(record, conn_id="crm"))
    assert (after.lease.until or 0.0) > mine.read_at.store + 200
    real_store.forget(key)


def test_a_lease_that_was_seen_to_run_out_is_not_taken_from_the_next_holder(
    real_store: SqlTokenStore,
) -> None:
    key = f"lapsed-{os.getpid()}"
    seen = real_store.acquire(key, owner="a", ttl=0)
    later = real_store.acquire(key, owner="b", ttl=0)
    assert seen is not None
    assert later is not None
    assert real_store.acquire(key, owner="c", ttl=30, lapsed=seen.lease.fence) is None
    assert real_store.acquire(key, owner="c", ttl=30, lapsed=later.lease.fence) is not None
    real_store.forget(key)


def test_without_waiting_a_lease_is_not_prolonged_while_another_worker_writes(
    store: ClockedStore,
) -> None:
    mine = store.acquire("k", owner="a", ttl=5)
    assert mine is not None
    with store._database.open_engine().connect() as connection:
        connection.execution_options(oauth_taskflow_writes=True)
        with connection.begin():
            assert not store.prolong("k", mine.lease, ttl=300, waits=False)
    assert store.prolong("k", mine.lease, ttl=300, waits=False)


def hold(store: ClockedStore, clock: FakeClock) -> LeaseHold:
    """A lease just taken, with nothing that prolongs it."""
    options = ManagerOptions()
    mine = store.acquire("k", owner="a", ttl=options.lease_step)
    assert mine is not None
    return LeaseHold(store, mine, options, clock)


def test_a_holder_that_stood_still_asks_the_store_whether_it_still_has_the_lease(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test = hold(store, clock)
    assert under_test.is_certain()
    clock.advance(30)
    assert under_test.is_certain()  # no worker took it: it is in force again
    assert store.read("k").lease.until == clock.now() + 8
    clock.advance(30)
    assert store.acquire("k", owner="thief", ttl=8) is not None
    assert not under_test.is_certain()


def test_a_machine_that_slept_has_lost_certainty_though_its_monotonic_clock_stood(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test = hold(store, clock)
    clock.jump(30)
    store.acquire("k", owner="thief", ttl=8, breaking=1)
    assert not under_test.is_certain()


def test_an_attempt_ends_however_often_its_lease_is_prolonged(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test = hold(store, clock)
    for _ in range(10):
        clock.advance(8)
        assert under_test.is_certain()
    assert under_test.seconds_left() == pytest.approx(10)
    clock.advance(9)
    assert not under_test.is_certain()


def test_a_holder_whose_store_is_away_is_not_certain(
    store: ClockedStore, clock: FakeClock, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    away = str(tmp_path / "file" / "tokens.db")  # below a file no folder can be made
    under_test = hold(store, clock)
    clock.advance(8)
    store._database.close()
    store._database._url = store._database._url.set(database=away)
    assert not under_test.is_certain()


def test_without_a_thread_the_lease_is_prolonged_for_the_whole_attempt_at_once(
    store: ClockedStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    under_test = hold(store, clock)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    under_test.start()
    assert store.read("k").lease.until == clock.now() + 90


def test_a_lease_that_ran_out_unwatched_is_left_to_its_holder_for_a_moment(
    store: ClockedStore, clock: FakeClock
) -> None:
    """After a database was away, the first that asks must not be faster than the holder that waits to prolong."""
    under_test = manager(store, script_endpoint(grants(clock, "at", "rt-1")))
    store.acquire(under_test.grant_key, owner=_ELSEWHERE, ttl=8)
    clock.advance(60)
    began = clock.monotonic()
    under_test.token()
    assert 4.0 <= clock.monotonic() - began < 6.0


def test_a_lease_that_is_prolonged_again_and_again_is_never_taken(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test = manager(store, script_endpoint(grants(clock, "at", "rt-1")))
    taken = store.acquire(under_test.grant_key, owner=_ELSEWHERE, ttl=8)
    assert taken is not None

    def sleep(seconds: float) -> None:
        clock.advance(seconds)
        if clock.monotonic() < 70:
            store.prolong(under_test.grant_key, taken.lease, ttl=0.1, waits=True)

    clock.sleep = sleep  # type: ignore[method-assign]  # the other worker goes on meanwhile
    under_test.token()
    assert 73.0 < clock.monotonic() < 77.0


def test_a_waiting_worker_logs_who_holds_the_lease_and_until_when(
    store: ClockedStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "oauth_taskflow.tokens")
    under_test = manager(store, script_endpoint(grants(clock, "at", "rt-1")))
    store.acquire(under_test.grant_key, owner=_ELSEWHERE, ttl=8)
    under_test.token()
    said = [line for line in caplog.messages if "far-away" in line]
    assert [line.replace("waited 4 s", "waited 3 s") for line in said] == [
        "connection crm: waited 3 s for process 4711 on host far-away, which refreshes the token "
        "(lease 1, until 2027-01-15T08:00:08Z; prolonged while that worker lives)",
        "connection crm: process 4711 on host far-away gave no sign of life while it refreshed the token; "
        "this worker goes on",
    ]


def test_a_worker_that_waits_briefly_logs_nothing(
    store: ClockedStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    under_test = manager(store, script_endpoint(grants(clock, "at", "rt-1")))
    taken = store.acquire(under_test.grant_key, owner=_ELSEWHERE, ttl=2)
    assert taken is not None
    clock.sleep = lambda seconds: _free(store, clock, seconds)  # type: ignore[method-assign]  # as above
    under_test.token()
    assert "far-away" not in caplog.text


def _free(store: ClockedStore, clock: FakeClock, seconds: float) -> None:
    clock.advance(seconds)
    for _, key in store.list_grants():
        store.change(
            store.read(key),
            lambda record: changed(record, lease=changed(record.lease, owner=None, until=None)),
        )


@pytest.mark.parametrize("name", [None, "somebody", "a|b|c|d"])
def test_a_holder_with_an_unknown_name_is_called_another_worker(name: str | None) -> None:
    assert lease_owner.describe(name) == "another worker"


def test_this_process_is_described_by_host_and_id() -> None:
    assert lease_owner.describe(lease_owner.new_attempt(9.0)).startswith(
        f"process {os.getpid()} on host "
    )


def test_an_ordinary_refresh_needs_no_statement_for_prolonging_its_lease(
    store: ClockedStore, clock: FakeClock
) -> None:
    taken: list[int] = []

    def answer() -> Granted:
        taken.append(read_stored(store, under_test).revision)
        return grants(clock, "at", "rt-1")()

    under_test = manager(store, script_endpoint(answer))
    under_test.token()
    assert read_stored(store, under_test).revision == taken[0] + 1
