"""Runs that are tried again and read other partitions than before: nothing of the replaced output is lost."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest

from oauth_taskflow.watermarks.keeper import WatermarkKeeper
from oauth_taskflow.watermarks.partitions import EndpointId
from oauth_taskflow.watermarks.state import NOTHING, Move, WatermarkState, set_back
from oauth_taskflow.watermarks.store import PendingCommit, WatermarkStore

A, B, C = '{"p":"a"}', '{"p":"b"}', '{"p":"c"}'
MONTHS = 90 * 86_400.0


class Runs:
    """Tries of runs, each from where the store says to ``reached``."""

    def __init__(self, store: WatermarkKeeper, identity: EndpointId) -> None:
        self.store, self.identity = store, identity
        self._tokens = itertools.count()

    def attempt(
        self, run_id: str, reached: Mapping[str, WatermarkState], instance: int | None = -1
    ) -> str:
        head = self.store.begin(self.identity, run_id)
        bases = self.store.read(self.identity, run_id, [*reached], head)
        moves = tuple(Move(one, bases[one], state) for one, state in reached.items())
        place = {} if instance is None else {"instance": instance}
        commit = PendingCommit(
            *(f"{next(self._tokens):032x}", self.identity, run_id, head.generation, place, moves)
        )
        self.store.prepare(commit)
        return self.store.settle(commit)

    def begin(self, *partitions: str, run_id: str = "next") -> list[WatermarkState]:
        head = self.store.begin(self.identity, run_id)
        found = self.store.read(self.identity, run_id, partitions, head)
        return [found[one] for one in partitions]


@pytest.fixture
def runs(store: WatermarkStore, identity: EndpointId) -> Runs:
    return Runs(store, identity)


def at(*values: int) -> list[WatermarkState]:
    return [WatermarkState(value) for value in values]


def reach(value: int, *partitions: str) -> dict[str, WatermarkState]:
    return dict.fromkeys(partitions, WatermarkState(value))


@pytest.mark.parametrize("instance", [-1, 0])
def test_a_partition_that_is_no_longer_listed_goes_back(runs: Runs, instance: int) -> None:
    runs.attempt("sunday", reach(5, A, B), instance)
    runs.attempt("monday", reach(10, A, B), instance)
    runs.attempt("monday", reach(10, B), instance)
    assert runs.begin(A, B) == at(5, 10)
    runs.attempt("monday", reach(10, A, B), instance)  # it came back
    assert runs.begin(A, B) == at(10, 10)
    runs.attempt("monday", reach(10, A), instance)
    assert runs.begin(A, B) == at(10, 5)


def test_a_partition_that_a_run_read_first_is_read_from_the_start_again(runs: Runs) -> None:
    runs.attempt("monday", reach(10, A, B))
    runs.attempt("monday", reach(10, B))
    assert runs.begin(A, B) == [NOTHING, WatermarkState(10)]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_partition_that_another_instance_reads_stays(runs: Runs, *, is_first: bool) -> None:
    runs.attempt("monday", reach(10, A, B), 0)
    tries = [(reach(10, B), 0), (reach(10, A), 1)]
    for reached, instance in tries if is_first else reversed(tries):
        runs.attempt("monday", reached, instance)
    assert runs.begin(A, B) == at(10, 10)


def test_partitions_of_instances_that_are_gone_go_back(runs: Runs) -> None:
    for instance, partition in enumerate((A, B, C)):
        runs.attempt("monday", reach(10, partition), instance)
    runs.attempt("monday", reach(10, C), 0)
    assert runs.begin(A, B, C) == [NOTHING, *at(10, 10)]
    assert runs.store.sweep(runs.identity, MONTHS, "monday", 1) == 0
    assert runs.begin(A, B, C) == [NOTHING, NOTHING, WatermarkState(10)]
    assert runs.store.sweep(runs.identity, MONTHS, "unknown", 0) == 0
    assert runs.store.sweep(runs.identity, MONTHS) == 0
    assert runs.begin(C) == at(10)


def test_what_later_runs_moved_is_read_again_rather_than_lost(runs: Runs) -> None:
    for day, name in enumerate(["sunday", "monday", "tuesday"], 1):
        runs.attempt(name, reach(10 * day, A, B))
    runs.attempt("monday", reach(20, B))
    assert runs.begin(A, B) == at(10, 30)
    runs.attempt(
        "tuesday", reach(30, A, B)
    )  # it began above: what lies between is still to be read
    assert runs.begin(A) == at(10)
    runs.attempt("tuesday", reach(30, B))
    assert runs.begin(A) == at(10)
    runs.attempt("wednesday", reach(40, A, B))
    assert runs.begin(A, B) == at(40, 40)


def test_records_at_the_value_count_as_read_only_as_far_as_all_know_them(runs: Runs) -> None:
    runs.attempt("sunday", {A: WatermarkState(5, None, ("x",))})
    runs.attempt("monday", {A: WatermarkState(5, None, ("x", "y")), B: WatermarkState(5)})
    assert runs.begin(A) == [WatermarkState(5, None, ("x", "y"))]
    runs.attempt("monday", reach(5, B))
    assert runs.begin(A) == [WatermarkState(5, None, ("x",))]


def test_a_cursor_goes_back_unless_another_run_moved_it(runs: Runs) -> None:
    def cursor(text: str) -> WatermarkState:
        return WatermarkState(None, text)

    runs.attempt("sunday", {A: cursor("c1"), B: cursor("c1")})
    runs.attempt("monday", {A: cursor("c2"), B: cursor("c2")})
    runs.attempt("monday", {B: cursor("c2")})
    assert runs.begin(A) == [cursor("c1")]
    runs.attempt("tuesday", {A: cursor("c3"), B: cursor("c3")})
    runs.attempt("monday", {A: cursor("c4")})
    assert runs.begin(A, B) == [cursor("c3"), NOTHING]  # cursors have no order


def test_a_value_of_another_kind_goes_back_to_the_start() -> None:
    stored, base = WatermarkState(10), WatermarkState("2026-01-01T00:00:00Z")
    assert set_back(stored, base, is_own=True) == NOTHING


def test_a_worker_that_does_not_name_its_instance_sets_nothing_back(runs: Runs) -> None:
    runs.attempt("monday", reach(10, A, B), None)
    runs.attempt("monday", reach(10, B), None)
    assert runs.begin(A, B) == at(10, 10)
    runs.attempt("monday", reach(10, B))  # it was updated
    assert runs.begin(A, B) == [NOTHING, WatermarkState(10)]


def share(runs: Runs) -> None:
    many = [f'{{"p":{number}}}' for number in range(51)]
    assert runs.attempt("sunday", reach(10, *many)) == "shared"


@pytest.mark.parametrize("is_back", [True, False])
def test_what_many_partitions_share_goes_back_with_one_that_is_gone(
    runs: Runs, *, is_back: bool
) -> None:
    share(runs)
    for instance, partition in enumerate((A, B)):
        assert runs.attempt("monday", reach(20, partition), instance) == "shared"
    assert runs.store.roll_up(runs.identity, "monday", WatermarkState(20))
    runs.attempt("monday", reach(20, B), 0)
    assert runs.begin(A, B) == at(10, 10)
    runs.attempt("monday", reach(20, A if is_back else C), 1)
    assert runs.store.sweep(runs.identity, MONTHS, "monday", 2) == 0
    assert runs.store.roll_up(runs.identity, "monday", WatermarkState(20)) is is_back
    assert runs.begin(A) == at(20 if is_back else 10)


def test_what_many_partitions_share_goes_back_with_an_instance_that_is_gone(runs: Runs) -> None:
    share(runs)
    for instance, partition in enumerate((A, B)):
        runs.attempt("monday", reach(20, partition), instance)
    runs.store.roll_up(runs.identity, "monday", WatermarkState(20))
    runs.attempt("tuesday", reach(30, A, B), 0)
    runs.attempt("monday", reach(20, A), 0)
    assert runs.begin(A, B) == at(20, 20)
    runs.store.sweep(runs.identity, MONTHS, "monday", 1)
    assert not runs.store.roll_up(runs.identity, "monday", WatermarkState(20))
    assert not runs.store.roll_up(runs.identity, "tuesday", WatermarkState(30))  # it began above
    assert runs.begin(A, B) == at(10, 10)


def test_a_run_that_noted_partitions_before_they_shared_one_sets_that_back(runs: Runs) -> None:
    runs.attempt("saturday", reach(5, A, B))
    runs.attempt("monday", reach(20, A, B))
    share(runs)
    assert runs.begin(A) == at(10)
    runs.attempt("monday", reach(20, B))
    assert runs.begin(A) == [NOTHING]
