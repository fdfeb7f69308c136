"""The connection to the database breaks where it matters: at a commit, in a transaction, or at a failover."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, QueuePool, text, update
from sqlalchemy.engine import make_url

from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.sql import engine as engines
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from oauth_taskflow.tokens.sql.table import GRANTS
from tests.database_server import empty_tables
from tests.tokens.conftest import KEY
from tests.tokens.gate import Gate
from tests.tokens.worker import Plan

# No other worker wants the lease: a worker that waits for one waits for itself, and in vain.
_OPTIONS = ManagerOptions(lease_wait=3.0)
_MOST_COMMITS = 12


@pytest.fixture(params=["postgresql", "mariadb"])
def gate(request: pytest.FixtureRequest) -> Iterator[tuple[Gate, str]]:
    """The door in front of a database, and the URL through it."""
    fixture = {"postgresql": "postgres_url", "mariadb": "mariadb_url"}[request.param]
    url = make_url(empty_tables(request.getfixturevalue(fixture)))
    assert url.port is not None
    with Gate(url.port) as gate:
        yield gate, url.set(port=gate.port).render_as_string(hide_password=False)


def test_a_commit_whose_outcome_is_unknown_costs_neither_the_lease_nor_a_second_request(
    gate: tuple[Gate, str], server: OAuthTestServer
) -> None:
    door, url = gate
    for number in range(1, _MOST_COMMITS):
        plan = Plan.for_server(server, url, KEY, options=_OPTIONS)
        manager, before = plan.manager(), server.counters.token_requests
        door.cut_at_commit(number)
        token = manager.token().access_token
        assert server.counters.token_requests == before + 1
        record = manager.stored.read()
        assert (record.journal, record.alternates, record.lease.owner) == (None, (), None)
        assert plan.manager().replace_refused(token).access_token != token
        manager.stored.forget()
        if not door.has_cut:
            break
    assert number > 5, "every commit of a refresh was cut once"
    assert (server.counters.reuse_detected, server.counters.revoked_families) == (0, 0)


def test_kept_connections_that_lead_to_a_replica_are_left_for_new_ones(
    gate: tuple[Gate, str], server: OAuthTestServer
) -> None:
    plan = Plan.for_server(server, gate[1], KEY)
    manager = plan.manager()
    token = manager.token().access_token
    store = manager._context.store
    assert isinstance(store, SqlTokenStore)
    engine = store._database.open_engine()
    statement = {
        "postgresql": "SET default_transaction_read_only = on",
        "mysql": "SET SESSION TRANSACTION READ ONLY",
    }[engine.dialect.name]
    with engine.begin() as connection:
        connection.execute(text(statement))
    assert manager.replace_refused(token).access_token != token
    assert server.counters.token_requests == 2


@pytest.mark.parametrize("real_store_url", ["postgresql", "mariadb"], indirect=True)
def test_a_worker_that_stalls_within_a_transaction_blocks_others_only_briefly(
    real_store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_LIMIT_POSTGRESQL", "_SET_UP_MYSQL"):
        monkeypatch.setattr(engines, name, getattr(engines, name).replace("15", "1"))
    stopped, other = (SqlTokenStore(real_store_url, [KEY]) for _ in range(2))
    other.acquire("grant", owner="a", ttl=0)
    within, woken = threading.Event(), threading.Event()

    def stand_still(connection: Connection) -> None:
        if not woken.is_set():
            connection.execute(update(GRANTS).values(conn_id="not to be seen"))
            within.set()
            woken.wait(60)

    with ThreadPoolExecutor() as threads:
        standing = threads.submit(stopped._database.run, stand_still, writes=True)
        assert within.wait(60)
        try:
            assert other.acquire("grant", owner="b", ttl=30) is not None
        finally:
            woken.set()
        assert standing.result(60) is None
    assert other.read("grant").conn_id == ""
    other.forget("grant")


@pytest.mark.postgres
def test_a_server_that_is_gone_before_it_answers_is_noticed_in_seconds(postgres_url: str) -> None:
    store = SqlTokenStore(postgres_url, [KEY])
    with store._database.open_engine().connect() as connection:
        wire = socket.socket(fileno=os.dup(connection.connection.driver_connection.fileno()))  # type: ignore[union-attr]  # it is psycopg's
    with wire:
        assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert [wire.getsockopt(socket.IPPROTO_TCP, name) for name in names] == [10, 5, 2]


def test_a_process_whose_connections_are_all_in_use_may_try_again(
    real_store: SqlTokenStore,
) -> None:
    engine = real_store._database.open_engine()
    assert isinstance(engine.pool, QueuePool)
    engine.pool._timeout = 0.01
    in_use = [engine.connect() for _ in range(engine.pool.size() + engine.pool._max_overflow)]
    with pytest.raises(TokenStoreError, match="QueuePool limit") as raised:
        real_store.read("grant")
    assert raised.value.retryable
    for connection in in_use:
        connection.close()
