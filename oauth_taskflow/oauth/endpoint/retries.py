"""Repeats a token request where that is safe: bounded, with jitter, inside one time budget."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from oauth_taskflow.clock import Clock
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.endpoint.outcomes import (
    Failure,
    Granted,
    NotProcessed,
    Outcome,
    OutcomeUnknown,
)

# Called before a pause of that many seconds, with the failure after which the request is repeated.
PauseObserver = Callable[[OAuthTaskflowError, float], None]

MOST_ATTEMPTS = 3
_FIRST_PAUSE = 0.5
_LEAST_TIME_TO_SEND = 1.0


def ignore_pause(_failure: OAuthTaskflowError, _seconds: float) -> None:
    """Do nothing: the default observer of pauses."""


def exchange_with_retries(
    send: Callable[[float], Outcome],
    *,
    single_use: bool,
    clock: Clock,
    budget: float,
    longest_pause: float = math.inf,
    on_pause: PauseObserver = ignore_pause,
) -> Outcome:
    """The outcome of ``send(seconds left)``, asked up to three times within ``budget`` seconds.

    A single-use grant is sent again only when the server certainly did not process it; an idempotent one also when
    the answer was lost. A ``Retry-After`` longer than the budget, or than ``longest_pause`` seconds, ends the attempts: the
    caller knows who must wait.
    """
    end = clock.monotonic() + budget
    outcome = send(budget)
    for attempt in range(1, MOST_ATTEMPTS):
        if isinstance(outcome, Granted) or not _repeatable(outcome, attempt, single_use=single_use):
            break
        pause = _choose_pause(outcome.error, attempt)
        left = end - clock.monotonic() - pause
        if left < _LEAST_TIME_TO_SEND or pause > longest_pause:
            break
        on_pause(outcome.error, pause)
        clock.sleep(pause)
        outcome = send(left)
    return outcome


def _repeatable(failure: Failure, attempt: int, *, single_use: bool) -> bool:
    if isinstance(failure, NotProcessed):
        return True
    return isinstance(failure, OutcomeUnknown) and attempt <= failure.again and not single_use


def _choose_pause(failure: OAuthTaskflowError, attempt: int) -> float:
    """Seconds to wait: what the server asked for, else doubling from half a second; plus up to half as jitter."""
    asked = failure.retry_after
    base = asked if asked is not None else _FIRST_PAUSE * 2 ** (attempt - 1)
    return base * (1 + random.random() / 2)  # noqa: S311  # jitter needs no secrecy
