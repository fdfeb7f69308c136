"""The store of watermarks on real databases."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from oauth_taskflow.watermarks.partitions import EndpointId
from oauth_taskflow.watermarks.state import NOTHING, Move, WatermarkState
from oauth_taskflow.watermarks.store import PendingCommit, WatermarkStore
from tests.tokens.conftest import KEY


def at(value: str | int | None, cursor: str | None = None) -> WatermarkState:
    return WatermarkState(value, cursor)


def commit(
    store: WatermarkStore,
    identity: EndpointId,
    run_id: str,
    moves: Sequence[Move],
    token: str = "",
) -> PendingCommit:
    head = store.begin(identity, run_id)
    made = PendingCommit(token or run_id, identity, run_id, head.generation, {}, tuple(moves))
    store.prepare(made)
    return made


def read(
    store: WatermarkStore, identity: EndpointId, partition: str = "", run: str = "x"
) -> WatermarkState:
    return store.read(identity, run, [partition], store.begin(identity, run))[partition]


def test_nothing_is_stored_at_first(store: WatermarkStore, identity: EndpointId) -> None:
    assert read(store, identity) == NOTHING
    assert store.list_watermarks("crm", identity.endpoint)[0].moved_at is None


def test_a_settled_commit_moves_once_and_never_back(
    store: WatermarkStore, identity: EndpointId
) -> None:
    second = commit(store, identity, "b", [Move("", NOTHING, at("2026-01-02"))])
    assert store.settle(second) == "moved"
    assert store.settle(second) == "done"
    first = commit(store, identity, "a", [Move("", NOTHING, at("2026-01-01"))])
    assert store.settle(first) == "moved"
    assert read(store, identity).value == "2026-01-02"
    assert store.list_pending(identity) == []


def test_a_run_tried_again_begins_where_it_began_first(
    store: WatermarkStore, identity: EndpointId
) -> None:
    store.settle(commit(store, identity, "a", [Move("", NOTHING, at(10))]))
    store.settle(commit(store, identity, "b", [Move("", at(10), at(20))]))
    assert read(store, identity, run="b").value == 10
    assert read(store, identity, run="a") == NOTHING
    assert read(store, identity, run="new").value == 20
    store.settle(commit(store, identity, "b", [Move("", at(20), at(30))], "again"))
    assert read(store, identity, run="b").value == 10


def test_old_runs_are_forgotten(store: WatermarkStore, identity: EndpointId) -> None:
    for number in range(8):
        move = Move("", at(number), at(number + 1))
        store.settle(commit(store, identity, f"run{number}", [move]))
    known = [store.begin(identity, f"run{number}").knows_run for number in range(8)]
    assert sum(known) == 5
    assert known[7]


def test_a_reset_stops_runs_under_way(store: WatermarkStore, identity: EndpointId) -> None:
    store.settle(commit(store, identity, "a", [Move("", NOTHING, at(10))]))
    late = commit(store, identity, "b", [Move("", at(10), at(20))])
    assert store.reset(identity) == 0
    assert store.settle(late) == "refused"  # its note is gone
    assert read(store, identity) == NOTHING
    store.prepare(late)  # it was reading when the reset came
    assert store.settle(late) == "refused"
    assert read(store, identity) == NOTHING


def test_setting_may_go_back_and_drops_one_partition(
    store: WatermarkStore, identity: EndpointId
) -> None:
    moves = [Move('{"r":"eu"}', NOTHING, at(10)), Move('{"r":"us"}', NOTHING, at(20))]
    store.settle(commit(store, identity, "a", moves))
    store.replace(identity, '{"r":"eu"}', at(3))
    store.replace(identity, '{"r":"us"}', None)
    assert read(store, identity, '{"r":"eu"}').value == 3
    assert read(store, identity, '{"r":"us"}') == NOTHING
    store.replace(identity, "", at(7))
    assert read(store, identity).value == 7
    assert store.reset(identity) == 1


def test_partitions_beyond_the_limit_share_the_lowest(
    store: WatermarkStore, identity: EndpointId
) -> None:
    moves = [Move(f'{{"p":{n}}}', NOTHING, at(100 + n)) for n in range(51)]
    assert store.settle(commit(store, identity, "a", moves)) == "shared"
    head = store.begin(identity, "b")
    assert head.shared == at(100)
    assert read(store, identity, '{"p":7}', run="b").value == 100
    # Where run a began stays known, for each of its partitions.
    assert read(store, identity, '{"p":7}', run="a") == NOTHING
    assert (
        store.settle(commit(store, identity, "b", [Move('{"p":7}', at(100), at(500))])) == "shared"
    )
    assert store.begin(identity, "c").shared == at(100)
    assert store.roll_up(identity, "b", at(400))
    assert store.begin(identity, "c").shared == at(400)
    assert not store.roll_up(identity, "b", at(300))
    assert not store.roll_up(identity, "unknown", at(900))
    assert read(store, identity, '{"p":8}', run="b").value == 100


@pytest.mark.no_cover
@pytest.mark.slow
def test_ten_thousand_partitions_have_a_watermark_each_and_one_more_makes_one_of_them(
    tmp_path: Path, identity: EndpointId
) -> None:
    store = WatermarkStore(f"sqlite:///{tmp_path}/many.db")
    moves = [Move(f'{{"p":{n}}}', NOTHING, at(100 + n)) for n in range(10_000)]
    assert store.settle(commit(store, identity, "a", moves)) == "moved"
    assert len(store.list_watermarks()) == 10_001  # and the head
    assert read(store, identity, '{"p":9999}', run="b").value == 10_099
    assert (
        store.settle(commit(store, identity, "b", [Move('{"p":-1}', NOTHING, at(7))])) == "shared"
    )
    assert [row.state for row in store.list_watermarks()] == [at(7)]
    assert read(store, identity, '{"p":9999}', run="c") == at(7)
    assert store.reset(identity) == 0
    assert store.begin(identity, "d").shared is None
    store.close()


def test_partitions_of_several_kinds_share_nothing_rather_than_fail(
    store: WatermarkStore, identity: EndpointId
) -> None:
    kinds = [at(5), WatermarkState("2026-01-01T00:00:00Z")]
    moves = [Move(f'{{"p":{n}}}', NOTHING, kinds[n % 2]) for n in range(51)]
    assert store.settle(commit(store, identity, "a", moves)) == "shared"
    assert store.begin(identity, "b").shared == NOTHING


def test_parents_that_are_gone_are_dropped_after_a_while(
    store: WatermarkStore, identity: EndpointId
) -> None:
    store.settle(commit(store, identity, "a", [Move('{"p":1}', NOTHING, at(1))]))
    assert store.sweep(identity, 60.0) == 0
    assert store.sweep(identity, -60.0) == 1
    assert read(store, identity, '{"p":1}') == NOTHING


def test_tasks_at_once_lose_no_move(store: WatermarkStore, identity: EndpointId) -> None:
    def work(number: int) -> None:
        for turn in range(5):
            own = Move(f'{{"p":{number}}}', NOTHING, at(turn))
            both = Move("", NOTHING, at(number * 10 + turn))
            store.settle(commit(store, identity, f"{number}/{turn}", [both, own]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(store, identity).value == 54
    assert {read(store, identity, f'{{"p":{n}}}').value for n in range(6)} == {4}


def test_long_and_odd_names_are_stored(store: WatermarkStore) -> None:
    identity = EndpointId("d" * 250, "e" * 200, "ü" * 250)
    run_id = "manual__" + "r" * 242
    long = '{"p":"' + "x" * 100_000 + '"}'
    store.settle(commit(store, identity, run_id, [Move(long, NOTHING, at(2**80))], "t"))
    assert read(store, identity, long).value == 2**80
    found = store.list_watermarks(identity.dag_id)
    assert [row.partition for row in found if row.partition] == [long]
    assert found[0].identity == identity
    store.reset(identity)


def test_a_database_that_an_older_version_uses_gets_the_tables(real_store_url: str) -> None:
    older = SqlTokenStore(real_store_url, [KEY])
    older.read("grant")
    WatermarkStore(real_store_url).begin(EndpointId("d", "e", "c"), "r")
    older.read("grant")
    engine = create_engine(real_store_url)
    names = set(inspect(engine).get_table_names())
    engine.dispose()
    older.close()
    assert {"oauth_taskflow_grant", "oauth_taskflow_watermark"} <= names


def test_a_wrong_url_is_refused_and_no_password_is_shown() -> None:
    with pytest.raises(TokenStoreError, match="not a database URL"):
        WatermarkStore("nonsense")
    assert "hush" not in repr(WatermarkStore("postgresql+psycopg://me:hush@db/x"))
