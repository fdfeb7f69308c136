"""A request budget shared by every thread and process of one machine.

The budget of an endpoint lives in a small file in the temporary folder: a ring of the times at which the last N
requests were allowed, N being the requests per period. A request may start one period after the N-th before it, so
no window of that length, wherever it begins, holds more than N. A worker takes its slot under a file lock and then
waits without holding anything. Workers on other machines have budgets of their own: divide the limit among them.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.errors import ApiError
from oauth_taskflow.iso8601 import duration_seconds
from oauth_taskflow.schema.types import Count, Duration, Options, doc


class RateLimit(Options, frozen=True, kw_only=True):
    """A budget that this endpoint's requests keep to, on every worker of the machine."""

    requests: Annotated[Count | None, doc("Requests allowed per period.", 100)] = None
    per: Annotated[Duration, doc("Length of the period.", "PT1M")] = "PT1S"


# Position in the ring and the time before which nobody starts, then the ring.
_HEAD = struct.Struct("<qd")
_SLOT = struct.Struct("<d")
_WORTH_A_LINE = 5.0
_log = logging.getLogger(__name__)


def budget_folder() -> Path:
    """The folder of the budgets, this user's alone; made when absent.

    Raises:
        ApiError: somebody else owns it.
    """
    folder = Path(tempfile.gettempdir()) / f"oauth_taskflow-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise ApiError(
            "The folder for rate limits belongs to somebody else",
            where=f"at {folder}",
            hint="Remove it, or set TMPDIR to a folder of your own.",
        )
    return folder


class RateLimiter:
    """At most ``requests`` per ``period`` seconds for everybody on this machine who uses the same ``key``."""

    def __init__(
        self,
        requests: int,
        period: float,
        key: str,
        *,
        clock: Clock = SYSTEM_CLOCK,
        folder: Path | None = None,
    ) -> None:
        name = hashlib.sha256(f"{key}\n{requests}\n{period}".encode()).hexdigest()[:32]
        self._path = (folder or budget_folder()) / f"{name}.budget"
        self._requests = requests
        self._period = period
        self._clock = clock

    @classmethod
    def of(cls, options: RateLimit, key: str) -> RateLimiter:
        """The limiter that ``options`` describe; ``key`` names connection and endpoint."""
        return cls(options.requests or 1, duration_seconds(options.per), key)

    def acquire(self) -> None:
        """Return when one more request may start."""
        start = self._reserve()
        while (wait := start - self._clock.now()) > 0:
            if wait >= _WORTH_A_LINE:
                _log.info("Waiting %.1f s to keep to the rate limit", wait)
            self._clock.sleep(wait)
            start = self._held_until()  # a rate limit may have been hit meanwhile

    def hold(self, seconds: float) -> None:
        """Let nobody start for ``seconds``: the API said that the limit is used up."""
        with self._locked() as file:
            head, until = self._read_head(file)
            os.pwrite(file, _HEAD.pack(head, max(until, self._clock.now() + seconds)), 0)

    def _reserve(self) -> float:
        with self._locked() as file:
            now = self._clock.now()
            head, until = self._read_head(file)
            position = _HEAD.size + head * _SLOT.size
            oldest = _SLOT.unpack(os.pread(file, _SLOT.size, position) or _SLOT.pack(0.0))[0]
            start = max(now, until, oldest + self._period if oldest else 0.0)
            os.pwrite(file, _SLOT.pack(start), position)
            os.pwrite(file, _HEAD.pack((head + 1) % self._requests, until), 0)
            return start

    def _held_until(self) -> float:
        with self._locked() as file:
            return self._read_head(file)[1]

    def _read_head(self, file: int) -> tuple[int, float]:
        stored = os.pread(file, _HEAD.size, 0)
        if len(stored) < _HEAD.size:
            return 0, 0.0
        head, until = _HEAD.unpack(stored)
        return head, until

    @contextmanager
    def _locked(self) -> Iterator[int]:
        # A lock belongs to the open file, so threads of one process exclude each other as well.
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)
