"""The thread that stores consents while the token store is away: it ends when none waits, and forgets none."""

from __future__ import annotations

import threading

import pytest

from oauth_taskflow.taskflow.grants import kept_consents
from oauth_taskflow.taskflow.grants.kept_consents import KeptConsentWatch
from tests.support.clock import FakeClock

pytestmark = pytest.mark.airflow
THREAD = "oauth-kept-consents"


def join() -> None:
    for thread in threading.enumerate():
        if thread.name == THREAD:
            thread.join()


def test_a_consent_that_arrives_after_the_others_were_listed_is_stored_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed, arrived, calls = threading.Event(), threading.Event(), []

    def store() -> bool:
        calls.append(threading.current_thread().name)
        listed.set()
        arrived.wait()
        return True

    monkeypatch.setattr(kept_consents, "store_kept_consents", store)
    watch = KeptConsentWatch(FakeClock())
    watch.begin()
    listed.wait()
    watch.begin()
    arrived.set()
    join()
    assert calls == [THREAD, THREAD]


def test_pauses_grow_to_a_minute_and_failures_of_any_kind_end_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes: list[bool | Exception] = [*[False] * 9, ValueError("a secret"), False, True]

    def store() -> bool:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(kept_consents, "store_kept_consents", store)
    clock = FakeClock()
    watch = KeptConsentWatch(clock)
    watch.begin()
    join()
    assert outcomes == []
    assert clock.slept[:3] == [2.0, 3.0, 4.5]
    assert clock.slept[-2:] == [60.0, 60.0]
    assert [record.message for record in caplog.records] == [
        "waiting consents are not stored yet: ValueError"
    ]
    outcomes.append(True)
    watch.begin()  # a thread that ended is followed by another
    join()
    assert outcomes == []
