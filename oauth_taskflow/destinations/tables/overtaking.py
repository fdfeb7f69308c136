"""Commits that another transaction overtook: tried again until they get through."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")
# Seconds. Hundreds of mapped task instances may commit to one table at once, one after the other.
_PATIENCE = 600.0
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 3.0


def repeat_when_overtaken(
    commit: Callable[[], _Result], overtaken: type[Exception] | tuple[type[Exception], ...]
) -> _Result:
    """Returns what ``commit`` does; calls it again after an ``overtaken`` error, for ten minutes at most.

    The waits grow and differ by chance, so that tasks which collided do not collide again.
    """
    end = time.monotonic() + _PATIENCE
    wait = _FIRST_WAIT
    while True:
        try:
            return commit()
        except overtaken:
            if time.monotonic() > end:
                raise
        time.sleep(wait * (0.5 + secrets.randbelow(1000) / 1000))
        wait = min(wait * 2, _LONGEST_WAIT)
