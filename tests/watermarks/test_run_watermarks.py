"""Commits of runs that died: what is done with each when the next run begins."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ColumnElement, Double, bindparam

from oauth_taskflow.errors import DestinationError, WatermarkError
from oauth_taskflow.watermarks import changes
from oauth_taskflow.watermarks.run_watermarks import RunWatermarks
from oauth_taskflow.watermarks.state import NOTHING, Move, WatermarkState
from oauth_taskflow.watermarks.store import WatermarkStore
from tests.support.clock import FakeClock
from tests.watermarks.one_run import IDENTITY

MOVES = [Move("", NOTHING, WatermarkState(7))]


class ClockedStore(WatermarkStore):
    """A store whose database lives on a fake clock."""

    def __init__(self, url: str, clock: FakeClock) -> None:
        super().__init__(url)
        self.clock = clock

    def now(self) -> ColumnElement[float]:
        return bindparam(None, callable_=self.clock.now, type_=Double, unique=True)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[WatermarkStore]:
    store = ClockedStore(f"sqlite:///{tmp_path}/t.db", clock)
    yield store
    store.close()


class Manifests:
    """The output of runs, in a store that may be away."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        self.is_away = False

    def read(self, place: Mapping[str, Any]) -> Any:
        if self.is_away:
            raise DestinationError("The store is away")
        return self.found.get(place["run"])

    def begin(self, store: WatermarkStore, run_id: str) -> RunWatermarks:
        run = RunWatermarks(store, IDENTITY, run_id, self.read)
        run.open({"run": run_id})
        return run


def test_a_commit_that_cannot_be_looked_at_is_settled_by_a_later_run(
    store: WatermarkStore, caplog: pytest.LogCaptureFixture
) -> None:
    manifests = Manifests()
    manifests.found["a"] = {"watermarks": manifests.begin(store, "a").prepare(MOVES)}
    manifests.is_away = True
    other = RunWatermarks(store, IDENTITY, "b", manifests.read)
    with caplog.at_level(logging.WARNING), pytest.raises(DestinationError):
        other.open({"run": "b"})  # its own output cannot be looked at either
    assert "Whether run a committed its output is not known" in caplog.text
    manifests.is_away = False
    assert manifests.begin(store, "c").find([""]) == [WatermarkState(7)]


def test_a_run_whose_own_commit_cannot_be_looked_at_does_not_begin(store: WatermarkStore) -> None:
    manifests = Manifests()
    manifests.begin(store, "a").prepare(MOVES)
    manifests.is_away = True
    with pytest.raises(DestinationError, match="The store is away"):
        manifests.begin(store, "a")
    assert len(store.list_pending(IDENTITY)) == 1


@pytest.mark.parametrize(("days", "left"), [(6, 1), (8, 0)])
def test_a_commit_without_proof_is_forgotten_after_a_week(
    store: WatermarkStore, clock: FakeClock, days: int, left: int
) -> None:
    manifests = Manifests()
    manifests.begin(store, "a").prepare(MOVES)
    clock.advance(days * 86_400)
    assert manifests.begin(store, "b").find([""]) == [NOTHING]
    assert len(store.list_pending(IDENTITY)) == left


@pytest.mark.parametrize(
    "noted", [{}, {"moves": 5}, {"moves": [{}]}, {"moves": [{"partition": None, "from": [5]}]}]
)
def test_a_manifest_that_does_not_say_where_its_run_began_stops_the_next_try(
    store: WatermarkStore, noted: Any
) -> None:
    manifests = Manifests()
    manifests.found["a"] = {"watermarks": noted}
    with pytest.raises(WatermarkError, match="does not say where it began to read") as caught:
        manifests.begin(store, "a")
    assert "Trigger a new run instead" in caught.value.hint


@pytest.mark.parametrize("late", [False, True], ids=["while reading", "while committing"])
@pytest.mark.parametrize("how", ["set", "reset"])
def test_a_run_during_which_a_person_set_the_watermark_moves_nothing_and_says_so(
    store: WatermarkStore, how: str, *, late: bool
) -> None:
    def set_watermark() -> None:
        if how == "reset":
            store.reset(IDENTITY)
        else:
            store.replace(IDENTITY, "", WatermarkState(3))

    run = Manifests().begin(store, "a")
    if late:
        run.prepare(MOVES)
        set_watermark()
    else:
        set_watermark()
        run.prepare(MOVES)
    assert run.settle() == (
        f"The watermark of {IDENTITY} was set or reset while this run was under way, so the run did not move it: the next one begins "
        "at the watermark that was set."
    )
    found = Manifests().begin(store, "b").find([""])
    assert found == [NOTHING if how == "reset" else WatermarkState(3)]


def test_a_commit_that_another_worker_settled_is_no_warning(store: WatermarkStore) -> None:
    run = Manifests().begin(store, "a")
    run.prepare(MOVES)
    (other, _) = store.list_pending(IDENTITY)[0]
    assert store.settle(other) == "moved"
    assert run.settle() == ""


class Folder:
    """The outputs of the instances of pulls into one folder, each in place of the one before."""

    def __init__(self, store: WatermarkStore) -> None:
        self.store = store
        self.found: dict[int, Any] = {}

    def open(self, run_id: str) -> RunWatermarks:
        return RunWatermarks(
            self.store, IDENTITY, run_id, lambda place: self.found.get(place["instance"])
        )

    def pull(self, run_id: str, instance: int, reached: int, *partitions: str) -> list[Any]:
        run = self.open(run_id)
        run.open({"instance": instance})
        bases = run.find(partitions)
        moves = [
            Move(one, base, WatermarkState(reached))
            for one, base in zip(partitions, bases, strict=True)
        ]
        self.found[instance] = {"run_id": run_id, "watermarks": run.prepare(moves)}
        assert run.settle() == ""
        return [base.value for base in bases]


A, B, C = (f'{{"p":"{name}"}}' for name in "abc")


def test_an_output_that_replaces_that_of_another_run_sets_back_what_it_lacks(
    store: WatermarkStore,
) -> None:
    folder, other = Folder(store), Folder(store)
    other.pull("sunday", 0, 5, A, B)
    assert folder.pull("first", 0, 10, A, B) == [5, 5]
    assert folder.pull("second", 0, 10, B) == [5]
    assert other.open("look").find([A, B]) == [WatermarkState(5), WatermarkState(10)]
    assert folder.pull("third", 0, 20, B) == [5]
    assert folder.pull("fourth", 0, 20, A, B) == [5, 5]  # the place of its output is known still
    other.pull("monday", 0, 7, C)
    assert folder.pull("fifth", 0, 20, B, C, A) == [5, 7, 5]  # no output in this place holds C
    assert folder.pull("sixth", 0, 20, C) == [7]


def test_each_instance_begins_where_the_output_that_it_replaces_began(
    store: WatermarkStore,
) -> None:
    folder = Folder(store)
    for run_id in ("first", "second"):
        assert folder.pull(run_id, 0, 10, A) == [None]
        assert folder.pull(run_id, 1, 10, B, C) == [None, None]
    folder.found[0] = None
    assert folder.open("third").drop_output({"instance": 1})
    assert not folder.open("third").drop_output({"instance": 2})
    stored = {row.partition: row.state.value for row in store.list_watermarks()}
    assert stored == {"": None, A: 10, B: None, C: None}


def forget(store: WatermarkStore, how: str) -> None:
    if how == "set":
        store.replace(IDENTITY, "", WatermarkState(9))
        return
    store._runs_kept = 2
    for number in range(3):
        run = Manifests().begin(store, f"run{number}")
        run.prepare(MOVES)
        run.settle()


@pytest.mark.parametrize("how", ["set", "two more runs than are kept"])
def test_a_run_that_is_known_no_longer_where_no_manifest_says_where_it_began_is_refused(
    store: WatermarkStore, clock: FakeClock, how: str
) -> None:
    manifests = Manifests()
    run = manifests.begin(store, "a")
    manifests.found["a"] = {"run_id": "a", "watermarks": run.prepare(MOVES)}
    run.settle()
    clock.advance(1)
    forget(store, how)
    assert manifests.begin(store, "a").find([""]) == [NOTHING]  # its manifest says so
    del manifests.found["a"]
    with pytest.raises(WatermarkError) as caught:
        manifests.begin(store, "a")
    assert str(caught.value) == (
        "An earlier try of this run committed output, and where it began to read is not known any more: this try would replace "
        f"records that no later run reads again in {IDENTITY}. Trigger a new run instead; airflow oauth watermark set lets it "
        "begin earlier."
    )
    assert manifests.begin(store, "new").find([""]) != [NOTHING]
    looks = RunWatermarks(store, IDENTITY, "a", manifests.read, moves=False)
    looks.open({"run": "a"})
    store.reset(IDENTITY)
    assert manifests.begin(store, "a").find([""]) == [NOTHING]  # everything is read again


def test_a_forgotten_run_begins_where_its_manifest_says_each_time(store: WatermarkStore) -> None:
    folder = Folder(store)
    folder.pull("a", 0, 10, A, B)
    store.replace(IDENTITY, C, WatermarkState(9))
    for _ in range(2):
        assert folder.pull("a", 0, 10, A, B) == [None, None]
    with pytest.raises(WatermarkError, match="is not known any more") as caught:
        folder.pull("a", 0, 10, A, B, C)
    assert caught.value.hint.startswith("Trigger a new run instead; ")


def test_of_forgotten_runs_the_latest_are_remembered(
    store: WatermarkStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "_MOST_REMEMBERED", 3)
    store._runs_kept = 2
    for number in range(8):
        clock.advance(1)
        run = Manifests().begin(store, f"run{number}")
        run.prepare(MOVES)
        run.settle()
    heads = [store.begin(IDENTITY, f"run{number}") for number in range(8)]
    assert [head.forgot_run for head in heads] == [False] * 3 + [True] * 3 + [False] * 2
    assert [head.knows_run for head in heads] == [False] * 6 + [True] * 2
