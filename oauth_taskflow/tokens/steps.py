"""The steps of a refresh, told to an observer: for audit, and for tests that stop the world at one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Step(Enum):
    """What has just been done; in the order of a refresh without surprises."""

    LEASED = "leased"
    JOURNALED = "journaled"
    SENDING = "sending"
    ANSWERED = "answered"
    PERSISTED = "persisted"
    RELEASED = "released"
    SUPERSEDED = "superseded"
    IN_DOUBT = "in_doubt"
    LINEAGE_LOST = "lineage_lost"
    RESCUED = "rescued"
    RECOVERED = "recovered"
    FAILED = "failed"


@dataclass(frozen=True)
class Event:
    """One step of one grant. Holds nothing secret: the grant key is a hash, ``outcome`` a class name."""

    step: Step
    grant_key: str
    conn_id: str
    version: int
    fence: int
    outcome: str = ""


Observer = Callable[[Event], None]


def nobody(_event: Event) -> None:
    """The observer that does nothing."""
