"""Questions about grants and notices on the wire. Without Airflow and I/O."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from oauth_taskflow.notices.sent import Choice
from oauth_taskflow.notices.store import Claim
from oauth_taskflow.notices.trouble import Kind, Limits, Look, Trouble
from oauth_taskflow.schema.reading import read_as
from oauth_taskflow.taskflow.broker.questions import read_value

KIND = "notice"
_LONGEST_PROBLEM = 2000
Operation = Literal["look", "claim", "settle", "release", "list"]
Seconds = Annotated[float, Meta(ge=0, le=1e11)]


class NoticeQuestion(Struct, frozen=True, array_like=True):
    """A question of a task about the grant of a connection; ``arguments`` depend on the operation."""

    operation: Operation
    channel: Annotated[str, Meta(max_length=250)] = ""
    owner: Annotated[str, Meta(pattern="^([0-9a-f]{32})?$")] = ""
    arguments: Any = None


class _Limits(Struct, frozen=True, array_like=True):
    due_within: Seconds
    failing_for: Seconds
    unused_for: Seconds


class _Trouble(Struct, frozen=True, array_like=True):
    kind: Kind
    since: Seconds | None = None


class _Claim(Struct, frozen=True, array_like=True):
    repeat_after: Seconds | None
    troubles: Annotated[tuple[_Trouble, ...], Meta(max_length=8)]


def write_limits(limits: Limits) -> Any:
    """Returns ``limits`` as JSON values."""
    return [limits.due_within, limits.failing_for, limits.unused_for]


def read_limits(value: Any) -> Limits:
    """Returns what ``write_limits`` gave; raises as ``read_value`` does."""
    found = read_value(_Limits, value)
    return Limits(
        due_within=found.due_within, failing_for=found.failing_for, unused_for=found.unused_for
    )


def write_look(look: Look) -> Any:
    """Returns ``look`` as JSON values; long texts are cut."""
    troubles = [
        (one.kind, one.since, one.ends_at, one.problem[:_LONGEST_PROBLEM]) for one in look.troubles
    ]
    return troubles, look.is_refresh_due


def read_look(value: Any) -> Look:
    """Returns what ``write_look`` gave."""
    troubles, is_refresh_due = value
    return Look(tuple(Trouble(*one) for one in troubles), is_refresh_due)


def write_wish(troubles: tuple[Trouble, ...], repeat_after: float | None) -> Any:
    """Returns the arguments of a claim as JSON values."""
    return repeat_after, [(one.kind, one.since) for one in troubles]


def read_wish(value: Any) -> tuple[tuple[Trouble, ...], float | None]:
    """Returns what ``write_wish`` gave, checked; raises as ``read_value`` does."""
    found = read_value(_Claim, value)
    return tuple(Trouble(one.kind, one.since) for one in found.troubles), found.repeat_after


def write_claim(claim: Claim) -> Any:
    """Returns ``claim`` as JSON values."""
    return claim.is_busy, claim.choice


def read_claim(value: Any) -> Claim:
    """Returns what ``write_claim`` gave."""
    is_busy, choice = value
    return Claim(None if choice is None else read_as(Choice, choice), is_busy)
