"""The steps of a refresh, published to an observer: for audit, and for tests that stop the world at one of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum

from msgspec import Struct

_log = logging.getLogger("oauth_taskflow.tokens")


class Step(Enum):
    """The step that was just done, in the order of a refresh without surprises.

    ``KEPT``: an answer with status 2xx is in a file, before anything in it is judged. ``WAITED`` comes from a worker that
    did not refresh, once another worker's refresh ended or took too long.
    """

    LEASED = "leased"
    JOURNALED = "journaled"
    SENDING = "sending"
    ANSWERED = "answered"
    KEPT = "kept"
    PERSISTED = "persisted"
    RELEASED = "released"
    SUPERSEDED = "superseded"
    IN_DOUBT = "in_doubt"
    LINEAGE_LOST = "lineage_lost"
    RESCUED = "rescued"
    RECOVERED = "recovered"
    FAILED = "failed"
    WAITED = "waited"


class Event(Struct, frozen=True):
    """One step of one grant. Holds nothing secret: the grant key is a hash, ``outcome`` a class name.

    ``seconds`` have passed since the worker took the lease, or began to wait. ``consent_due`` is the time until a person
    must agree again: 0 if that is now, None if nothing is known.
    """

    step: Step
    grant_key: str
    conn_id: str
    version: int
    fence: int
    outcome: str = ""
    seconds: float = 0.0
    consent_due: float | None = None


Observer = Callable[[Event], None]


def ignore_event(_event: Event) -> None:
    """Do nothing: the default observer."""


def publish(observer: Observer, event: Event) -> None:
    """Call ``observer``; its defects must not cost a refresh token."""
    try:
        observer(event)
    except Exception as bug:  # noqa: BLE001  # the refresh goes on after any defect
        _log.warning("observer failed at %s: %s", event.step.value, type(bug).__name__)
