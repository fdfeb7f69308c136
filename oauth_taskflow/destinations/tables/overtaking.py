"""Commits that another transaction overtook: tried again until they get through, or given up for another attempt."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from oauth_taskflow.destinations.output_folders import superseded_error
from oauth_taskflow.destinations.tables.base import Commit

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


def is_own(manifest: Mapping[str, Any] | None, commit: Commit, uri: str) -> bool:
    """Returns whether the rows that ``manifest`` describes are those of ``commit`` already, whose answer was lost.

    Raises:
        DestinationError: they are no longer those that were there when this attempt was opened.
    """
    attempt = None if manifest is None else manifest.get("attempt")
    if attempt == commit.manifest["attempt"]:
        return True
    if attempt != commit.found:
        raise superseded_error(uri)
    return False
