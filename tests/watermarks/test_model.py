"""Runs, kills, retries, resets and backfills in any order, against a model of what may be lost or move: nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from oauth_taskflow.errors import WatermarkError
from oauth_taskflow.watermarks.keeper import WatermarkKeeper
from oauth_taskflow.watermarks.partitions import EndpointId
from oauth_taskflow.watermarks.run_watermarks import RunWatermarks
from oauth_taskflow.watermarks.state import Move, WatermarkState
from oauth_taskflow.watermarks.store import WatermarkStore
from tests.support.examples import examples

pytestmark = pytest.mark.slow

IDENTITY = EndpointId("crm", "contacts", "crm")
DEATHS = st.sampled_from(["never", "before", "noted", "committed"])
PARTS = ("", '{"p":1}', '{"p":2}', '{"p":3}')
# A run that is tried again may find fewer parents; the endpoint's own watermark is none of a parent.
DEALT = st.permutations(PARTS[1:]).flatmap(
    lambda parts: st.integers(1, 3).map(lambda count: parts[:count])
)
LISTED = st.sampled_from([PARTS, PARTS, PARTS[:2], PARTS[:1]])


Place = tuple[str, int]  # of an output: the run, and its task instance


class Attempt:
    """One try of a task instance, which has read from ``bases`` up to the run's moment."""

    def __init__(self, place: Place, watermarks: RunWatermarks, bases: Mapping[str, int]) -> None:
        self.place, self.watermarks, self.bases = place, watermarks, bases
        self.found: Any = None  # the manifest that was there when it began
        self.records: dict[str, list[int]] = {}


class Model(RuleBasedStateMachine):
    """An API of four partitions whose records are numbers that only grow, and runs that read it.

    A run reads from its watermark up to its own moment, as one does that sends both bounds of its window.
    """

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = WatermarkStore(f"sqlite:///{Path(self.folder.name)}/t.db", runs_kept=2)
        self.keeper = self.find_keeper()
        self.api: dict[str, list[int]] = {part: [] for part in PARTS}
        self.manifests: dict[Place, Any] = {}
        self.outputs: dict[Place, dict[str, list[int]]] = {}
        self.moments: dict[str, int] = {}
        self.under_way: list[Attempt] = []
        self.lowest: dict[str, int] = dict.fromkeys(PARTS, -1)
        # What the replaced output of a run held and the new one does not, by the token of its commit.
        self.dropped: dict[str, set[str]] = {}
        self.has_dropped = False
        self.count = 0

    def find_keeper(self) -> WatermarkKeeper:
        """The store itself, which runs ask."""
        return self.store

    @rule(part=st.sampled_from(PARTS), count=st.integers(1, 3))
    def write(self, part: str, count: int) -> None:
        """Records are added: an API's clock only goes on."""
        for _ in range(count):
            self.count += 1
            self.api[part].append(self.count)

    def begin(self, run_id: str, parts: Sequence[str] = PARTS, instance: int = -1) -> Attempt:
        watermarks = RunWatermarks(
            self.keeper,
            IDENTITY,
            run_id,
            lambda place: self.manifests.get((place["run"], place["instance"])),
        )
        watermarks.open({"run": run_id, "instance": instance})
        bases = {
            part: int(state.value if state.value is not None else -1)
            for part, state in zip(parts, watermarks.find(parts), strict=True)
        }
        moment = self.moments.setdefault(run_id, self.count)
        attempt = Attempt((run_id, instance), watermarks, bases)
        attempt.found = self.manifests.get(attempt.place)
        attempt.records = {
            part: [value for value in self.api[part] if bases[part] < value <= moment]
            for part in parts
        }
        return attempt

    def end(self, attempt: Attempt, dies: str) -> None:
        """An attempt goes on to its end, or to a kill: before the note, after it, or after the commit."""
        if dies == "before":
            return
        moves = [
            Move(part, _state(attempt.bases[part]), _state(max(values, default=-1)))
            for part, values in attempt.records.items()
        ]
        noted = attempt.watermarks.prepare(moves)
        assert noted is not None
        is_superseded = self.manifests.get(attempt.place) != attempt.found
        if dies == "noted" or is_superseded:
            return
        dropped = {*self.outputs.get(attempt.place, {})} - {*attempt.records}
        self.dropped[noted["token"]] = dropped
        self.has_dropped |= bool(dropped)
        self.manifests[attempt.place] = {"watermarks": noted}
        self.outputs[attempt.place] = attempt.records
        if dies == "never":
            assert "was set or reset" in (attempt.watermarks.settle() or "was set or reset")

    def next_run(self) -> str:
        self.count += 1
        return f"run{self.count}"

    def list_stored(self) -> dict[str, int]:
        rows = {row.partition: row.state.value for row in self.store.list_watermarks()}
        return {part: -1 if rows.get(part) is None else int(rows[part] or 0) for part in PARTS}

    def list_pending(self) -> set[str]:
        """The tokens of commits that are not settled."""
        return {commit.token for commit, _ in self.store.list_pending(IDENTITY)}

    def find_unsettled(self) -> set[str]:
        """The partitions whose records were dropped by commits that the next run settles."""
        return {part for token in self.list_pending() for part in self.dropped.get(token, ())}

    @invariant()
    def watermarks_move_back_only_by_a_person_or_for_dropped_records(self) -> None:
        if not hasattr(self, "store"):
            return
        now = self.list_stored()
        may_move = {part for parts in self.dropped.values() for part in parts}
        for part in PARTS:
            assert now[part] >= self.lowest[part] or part in may_move
        self.lowest = now
        pending = self.list_pending()
        self.dropped = {token: parts for token, parts in self.dropped.items() if token in pending}

    @invariant()
    def nothing_below_a_watermark_is_lost(self) -> None:
        """All that no later run reads again is in the output of a run."""
        if not hasattr(self, "store"):
            return
        now = self.list_stored()
        for part in {*PARTS} - self.find_unsettled():
            kept = {value for output in self.outputs.values() for value in output.get(part, ())}
            assert {value for value in self.api[part] if value <= now[part]} <= kept

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.begin("last")  # it settles what is left
            assert self.find_unsettled() == set()
            self.nothing_below_a_watermark_is_lost()
            self.store.close()
            self.folder.cleanup()


class RunsOneByOne(Model):
    """Each attempt ends, or is killed, before the next one starts."""

    @rule(parts=LISTED, dies=DEATHS)
    def run(self, parts: Sequence[str], dies: str) -> None:
        """Airflow starts the next run."""
        self.end(self.begin(self.next_run(), parts), dies)

    @precondition(lambda self: self.moments)
    @rule(data=st.data(), dies=DEATHS)
    def try_again(self, data: st.DataObject, dies: str) -> None:
        """A person clears a run, or Airflow tries one again."""
        run_id = data.draw(st.sampled_from([*self.moments]))
        with suppress(WatermarkError):  # its beginning is forgotten: refused
            self.end(self.begin(run_id, data.draw(LISTED)), dies)

    @invariant()
    def no_two_runs_share_a_record(self) -> None:
        for part in PARTS if hasattr(self, "store") and not self.has_dropped else ():
            read = [value for output in self.outputs.values() for value in output.get(part, ())]
            assert len(read) == len(set(read))


class RunsAtOnce(Model):
    """Runs overlap, and people and backfills come in between."""

    @rule(parts=LISTED)
    def start(self, parts: Sequence[str]) -> None:
        """Airflow starts the next run."""
        self.under_way.append(self.begin(self.next_run(), parts))

    @precondition(lambda self: self.moments)
    @rule(data=st.data())
    def try_again(self, data: st.DataObject) -> None:
        """A run is cleared, or its worker is declared dead while it lives."""
        run_id = data.draw(st.sampled_from([*self.moments]))
        with suppress(WatermarkError):
            self.under_way.append(self.begin(run_id, data.draw(LISTED)))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), dies=DEATHS)
    def finish(self, data: st.DataObject, dies: str) -> None:
        """One of the attempts under way ends, or is killed."""
        number = data.draw(st.integers(0, len(self.under_way) - 1))
        self.end(self.under_way.pop(number), dies)

    @rule(part=st.sampled_from(PARTS))
    def reset(self, part: str) -> None:
        """A person resets one watermark."""
        self.store.replace(IDENTITY, part, None)
        self.lowest[part] = -1

    @rule(start=st.integers(0, 50))
    def backfill(self, start: int) -> None:
        """A run in interval mode knows no watermarks; its output counts, its end moves nothing."""
        wanted = range(start, start + 10)
        self.outputs[f"backfill{start}", -1] = {
            part: [value for value in self.api[part] if value in wanted] for part in PARTS
        }


class MappedRuns(Model):
    """Runs whose partitions are dealt out to task instances, and are others when a run is tried again."""

    @rule(parts=DEALT, size=st.integers(1, 3), data=st.data())
    def run(self, parts: Sequence[str], size: int, data: st.DataObject) -> None:
        """Airflow starts the next run."""
        self.deal(self.next_run(), parts, size, data)

    @precondition(lambda self: self.moments)
    @rule(parts=DEALT, size=st.integers(1, 3), data=st.data())
    def try_again(self, parts: Sequence[str], size: int, data: st.DataObject) -> None:
        """A person clears a run, with fewer parents, or more of them in each instance."""
        run_id = data.draw(st.sampled_from([*self.moments]))
        with suppress(WatermarkError):
            self.deal(run_id, parts, size, data)

    def deal(self, run_id: str, parts: Sequence[str], size: int, data: st.DataObject) -> None:
        instances = [parts[start : start + size] for start in range(0, len(parts), size)]
        deaths = [data.draw(DEATHS) for _ in instances]
        for number in data.draw(st.permutations(range(len(instances)))):
            self.end(self.begin(run_id, instances[number], number), deaths[number])
        if {*deaths} == {"never"}:
            self.finish(run_id, len(instances), dies=data.draw(st.booleans()))

    def finish(self, run_id: str, count: int, *, dies: bool) -> None:
        """The task after all instances sets their partitions back, and removes the output of those that are gone."""
        stale = [place for place in self.outputs if place[0] == run_id and place[1] >= count]
        for place in stale:
            self.dropped[f"{place}"] = {*self.outputs[place]}
            self.has_dropped = True
        self.keeper.sweep(IDENTITY, 1e9, run_id, count)
        for place in () if dies else stale:
            del self.outputs[place], self.manifests[place]


def _state(value: int) -> WatermarkState:
    return WatermarkState() if value < 0 else WatermarkState(value)


SETTINGS = examples(0.5, stateful_step_count=20)
TestRunsOneByOne = RunsOneByOne.TestCase
TestRunsOneByOne.settings = SETTINGS
TestRunsAtOnce = RunsAtOnce.TestCase
TestRunsAtOnce.settings = SETTINGS
TestMappedRuns = MappedRuns.TestCase
TestMappedRuns.settings = SETTINGS
