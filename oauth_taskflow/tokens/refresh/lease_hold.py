"""Keeps the lease of one attempt by prolonging it, so that a dead worker's lease ends within seconds.

The lease is short and is prolonged while its holder lives. A holder that stood still, or did not reach the store, asks
the store before it sends: another worker may have the lease by then.
"""

from __future__ import annotations

import threading

from oauth_taskflow.clock import Clock
from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.state.record import GrantRecord
from oauth_taskflow.tokens.store import TokenStore


class LeaseHold:
    """One attempt's lease, prolonged by a separate thread between ``start`` and ``stop``.

    Args:
        store: where the lease is.
        record: the record under the new lease.
        options: how long a lease lasts and how often it is prolonged.
        clock: this machine's clock.
    """

    def __init__(
        self, store: TokenStore, record: GrantRecord, options: ManagerOptions, clock: Clock
    ) -> None:
        self._store = store
        self._grant_key = record.grant_key
        self._lease = record.lease
        self._options = options
        self._clock = clock
        self._over = threading.Event()
        began = (record.read_at.monotonic, record.read_at.wall)
        # By the store's clock: time may have passed since it gave the lease.
        first = (record.lease.until or 0.0) - record.read_at.store
        self._confirmed = (*began, first)
        self._whole = (*began, first + options.lease_ttl - options.lease_step)

    def start(self) -> None:
        """Begin to prolong the lease, unless it already lasts as long as an attempt may."""
        if self._options.lease_step >= self._options.lease_ttl:
            return
        try:
            threading.Thread(
                target=self._prolong_until_stopped, name="oauth-lease", daemon=True
            ).start()
        except RuntimeError:  # the interpreter is shutting down, or the system has no more threads
            self._prolong(self._seconds_left(self._whole), waits=True)

    def stop(self) -> None:
        """Stop prolonging. A request that is under way finds the lease given back and changes nothing."""
        self._over.set()

    def note_extension(self, record: GrantRecord) -> None:
        """Note that ``record``, with a lease that lasts longer, was stored under the lease."""
        left = (record.lease.until or 0.0) - record.read_at.store
        self._confirmed = (record.read_at.monotonic, record.read_at.wall, left)

    def seconds_left(self) -> float:
        """Seconds left for the whole attempt. The wall clock counts too: the monotonic one stops with the machine."""
        return self._seconds_left(self._whole)

    def is_certain(self) -> bool:
        """Whether the lease is ours for long enough to begin a request now. Asks the store if that is in doubt."""
        enough = self._options.lease_step / 4
        for _ in range(2):
            if self._seconds_left(self._confirmed) > enough:
                return True
            if not self._prolong(self.next_extension(), waits=True):
                return False
        return False  # it stood still again while the store answered

    def _seconds_left(self, since: tuple[float, float, float]) -> float:
        monotonic, wall, seconds = since
        return seconds - max(self._clock.monotonic() - monotonic, self._clock.now() - wall)

    def next_extension(self) -> float:
        """Seconds that the next prolongation makes the lease last."""
        return min(self._options.lease_step, self._seconds_left(self._whole))

    def _prolong_until_stopped(self) -> None:
        pause = self._options.heartbeat
        while not self._over.wait(pause) and self._seconds_left(self._whole) > 0:
            # A busy SQLite file or a database that restarts: asked again soon, because others may have come back to it.
            kept = not self._is_due() or self._prolong(self.next_extension(), waits=False)
            pause = self._options.heartbeat / (1 if kept else 4)

    def _is_due(self) -> bool:
        return (
            self._seconds_left(self._confirmed)
            <= self._options.lease_step - self._options.heartbeat / 2
        )

    def _prolong(self, seconds: float, *, waits: bool) -> bool:
        """Make the lease last ``seconds`` from now on; False if it is not ours, or the store does not answer."""
        before = (self._clock.monotonic(), self._clock.now())
        try:
            kept = self._store.prolong(self._grant_key, self._lease, ttl=seconds, waits=waits)
        except TokenStoreError:
            return False
        if kept:
            self._confirmed = (*before, seconds)
        return kept
