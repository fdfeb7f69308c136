"""Times an action by the processor time of its thread, without what other tests have left in the process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
# Seconds. A shorter call needs no second look.
_SURELY_QUICK = 0.3
_TRIES = 4


def time_action(action: Callable[[], T]) -> tuple[T, float]:
    """Returns the result of ``action`` and the seconds of the quickest of a few calls.

    The garbage collector of a process with ten thousand tests may take half a second of any single call, and so may a busy machine.
    """
    quickest = float("inf")
    for _ in range(_TRIES):
        begun = time.thread_time()
        result = action()
        quickest = min(quickest, time.thread_time() - begun)
        if quickest < _SURELY_QUICK:
            break
    return result, quickest
