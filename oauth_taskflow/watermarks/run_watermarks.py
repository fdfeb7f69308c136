"""The watermarks of one task instance: where it begins to read, and how they move once its output is committed.

The order of steps makes each of them safe to be the last one before a kill:

1. ``open``: commits of former runs whose proof is found are settled first. Then the run learns where to begin.
2. ``prepare``: before the output is committed, the moves are noted with a token.
3. The output is committed; its manifest holds the token and the moves.
4. ``settle``: the watermarks move, once, in one transaction. If this step is missing, the next run does it (1).
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import ValidationError

from oauth_taskflow.errors import OAuthTaskflowError, WatermarkError
from oauth_taskflow.watermarks.keeper import WatermarkKeeper
from oauth_taskflow.watermarks.partitions import EndpointId, write_partition
from oauth_taskflow.watermarks.state import Move, WatermarkState
from oauth_taskflow.watermarks.store import Head, Outcome, PendingCommit

# A place of output -> the manifest that is committed there; None without any.
ManifestReader = Callable[[Mapping[str, Any]], "Mapping[str, Any] | None"]
# A commit without proof for so long never happened: its task is dead.
_FORGET_AFTER = 7 * 86_400.0
_NEW_RUN = "Trigger a new run instead; airflow oauth watermark set lets it begin earlier."
_NEW_RUN_OR_PLACE = "Trigger a new run instead, or remove the output of this run first."
_log = logging.getLogger(__name__)


class RunWatermarks:
    """Reads and moves the watermarks of one endpoint for one task instance of one run.

    Args:
        store: the store of watermarks.
        identity: the endpoint.
        run_id: the run; tried again, it begins where it began first.
        read_manifest: reads the manifest at a place of output.
        moves: whether the run may move watermarks; a run that only looks may not.
    """

    def __init__(
        self,
        store: WatermarkKeeper,
        identity: EndpointId,
        run_id: str,
        read_manifest: ManifestReader,
        *,
        moves: bool = True,
    ) -> None:
        self.identity = identity
        self.moves = moves
        self._store = store
        self._run_id = (
            run_id if moves else ""
        )  # no run: one that only looks begins at what is stored
        self._read_manifest = read_manifest
        self._place: Mapping[str, Any] = {}
        self._head = Head(0)
        self._own: dict[str, Move] | None = None
        # Whether what ``_own`` does not hold may be in the output of another instance of this run.
        self._is_forgotten = False
        self._pending: PendingCommit | None = None

    @property
    def knows_run(self) -> bool:
        """Whether an earlier try of this run committed output, so that it must begin where that one began."""
        return self._head.knows_run or self._own is not None

    @property
    def version(self) -> tuple[int, bool]:
        """The changes when a person sets or resets watermarks, and when partitions begin to share one."""
        return self._head.generation, self._head.shared is not None

    def open(self, place: Mapping[str, Any]) -> None:
        """Settles what former runs left, and looks where this one begins; ``place`` is that of its output.

        Raises:
            WatermarkError: an earlier try of this run committed output, and where it began is not known any more.
            TokenStoreError: the database failed.
        """
        self._place = place
        if self.moves:
            self._repair()
        self._head = self._store.begin(self.identity, self._run_id)
        if not self.moves:
            return
        self._own = self._read_own()
        if self._own is None and self._head.forgot_run:
            raise WatermarkError(
                "An earlier try of this run committed output, and where it began to read is not known any more: this try would "
                "replace records that no later run reads again",
                where=f"in {self.identity}",
                hint=_NEW_RUN,
            )

    def find(self, partitions: Sequence[str]) -> list[WatermarkState]:
        """Returns where to begin each of ``partitions``, given as canonical JSON.

        Raises:
            WatermarkError: as ``open``.
        """
        own = self._own or {}
        others = [one for one in partitions if one not in own]
        if others and self._is_forgotten:
            raise _forgotten_error(others[0], self.identity, forgot_run=self._head.forgot_run)
        found = self._store.read(self.identity, self._run_id, others, self._head) if others else {}
        return [own[one].base if one in own else found[one] for one in partitions]

    def prepare(self, moves: Sequence[Move]) -> dict[str, Any] | None:
        """Notes that a commit with these moves is about to happen, and returns what its manifest must hold.

        Raises:
            TokenStoreError: the database failed.
        """
        if not self.moves:
            return None
        read = {move.partition for move in moves}
        left = [move for move in (self._own or {}).values() if move.partition not in read]
        commit = self._note(moves, _find_moved(left))
        # The next output in this place must still begin there, should the partition come back.
        kept = [Move(one.partition, one.base, one.base) for one in left]
        return {"token": commit.token, "moves": [move.to_plain() for move in (*moves, *kept)]}

    def _note(self, moves: Sequence[Move], dropped: Sequence[Move]) -> PendingCommit:
        counted = {"dropped": len(dropped)} if dropped else {}
        self._pending = PendingCommit(
            secrets.token_hex(16),
            self.identity,
            self._run_id,
            self._head.generation,
            {**self._place, **counted},
            (*moves, *dropped),
        )
        self._store.prepare(self._pending)
        return self._pending

    def drop_output(self, place: Mapping[str, Any]) -> bool:
        """Sets back the partitions of an output at ``place`` that is about to be removed; returns whether there is one.

        Raises:
            WatermarkError: the output does not say where it began.
            TokenStoreError: the database failed.
        """
        if self._read_manifest(place) is None:
            return False
        self.open(place)
        dropped = _find_moved((self._own or {}).values())
        if dropped:
            self._store.settle(self._note((), dropped))
        return True

    def settle(self) -> str:
        """Moves the watermarks of the commit that happened, and returns a warning for people; empty without one.

        A failure of the database is such a warning: the next run moves them.
        """
        if self._pending is None:
            return ""
        try:
            outcome = self._store.settle(self._pending)
        except OAuthTaskflowError as error:
            return (
                f"The watermark of {self.identity} could not be moved ({error.what}); the next run does it, from the "
                "manifest of this one."
            )
        return _warn_of(outcome, self.identity)

    def _repair(self) -> None:
        for commit, age in self._store.list_pending(self.identity):
            try:
                happened = _is_proof(self._read_manifest(commit.place), commit)
            except OAuthTaskflowError as error:
                if commit.run_id == self._run_id:
                    raise  # where this run began must be known before its output is replaced
                _log.warning(
                    "Whether run %s committed its output is not known (%s): its watermark of %s stays as it is for now",
                    *(commit.run_id, error, self.identity),
                )
                continue
            if happened:
                outcome = self._store.settle(commit)
                _log.warning(
                    "Run %s committed its output and could not move the watermark of %s: %s now",
                    *(commit.run_id, self.identity, outcome),
                )
            elif age > _FORGET_AFTER:
                self._store.drop_pending(commit)

    def _read_own(self) -> dict[str, Move] | None:
        """Returns the moves of the output that this one replaces, by its manifest; None where the store knows them.

        The store knows the run as soon as one of its instances has committed, and not what output of another run held.
        """
        manifest = self._read_manifest(self._place)
        is_of_run = (manifest or {}).get("run_id", self._run_id) == self._run_id
        if self._head.knows_run and not self._head.forgot_run and is_of_run:
            return None
        noted = None if manifest is None else manifest.get("watermarks")
        if noted is None:
            return None
        self._is_forgotten = is_of_run or self._head.forgot_run
        try:
            moves = [_read_move(plain) for plain in noted["moves"]]
            return {move.partition: move for move in moves}
        except (KeyError, TypeError, AttributeError, ValidationError) as error:
            raise WatermarkError(
                "The manifest that an earlier try of this run left does not say where it began to read",
                where=f"in {self.identity}",
                hint=_NEW_RUN if self._head.forgot_run else _NEW_RUN_OR_PLACE,
            ) from error


def _forgotten_error(partition: str, identity: EndpointId, *, forgot_run: bool) -> WatermarkError:
    return WatermarkError(
        f"An earlier try of this run committed output, and where it began to read {partition or 'the endpoint'} is "
        "not known any more: this try would replace records that no later run reads again",
        where=f"in {identity}",
        hint=_NEW_RUN if forgot_run else _NEW_RUN_OR_PLACE,
    )


def _read_move(plain: Mapping[str, Any]) -> Move:
    """Returns a move as ``Move.to_plain`` gave it."""
    return Move(
        write_partition(plain["partition"] or {}),
        WatermarkState.from_plain(plain["from"]),
        WatermarkState.from_plain(plain["to"]),
    )


def _find_moved(moves: Iterable[Move]) -> list[Move]:
    """Returns those that moved a watermark, as moves from their beginning to the same."""
    return [
        Move(one.partition, one.base, one.base)
        for one in moves
        if not one.reached.is_empty and one.reached != one.base
    ]


def _is_proof(manifest: Mapping[str, Any] | None, commit: PendingCommit) -> bool:
    noted = (manifest or {}).get("watermarks")
    return isinstance(noted, Mapping) and noted.get("token") == commit.token


def _warn_of(outcome: Outcome, identity: EndpointId) -> str:
    if outcome == "refused":
        return (
            f"The watermark of {identity} was set or reset while this run was under way, so the run did not move it: the next "
            "one begins at the watermark that was set."
        )
    if outcome == "shared":
        return (
            f"The partitions of {identity} are too many for a watermark each: all of them share the lowest, and runs read "
            "records again."
        )
    return ""
