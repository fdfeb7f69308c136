"""The part of the store of watermarks that a run needs, whether it opens the database itself or asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from oauth_taskflow.watermarks.partitions import EndpointId
from oauth_taskflow.watermarks.state import WatermarkState
from oauth_taskflow.watermarks.store import Head, Outcome, PendingCommit


class WatermarkKeeper(Protocol):
    """The operations of ``WatermarkStore`` that runs use; each is one short transaction, and may be repeated.

    Raises:
        TokenStoreError: the database failed, or cannot be asked.
    """

    def begin(self, identity: EndpointId, run_id: str) -> Head:
        """Returns the head of ``identity``, which is created where it is missing."""

    def read(
        self, identity: EndpointId, run_id: str, partitions: Sequence[str], head: Head
    ) -> dict[str, WatermarkState]:
        """Returns where the run begins to read each partition."""

    def prepare(self, commit: PendingCommit) -> None:
        """Notes a commit before it happens."""

    def list_pending(self, identity: EndpointId) -> list[tuple[PendingCommit, float]]:
        """Returns the commits that are noted and not settled, with their age in seconds; the moves may be missing."""

    def drop_pending(self, commit: PendingCommit) -> None:
        """Forgets a commit that never happened."""

    def settle(self, commit: PendingCommit) -> Outcome:
        """Moves the watermarks of a commit that happened, once."""

    def roll_up(self, identity: EndpointId, run_id: str, reached: WatermarkState) -> bool:
        """Moves the shared watermark after a whole run, if there is one."""

    def sweep(
        self,
        identity: EndpointId,
        grace: float,
        run_id: str = "",
        instances: int | None = None,
    ) -> int:
        """Drops the partitions that no run read for ``grace`` seconds, and sets those back whose output the run lost."""

    def sum_up(self, identity: EndpointId) -> tuple[WatermarkState, int]:
        """Returns the lowest watermark, and the number of partitions."""
