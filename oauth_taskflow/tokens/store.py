"""The contract of a token store, whose every operation is one short transaction."""

from __future__ import annotations

from typing import Protocol

from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.recovery_files import RecoveryFiles
from oauth_taskflow.tokens.state.record import GrantRecord, Lease
from oauth_taskflow.tokens.state.transitions import Transition


class TokenStore(Protocol):
    """The store of all grants. Threads, processes and, with a database server, machines share it.

    Every operation raises ``TokenStoreError`` when the store fails (``retryable`` when it may come back), and
    ``TokenUndecryptable`` when no key opens a record.
    """

    cipher: TokenCipher
    recovery: RecoveryFiles
    name: str

    def read(self, grant_key: str) -> GrantRecord:
        """The record as it is now; an empty one if the grant is not stored."""

    def list_grants(self) -> list[tuple[str, str]]:
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

        Returns the record as it is under the new lease, or None.

        Args:
            grant_key: the grant.
            owner: names this attempt alone. It gets the lease again if it asks once more, because a commit may have
                succeeded unnoticed.
            ttl: seconds on the store's clock.
            breaking: the fence of a holder known to be dead, whose lease may be taken early.
            lapsed: the fence whose lease was seen to run out. One that another worker took since is left alone.
            waits: if False, the lease may also be missed because another worker is writing.
        """

    def prolong(self, grant_key: str, lease: Lease, *, ttl: float, waits: bool) -> bool:
        """Make ``lease`` last ``ttl`` seconds from now on, by the store's clock; False if it is not in force.

        Unless ``waits``, the store is asked only once, and the result is also False if it is busy or away.
        """

    def change(self, record: GrantRecord, transition: Transition) -> GrantRecord:
        """Apply ``transition`` to what is stored, starting from ``record``, atomically.

        Returns the record as stored afterwards. If the row changed since ``record`` was read, it is read again and
        ``transition`` decides again, so that its conditions hold at the moment of writing. A record that was forgotten
        meanwhile stays forgotten: nothing is written, and the empty record is returned.
        """

    def forget(self, grant_key: str) -> None:
        """Delete the record, tokens included."""
