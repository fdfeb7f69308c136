"""The connection to the database breaks where it matters: at a commit, or at a failover."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.sql_store import SqlTokenStore
from tests.tokens.conftest import KEY
from tests.tokens.gate import Gate
from tests.tokens.worker import Plan

# Nobody else wants the lease: whoever waits for one waits for itself, and in vain.
_OPTIONS = ManagerOptions(lease_wait=3.0)
_MOST_COMMITS = 12


@pytest.fixture(params=["postgresql", "mariadb"])
def gate(request: pytest.FixtureRequest) -> Iterator[tuple[Gate, str]]:
    """The door in front of a database, and the URL through it."""
    fixture = {"postgresql": "postgres_url", "mariadb": "mariadb_url"}[request.param]
    url = make_url(request.getfixturevalue(fixture))
    assert url.port is not None
    with Gate(url.port) as gate:
        yield gate, url.set(port=gate.port).render_as_string(hide_password=False)


def test_a_commit_whose_outcome_is_unknown_costs_neither_the_lease_nor_a_second_request(
    gate: tuple[Gate, str], server: OAuthTestServer
) -> None:
    door, url = gate
    for number in range(1, _MOST_COMMITS):
        plan = Plan.of(server, url, KEY, options=_OPTIONS)
        manager, before = plan.manager(), server.counters.token_requests
        door.cut_at_commit(number)
        token = manager.token().access_token
        assert server.counters.token_requests == before + 1
        record = manager.stored.read()
        assert (record.journal, record.alternates, record.lease.owner) == (None, (), None)
        assert plan.manager().refused(token).access_token != token
        manager.stored.forget()
        if not door.has_cut:
            break
    assert number > 5, "every commit of a refresh was cut once"
    assert (server.counters.reuse_detected, server.counters.revoked_families) == (0, 0)


def test_kept_connections_that_lead_to_a_replica_are_left_for_new_ones(
    gate: tuple[Gate, str], server: OAuthTestServer
) -> None:
    plan = Plan.of(server, gate[1], KEY)
    manager = plan.manager()
    token = manager.token().access_token
    store = manager._setting.store
    assert isinstance(store, SqlTokenStore)
    engine = store._database.connected()
    statement = {
        "postgresql": "SET default_transaction_read_only = on",
        "mysql": "SET SESSION TRANSACTION READ ONLY",
    }[engine.dialect.name]
    with engine.begin() as connection:
        connection.execute(text(statement))
    assert manager.refused(token).access_token != token
    assert server.counters.token_requests == 2
