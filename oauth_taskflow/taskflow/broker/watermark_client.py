"""The store of watermarks for a task in broker mode: the broker keeps them, and this store asks it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.taskflow.broker import watermark_wire as wire
from oauth_taskflow.taskflow.broker.channel import UnknownQuestion, ask_about
from oauth_taskflow.taskflow.broker.questions import TooLong
from oauth_taskflow.taskflow.broker.watermark_wire import WatermarkQuestion
from oauth_taskflow.watermarks.bounds import Piece
from oauth_taskflow.watermarks.partitions import EndpointId, partition_key
from oauth_taskflow.watermarks.state import WatermarkState
from oauth_taskflow.watermarks.store import Head, Outcome, PendingCommit, choose_beginnings

# Characters of a commit in one question; fewer, if they cannot be compressed into an id.
_PIECE = 4000
Refuse = Callable[[EndpointId], OAuthTaskflowError]


class BrokerWatermarkStore:
    """The same operations as ``WatermarkStore``; each is a question to the API server, or several.

    Args:
        refuse: returns the error for an API server that does not know such questions.
        ask: asks the broker.
        clock: this machine's clock.

    Raises:
        TokenStoreError: the API server is away, or its store.
    """

    def __init__(
        self, refuse: Refuse, ask: Callable[..., Any] = ask_about, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._refuse, self._ask, self._clock = refuse, ask, clock

    def __repr__(self) -> str:
        return "BrokerWatermarkStore()"

    def begin(self, identity: EndpointId, run_id: str) -> Head:
        """See ``WatermarkStore``."""
        # An API server of an earlier release does not say whether it forgot the run.
        generation, shared, *run = self._put("begin", identity, run_id, wire.WITH_FORGOTTEN)
        return Head(generation, WatermarkState.from_text(shared) if shared else None, *run)

    def read(
        self, identity: EndpointId, run_id: str, partitions: Sequence[str], head: Head
    ) -> dict[str, WatermarkState]:
        """See ``WatermarkStore``."""
        keys = list(dict.fromkeys(["", *(partition_key(one) for one in partitions)]))
        texts: dict[str, str] = {}
        for first in range(0, len(keys), wire.KEYS_TOGETHER):
            together = keys[first : first + wire.KEYS_TOGETHER]
            texts |= self._put("read", identity, run_id, together)
        found = {key: WatermarkState.from_text(text) for key, text in texts.items()}
        return choose_beginnings(found, partitions, head)

    def prepare(self, commit: PendingCommit) -> None:
        """See ``WatermarkStore``; a long commit travels in pieces."""
        text, size = wire.write_commit(commit), _PIECE
        while True:
            pieces = [text[first : first + size] for first in range(0, len(text), size)]
            try:
                for number, piece in enumerate(pieces):
                    arguments = Piece(commit.token, number, len(pieces), piece)
                    self._put("prepare", commit.identity, commit.run_id, arguments)
            except TooLong:
                size //= 2
                continue
            return

    def list_pending(self, identity: EndpointId) -> list[tuple[PendingCommit, float]]:
        """See ``WatermarkStore``; without the moves, which stay with the broker."""
        return [
            (PendingCommit(token, identity, run_id, generation, json.loads(place), ()), age)
            for token, run_id, generation, place, age in self._put("list", identity)
        ]

    def drop_pending(self, commit: PendingCommit) -> None:
        """See ``WatermarkStore``."""
        self._put("drop", commit.identity, arguments=commit.token)

    def settle(self, commit: PendingCommit) -> Outcome:
        """See ``WatermarkStore``; the broker knows the moves."""
        outcome: Outcome = self._put(
            "settle", commit.identity, commit.run_id, commit.token, commit.generation
        )
        return outcome

    def roll_up(self, identity: EndpointId, run_id: str, reached: WatermarkState) -> bool:
        """See ``WatermarkStore``."""
        return bool(self._put("roll_up", identity, run_id, reached.to_text()))

    def sweep(
        self,
        identity: EndpointId,
        grace: float,  # noqa: ARG002 - the broker has its own
        run_id: str = "",
        instances: int | None = None,
    ) -> int:
        """See ``WatermarkStore``; an API server of an earlier release looks at nothing but the endpoint."""
        return int(self._put("sweep", identity, run_id, instances))

    def sum_up(self, identity: EndpointId) -> tuple[WatermarkState, int]:
        """See ``WatermarkStore``."""
        text, partitions = self._put("sum_up", identity)
        return WatermarkState.from_text(text), partitions

    def _put(
        self,
        operation: wire.Operation,
        identity: EndpointId,
        run_id: str = "",
        arguments: Any = None,
        generation: int | None = None,
    ) -> Any:
        body = WatermarkQuestion(
            operation, identity.dag_id, identity.endpoint, run_id, arguments, generation
        )
        try:
            return self._ask(identity.conn_id, wire.KIND, body, clock=self._clock)
        except UnknownQuestion:
            raise self._refuse(identity) from None
