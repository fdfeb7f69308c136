"""The steps of a refresh, told to an observer: for audit, and for tests that stop the world at one of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum

from msgspec import Struct

_log = logging.getLogger("oauth_taskflow.tokens")


class Step(Enum):
    """What has just been done; in the order of a refresh without surprises.

    ``KEPT``: an answer with status 2xx is in a file, before anything in it is judged. ``WAITED`` is told by who did not refresh, once another worker's refresh came to an end or took too long.
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

    ``seconds`` have passed since the worker took the lease, or began to wait. ``consent_due`` are those until a person
    must agree again: 0 when that is so now, None when nothing is known.
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


def nobody(_event: Event) -> None:
    """The observer that does nothing."""


def tell(observer: Observer, event: Event) -> None:
    """Tell ``observer``; its defects must not cost a refresh token."""
    try:
        observer(event)
    except Exception as bug:  # noqa: BLE001  # whatever it is, the refresh goes on
        _log.warning("observer failed at %s: %s", event.step.value, type(bug).__name__)
