"""Commits that are too long for one question travel in pieces, and arrive whole in every database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.taskflow.broker import watermark_client
from oauth_taskflow.taskflow.broker.questions import LONGEST_ID
from oauth_taskflow.taskflow.broker.watermark_client import BrokerWatermarkStore
from oauth_taskflow.watermarks.partitions import EndpointId
from oauth_taskflow.watermarks.run_watermarks import RunWatermarks
from oauth_taskflow.watermarks.state import NOTHING, Move, WatermarkState
from oauth_taskflow.watermarks.store import PendingCommit, WatermarkStore
from oauth_taskflow.watermarks.table import PIECES
from tests.support.examples import examples
from tests.taskflow.broker.answered import TOKEN, Wire, answer_from, refuse
from tests.tokens.conftest import real_store_url

__all__ = ["real_store_url"]


@pytest.fixture
def identity(request: pytest.FixtureRequest) -> EndpointId:
    """An endpoint that no other test uses: servers are shared."""
    return EndpointId("pieces", request.node.name[:200], "crm")


@pytest.fixture
def store(real_store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[WatermarkStore]:
    """The store of the API server, on every database."""
    store = WatermarkStore(real_store_url)
    answer_from(store, monkeypatch)
    yield store
    store.close()


@pytest.fixture
def wire(store: WatermarkStore) -> Wire:
    return Wire(store)


@pytest.fixture
def broker(wire: Wire) -> BrokerWatermarkStore:
    """The store as a task has it."""
    return BrokerWatermarkStore(refuse, wire)


values = st.none() | st.integers() | st.text(max_size=50) | st.floats(allow_nan=False)
states = st.builds(
    WatermarkState,
    value=values,
    cursor=st.none() | st.text(max_size=200),
    at_value=st.lists(st.text("0123456789abcdef", min_size=24, max_size=24), max_size=200).map(
        tuple
    ),
)


@examples(0.5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(states, min_size=1, max_size=4), path=st.text(max_size=30))
def test_a_commit_arrives_whole_whatever_is_in_it(
    found: list[WatermarkState],
    path: str,
    store: WatermarkStore,
    identity: EndpointId,
    wire: Wire,
) -> None:
    moves = tuple(
        Move(json.dumps({"p": f"{path}{number}"}), found[0], state)
        for number, state in enumerate(found)
    )
    place = {"kind": "file", "path": path, "conn_id": None}
    commit = PendingCommit(TOKEN, identity, "run", 0, place, moves)
    broker = BrokerWatermarkStore(refuse, wire)
    broker.prepare(commit)
    try:
        ((stored, _),) = store.list_pending(identity)
        assert stored == commit
        ((listed, _),) = broker.list_pending(identity)
        assert (listed.token, listed.place, listed.moves) == (TOKEN, place, ())
        assert max(map(len, wire.ids)) < LONGEST_ID
    finally:
        store.drop_pending(commit)


@pytest.mark.no_cover
@pytest.mark.parametrize("most", [2_000, pytest.param(10_000, marks=pytest.mark.full)])
def test_thousands_of_partitions_travel_in_pieces_and_come_back(
    broker: BrokerWatermarkStore,
    store: WatermarkStore,
    identity: EndpointId,
    wire: Wire,
    most: int,
) -> None:
    parts = [json.dumps({"contact": f"c-{number}"}) for number in range(most)]
    run = RunWatermarks(broker, identity, "first", lambda _: None)
    run.open({"path": "x"})
    run.prepare([Move(one, NOTHING, WatermarkState(n)) for n, one in enumerate(parts)])
    assert run.settle() == ""
    count = len(wire.ids)
    assert count > 10
    assert max(map(len, wire.ids)) < LONGEST_ID
    following = RunWatermarks(broker, identity, "second", lambda _: None)
    following.open({"path": "y"})
    found = following.find(parts[:100])
    assert [state.value for state in found] == list(range(100))
    assert len(wire.ids) - count <= 8
    assert broker.sum_up(identity) == (WatermarkState(0), most)
    assert store.run(lambda connection: _count_pieces(connection, identity), writes=False) == 0


def _count_pieces(connection: Connection, identity: EndpointId) -> int:
    kept = select(func.count()).where(PIECES.c.scope_key == identity.key)
    return int(connection.execute(kept).scalar_one())


def test_a_piece_that_is_missing_prevents_the_commit(
    broker: BrokerWatermarkStore,
    store: WatermarkStore,
    identity: EndpointId,
    wire: Wire,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moves = tuple(Move(json.dumps({"p": n}), NOTHING, WatermarkState(n)) for n in range(2000))
    commit = PendingCommit(TOKEN, identity, "run", 0, {}, moves)

    def losing(conn_id: str, kind: str, body: Any, **options: Any) -> Any:
        number = body.arguments.number
        return None if number == 1 else wire(conn_id, kind, body, **options)

    with pytest.raises(TokenStoreError, match="did not arrive at the API server") as caught:
        BrokerWatermarkStore(refuse, losing).prepare(commit)
    assert caught.value.retryable
    assert store.list_pending(identity) == []
    monkeypatch.setattr(watermark_client, "_PIECE", 1000)  # cut otherwise: nothing mixes
    broker.prepare(commit)
    assert store.list_pending(identity)[0][0].moves == moves


def test_pieces_that_arrive_twice_and_from_several_workers_at_once_make_one_commit(
    store: WatermarkStore, identity: EndpointId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watermark_client, "_PIECE", 500)
    wires = [Wire(store, repeat=2) for _ in range(4)]
    tokens = [f"{number}" * 32 for number in range(4)]
    parts = [json.dumps({"worker": number, "p": n}) for number in range(4) for n in range(100)]

    def send(number: int) -> None:
        moves = tuple(
            Move(one, NOTHING, WatermarkState(n))
            for n, one in enumerate(parts)
            if one.startswith(f'{{"worker": {number},')
        )
        broker, run_id = BrokerWatermarkStore(refuse, wires[number]), f"run {number}"
        generation = broker.begin(identity, run_id).generation
        broker.prepare(PendingCommit(tokens[number], identity, run_id, generation, {}, moves))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(4)))
    pending = [commit for commit, _ in store.list_pending(identity)]
    assert {commit.token for commit in pending} == set(tokens)
    assert sorted(move.partition for commit in pending for move in commit.moves) == sorted(parts)
    for commit in pending:
        assert store.settle(commit) == "moved"
    assert store.run(lambda connection: _count_pieces(connection, identity), writes=False) == 0


def test_a_commit_whose_pieces_were_lost_on_the_way_is_sent_again_by_the_next_try(
    broker: BrokerWatermarkStore,
    store: WatermarkStore,
    identity: EndpointId,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watermark_client, "_PIECE", 500)
    moves = tuple(
        Move(json.dumps({"p": "\x00é😀" * n}), NOTHING, WatermarkState(n)) for n in range(90)
    )
    wire, failing = Wire(store), iter([True])

    def failing_once(conn_id: str, kind: str, body: Any, **options: Any) -> Any:
        if body.arguments.number == 3 and next(failing, False):
            raise TokenStoreError("The API server cannot be reached")
        return wire(conn_id, kind, body, **options)

    commit = PendingCommit(TOKEN, identity, "run", 0, {"path": "\x00"}, moves)
    sender = BrokerWatermarkStore(refuse, failing_once)
    with pytest.raises(TokenStoreError, match="cannot be reached"):
        sender.prepare(commit)
    assert store.list_pending(identity) == []
    sender.prepare(commit)
    ((stored, _),) = store.list_pending(identity)
    assert stored == commit
