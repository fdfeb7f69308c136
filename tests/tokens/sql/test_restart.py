"""A real PostgreSQL server restarts in the middle of a refresh, for longer than a lease lasts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from tests.postgres import PostgresServer, postgres_programs
from tests.tokens.conftest import KEY
from tests.tokens.worker import Plan, one_token, start

# The lease ends 4 s after the last sign of life, and a worker that finds it ended waits for another two.
_OPTIONS = ManagerOptions(heartbeat=1.0)
_AWAY = 6.0


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """A server of this test's own, because others would not like it to restart."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL's programs are not installed (Debian: apt-get install postgresql)")
    server = PostgresServer(programs)
    server.start()
    yield server
    server.stop()


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("latency", [3.0, 14.0], ids=["answered-while-away", "answered-afterwards"])
def test_a_database_that_restarts_while_a_refresh_is_under_way_costs_no_second_request(
    postgres: PostgresServer, server: OAuthTestServer, latency: float
) -> None:
    assert _OPTIONS.lease_step < _AWAY
    plan = Plan.for_server(server, postgres.url, KEY, options=_OPTIONS, elsewhere=True)
    under_test = replace(plan, elsewhere=False).manager()
    server.faults.latency = latency
    _, holder = start(one_token, plan)
    _wait_until_sent(SqlTokenStore(postgres.url, [KEY]), under_test.grant_key)
    _, waiting = start(one_token, plan)
    postgres.restart(away=_AWAY)
    tokens = {under_test.token().access_token, waiting.recv(), holder.recv()}
    assert len(tokens) == 1
    assert (server.counters.token_requests, server.counters.reuse_detected) == (1, 0)
    assert under_test.replace_refused(tokens.pop()).access_token
    assert (server.counters.reuse_detected, server.counters.revoked_families) == (0, 0)


def _wait_until_sent(store: SqlTokenStore, grant_key: str) -> None:
    while store.read(grant_key).journal is None:
        time.sleep(0.05)
    time.sleep(0.3)
    store.close()
