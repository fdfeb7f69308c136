"""The contract of a token store: three operations, each one short transaction."""

from __future__ import annotations

from typing import Protocol

from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.recovery_files import RecoveryFiles
from oauth_taskflow.tokens.state.record import GrantRecord, Lease
from oauth_taskflow.tokens.state.transitions import Transition


class TokenStore(Protocol):
    """Where grants live. Shared by threads, processes and, with a server behind it, machines.

    Every operation raises ``TokenStoreError`` when the store fails (``retryable`` when it may come back), and
    ``TokenUndecryptable`` when no key opens a record.
    """

    cipher: TokenCipher
    recovery: RecoveryFiles
    name: str

    def read(self, grant_key: str) -> GrantRecord:
        """The record as it is now; an empty one when there is none."""

    def grants(self) -> list[tuple[str, str]]:
        """Connection id and grant key of every record."""

    def acquire(
        self,
        grant_key: str,
        *,
        owner: str,
        ttl: float,
        breaking: int | None = None,
        lapsed: int | None = None,
        waits: bool = True,
    ) -> GrantRecord | None:
        """Take the lease for ``ttl`` seconds of the store's clock, if it is free or has run out.

        ``owner`` names this attempt alone: asked once more, because it is not known whether a commit came to pass, it
        gets the lease again. ``breaking`` is the fence of a holder known to be dead, whose lease may be taken early.
        ``lapsed`` is the fence whose lease was seen to run out; one that another worker took since is left alone.
        Unless ``waits``, the lease may also be missed because somebody else is writing. Returns the record as it is
        under the new lease, or None.
        """

    def prolong(self, grant_key: str, lease: Lease, *, ttl: float, waits: bool) -> bool:
        """Make ``lease`` last ``ttl`` seconds from now on, by the store's clock; False when it is not in force.

        Also False, unless ``waits``, when the store is busy or away: it is asked once and at once.
        """

    def change(self, record: GrantRecord, transition: Transition) -> GrantRecord:
        """Apply ``transition`` to what is stored, starting from ``record``, atomically.

        Returns what is stored afterwards. When the row changed since ``record`` was read, it is read again and
        ``transition`` decides anew, so that a condition checked inside ``transition`` holds at the moment of writing. A record that was
        forgotten meanwhile stays forgotten: nothing is written, and the empty record is returned.
        """

    def forget(self, grant_key: str) -> None:
        """Delete the record, tokens included."""
