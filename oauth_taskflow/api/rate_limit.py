"""A request budget shared by every thread and process of one machine.

The budget of an endpoint is a small file in the temporary folder. It holds a ring of the times at which the last N
requests were allowed, where N is the number of requests per period. A request may start one period after the N-th
before it, so no window of that length contains more than N. A worker takes its slot under a file lock and then waits
without a lock. Each machine has its own budget, so divide the limit among machines.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import struct
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


# The position in the ring and the time before which no request starts, then the ring.
_HEAD = struct.Struct("<qd")
_SLOT = struct.Struct("<d")
_WORTH_A_LINE = 5.0
_log = logging.getLogger(__name__)


def budget_folder() -> Path:
    """The folder of the budgets, which belongs to this user alone; created when missing.

    Raises:
        ApiError: another user owns it.
    """
    import tempfile  # noqa: PLC0415  # slow to load; specs need the options of this module alone

    folder = Path(tempfile.gettempdir()) / f"oauth_taskflow-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise ApiError(
            "The folder for rate limits belongs to another user",
            where=f"at {folder}",
            hint="Remove it, or set TMPDIR to a folder of your own.",
        )
    return folder


class RateLimiter:
    """Allows ``requests`` per ``period`` seconds to all processes of this machine that use the same ``key``."""

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
    def from_options(cls, options: RateLimit, key: str) -> RateLimiter:
        """The limiter for ``options``; ``key`` names connection and endpoint."""
        return cls(options.requests or 1, duration_seconds(options.per), key)

    def acquire(self) -> None:
        """Wait until one more request may start."""
        start = self._reserve()
        while (wait := start - self._clock.now()) > 0:
            if wait >= _WORTH_A_LINE:
                _log.info("Waiting %.1f s to keep to the rate limit", wait)
            self._clock.sleep(wait)
            start = self._hold_end()  # a rate limit may have been reached meanwhile

    def hold(self, seconds: float) -> None:
        """Delay every request by ``seconds``, because the API reported a used-up limit."""
        with self._lock() as file:
            head, until = self._read_head(file)
            os.pwrite(file, _HEAD.pack(head, max(until, self._clock.now() + seconds)), 0)

    def _reserve(self) -> float:
        with self._lock() as file:
            now = self._clock.now()
            head, until = self._read_head(file)
            position = _HEAD.size + head * _SLOT.size
            oldest = _SLOT.unpack(os.pread(file, _SLOT.size, position) or _SLOT.pack(0.0))[0]
            start = max(now, until, oldest + self._period if oldest else 0.0)
            os.pwrite(file, _SLOT.pack(start), position)
            os.pwrite(file, _HEAD.pack((head + 1) % self._requests, until), 0)
            return start

    def _hold_end(self) -> float:
        with self._lock() as file:
            return self._read_head(file)[1]

    def _read_head(self, file: int) -> tuple[int, float]:
        stored = os.pread(file, _HEAD.size, 0)
        if len(stored) < _HEAD.size:
            return 0, 0.0
        head, until = _HEAD.unpack(stored)
        return head, until

    @contextmanager
    def _lock(self) -> Iterator[int]:
        # A lock belongs to the open file, so it also excludes other threads of the process.
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)
