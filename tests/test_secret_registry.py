"""Secrets are announced once, and every observer learns them, whenever it subscribes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import pytest

from oauth_taskflow import secret_registry
from tests.support.clock import FakeClock


class Observer:
    """Remembers what it was called with."""

    def __init__(self) -> None:
        self.added: list[str] = []
        self.expired: set[str] = set()

    def __call__(self, added: Sequence[str], expired: frozenset[str]) -> None:
        self.added += added
        self.expired |= expired


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """An empty registry on a clock that stands still."""
    monkeypatch.setattr(secret_registry, "_known", OrderedDict())
    monkeypatch.setattr(secret_registry, "_observers", [])
    monkeypatch.setattr(secret_registry, "SYSTEM_CLOCK", clock := FakeClock(0.0))
    return clock


def test_an_observer_learns_every_form_of_a_secret_once(clock: FakeClock) -> None:
    secret_registry.subscribe(observer := Observer())
    secret_registry.add(["one/secret", ""])
    secret_registry.add(["one/secret"])
    assert {"one/secret", "one%2Fsecret"} <= set(observer.added)
    assert len(observer.added) == len(set(observer.added))


def test_an_observer_that_subscribes_late_learns_the_secrets_that_are_known(
    clock: FakeClock,
) -> None:
    secret_registry.add(["early"])
    observer = Observer()
    for _ in range(2):  # the second call changes nothing
        secret_registry.subscribe(observer)
    assert observer.added.count("early") == 1


def test_an_observer_learns_which_secrets_have_expired(clock: FakeClock) -> None:
    secret_registry.subscribe(observer := Observer())
    secret_registry.add(["short-lived"], until=clock.now() + 1)
    clock.advance(3599)  # hidden for an hour at least
    secret_registry.add(["another"])
    assert observer.expired == set()
    clock.advance(2)
    secret_registry.add(["a third"])
    assert "short-lived" in observer.expired
    assert list(secret_registry.list_secrets()) == ["another", "a third"]
