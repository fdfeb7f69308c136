"""Troubles that come and go, workers that overlap, stall and die, against a model of what people hear of each event."""

from __future__ import annotations

import tempfile
from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from oauth_taskflow.notices.sent import Choice, is_still_true
from oauth_taskflow.notices.store import CLAIM_SECONDS, NoticeKeeper, Topic
from oauth_taskflow.notices.trouble import Kind, Trouble
from tests.notices.conftest import ClockedNoticeStore
from tests.support.clock import FakeClock
from tests.support.examples import examples
from tests.support.notices import list_sent

pytestmark = pytest.mark.slow

TOPIC = Topic("crm", "dag: log")
KINDS: tuple[Kind, ...] = ("needs_consent", "consent_due", "refresh_failing")
Event = tuple[str, float]


class Worker:
    """An attempt that looked at the grant, and perhaps has the right to send a notice."""

    def __init__(self, owner: str, troubles: tuple[Trouble, ...]) -> None:
        self.owner, self.troubles = owner, troubles
        self.choice: Choice | None = None
        self.claimed_at = 0.0


class Notices(RuleBasedStateMachine):
    """One connection and one channel."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.store = ClockedNoticeStore(f"sqlite:///{self.folder.name}/n.db", clock=self.clock)
        self.keeper = self.find_keeper()
        self.troubles: dict[Kind, float] = {}
        self.lookers: list[Worker] = []
        self.workers: list[Worker] = []
        self.heard: list[Choice] = []
        # How often each event may come again: a worker died, or took too long, after it had the right to send it.
        self.excused: Counter[Event] = Counter()
        self.count = 0

    def find_keeper(self) -> NoticeKeeper:
        """The store itself, which workers ask."""
        return self.store

    def look(self) -> tuple[Trouble, ...]:
        if "needs_consent" in self.troubles:
            return (Trouble("needs_consent", self.troubles["needs_consent"]),)
        return tuple(Trouble(kind, self.troubles[kind]) for kind in KINDS if kind in self.troubles)

    @rule(kind=st.sampled_from(KINDS))
    def begin(self, kind: Kind) -> None:
        """A trouble begins, unless it is there."""
        self.clock.advance(1)
        self.troubles.setdefault(kind, self.clock.now())

    @precondition(lambda self: self.troubles)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """A trouble is over."""
        self.clock.advance(1)
        del self.troubles[data.draw(st.sampled_from(sorted(self.troubles)))]

    @rule(seconds=st.sampled_from([1.0, CLAIM_SECONDS / 2, CLAIM_SECONDS + 1]))
    def wait(self, seconds: float) -> None:
        """Time passes; a claim may lapse."""
        self.clock.advance(seconds)

    @rule()
    def look_at_the_grant(self) -> None:
        """A worker begins."""
        self.count += 1
        self.lookers.append(Worker(f"{self.count:032x}", self.look()))

    @precondition(lambda self: self.lookers)
    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        """A worker, which may have looked long ago, wants to send a notice."""
        worker = self.lookers.pop(data.draw(st.integers(0, len(self.lookers) - 1)))
        worker.choice = self.keeper.claim(TOPIC, worker.troubles, owner=worker.owner).choice
        worker.claimed_at = self.clock.now()
        if worker.choice is not None:
            self.workers.append(worker)

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), death=st.sampled_from(["never", "before", "after", "refused"]))
    def send(self, data: st.DataObject, death: str) -> None:
        """A worker sends its notice; it may be killed before or after that, or the notifier fails."""
        worker = self.workers.pop(data.draw(st.integers(0, len(self.workers) - 1)))
        assert worker.choice is not None
        if death == "before":
            return
        if death == "refused" or not is_still_true(worker.choice, self.look()):
            self.keeper.release(TOPIC, worker.owner)
            return
        self.heard.append(worker.choice)
        late = self.clock.now() >= worker.claimed_at + CLAIM_SECONDS
        if death == "after" or late:
            self.excused[worker.choice.kind, worker.choice.since or 0.0] += 1
        if death == "never":
            self.keeper.settle(TOPIC, worker.owner)

    @invariant()
    def each_event_is_heard_once_unless_a_worker_died_or_stalled(self) -> None:
        heard = Counter((one.kind, one.since) for one in getattr(self, "heard", ()) if one.since)
        for (kind, since), times in heard.items():
            assert times <= 1 + self.excused[kind, since or 0.0]

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        self.finish()
        self.store.close()
        self.folder.cleanup()

    def finish(self) -> None:
        """After any history, runs without deaths bring people up to date, and then say nothing more."""
        self.clock.advance(CLAIM_SECONDS + 1)
        for number in range(8):
            claim = self.keeper.claim(TOPIC, self.look(), owner=f"{2**64 + number:032x}")
            assert not claim.is_busy
            if claim.choice is None:
                break
            self.heard.append(claim.choice)
            self.keeper.settle(TOPIC, f"{2**64 + number:032x}")
        else:
            raise AssertionError("it never ends")
        heard = {(one.kind, one.since) for one in self.heard}
        assert {(one.kind, one.since) for one in self.look()} <= heard
        sent = list_sent(self.store, TOPIC.conn_id).get(TOPIC.channel, {})
        assert {kind: mark.since for kind, mark in sent.items()} == {
            one.kind: one.since for one in self.look()
        }


TestNotices = Notices.TestCase
TestNotices.settings = examples(0.8, stateful_step_count=25)
