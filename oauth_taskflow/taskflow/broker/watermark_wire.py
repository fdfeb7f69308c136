"""Questions about stored watermarks on the wire. Without Airflow and I/O.

A commit with the moves of many partitions is longer than an id may be: it travels in pieces, which the broker puts together.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from oauth_taskflow.taskflow.broker.questions import read_value, unreadable_question
from oauth_taskflow.watermarks.bounds import Piece
from oauth_taskflow.watermarks.partitions import EndpointId
from oauth_taskflow.watermarks.state import MOST_AT_VALUE, Move, WatermarkState
from oauth_taskflow.watermarks.store import PendingCommit

KIND = "watermark"
# Keys of partitions in one question: each has 64 characters, of which about 45 are left in an id.
KEYS_TOGETHER = 25
# The longest commit: 20,000 partitions, or fewer with many fingerprints each.
_MOST_PIECES = 20_000
_MOST_MOVES = 20_000
_LONGEST_PLACE = 20_000

Name = Annotated[str, Meta(max_length=250)]
Key = Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")]
Mark = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Generation = Annotated[int, Meta(ge=0, le=2**62)]
# Task instances that a run has; workers of an earlier release do not send it.
Instances = Annotated[int, Meta(ge=0, le=2**31)]
# Asks at the beginning of a run whether it is one whose beginnings are forgotten.
WITH_FORGOTTEN = "forgotten"
Operation = Literal[
    "begin", "read", "prepare", "list", "drop", "settle", "roll_up", "sweep", "sum_up"
]


class WatermarkQuestion(Struct, frozen=True, array_like=True):
    """A question of a run about the watermarks of an endpoint; ``arguments`` depend on the operation.

    ``generation`` is the one in which the run began, where a commit is settled; a worker of an earlier release sends none.
    """

    operation: Operation
    dag_id: Name
    endpoint: Name
    run_id: Name = ""
    arguments: Any = None
    generation: Generation | None = None


class _Piece(Struct, frozen=True, array_like=True):
    mark: Mark
    number: Annotated[int, Meta(ge=0, lt=_MOST_PIECES)]
    count: Annotated[int, Meta(ge=1, le=_MOST_PIECES)]
    text: Annotated[str, Meta(max_length=50_000)]


class _State(Struct, frozen=True, omit_defaults=True):
    """``WatermarkState`` as a task may send it."""

    value: Annotated[str, Meta(max_length=2000)] | int | float | None = None
    cursor: Annotated[str, Meta(max_length=20_000)] | None = None
    at_value: Annotated[
        tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=MOST_AT_VALUE)
    ] = ()


class _Move(Struct, frozen=True, array_like=True):
    partition: Annotated[str, Meta(max_length=20_000)]
    base: _State
    reached: _State


class _Commit(Struct, frozen=True):
    generation: Generation
    place: dict[str, Any]
    moves: Annotated[tuple[_Move, ...], Meta(max_length=_MOST_MOVES)]


def read_piece(plain: Any) -> Piece:
    """Returns the piece of a commit in ``plain``, checked.

    Raises:
        ConnectionConfigError: it makes no sense.
    """
    found = read_value(_Piece, plain)
    if found.number >= found.count:
        raise unreadable_question()
    return Piece(found.mark, found.number, found.count, found.text)


def read_state(text: Any) -> WatermarkState:
    """Returns the state in ``text``, checked. States travel as text, so that integers keep all their digits.

    Raises:
        ConnectionConfigError: it makes no sense.
    """
    return _to_state(read_value(_State, read_json(text)))


def _to_state(state: _State) -> WatermarkState:
    return WatermarkState(state.value, state.cursor, state.at_value)


def read_json(text: Any) -> Any:
    """Returns the value of JSON ``text``.

    Raises:
        ConnectionConfigError: it is not JSON.
    """
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        raise unreadable_question() from None


def write_commit(commit: PendingCommit) -> str:
    """Returns a commit as text; integers keep all their digits."""
    moves = [[one.partition, one.base.to_plain(), one.reached.to_plain()] for one in commit.moves]
    plain = {"generation": commit.generation, "place": commit.place, "moves": moves}
    return json.dumps(plain, separators=(",", ":"))


def read_commit(text: str, token: str, identity: EndpointId, run_id: str) -> PendingCommit:
    """Returns what ``write_commit`` gave.

    Raises:
        ConnectionConfigError: it makes no sense.
    """
    found = read_value(_Commit, read_json(text))
    if len(json.dumps(found.place)) > _LONGEST_PLACE:
        raise unreadable_question()
    moves = tuple(
        Move(_check_partition(one.partition), _to_state(one.base), _to_state(one.reached))
        for one in found.moves
    )
    return PendingCommit(token, identity, run_id, found.generation, found.place, moves)


def _check_partition(text: str) -> str:
    if text and not isinstance(read_json(text), dict):
        raise unreadable_question()
    return text
