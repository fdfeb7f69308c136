"""Limits of one response: its size, the depth of its JSON, and the time until it is complete."""

from __future__ import annotations

import time
from typing import Annotated

from msgspec import Meta, Struct

from oauth_taskflow.iso8601 import duration_seconds
from oauth_taskflow.schema.types import Duration, Options, doc


class Limits(Options, frozen=True, kw_only=True):
    """How large, deep and slow one answer may be, where the connection's limits do not fit."""

    bytes: Annotated[
        Annotated[int, Meta(ge=1, le=1 << 34)] | None,
        doc("Bytes of the decoded body: 268435456 (256 MiB) unless set.", 1 << 29),
    ] = None
    depth: Annotated[
        Annotated[int, Meta(ge=1, le=512)] | None,
        doc("Levels of nesting in JSON: 256 unless set.", 300),
    ] = None
    time: Annotated[
        Duration | None,
        doc("Time until an answer is whole: 15 minutes unless set.", "PT30M"),
    ] = None


_MARK = "_oauth_taskflow_limits"


class AnswerLimits(Struct, frozen=True):
    """Limits of one response: ``bytes`` of its decoded body, ``depth`` of its JSON, ``seconds`` until it is complete.

    They apply while the body is read, so that a small compressed body cannot fill the memory first. They do not apply
    to a response that a task streams itself (``stream=True`` with ``iter_content`` or ``aiter_bytes``), because a
    download may have any size. Its ``content``, ``text`` and ``json()`` are limited again.
    """

    bytes: int = 256 << 20
    depth: int = 256
    seconds: float = 900.0

    def override(self, options: Limits | None) -> AnswerLimits:
        """Returns these limits, overridden by an endpoint's ``limits``."""
        if options is None:
            return self
        return AnswerLimits(
            options.bytes or self.bytes,
            options.depth or self.depth,
            duration_seconds(options.time) if options.time else self.seconds,
        )


DEFAULT_LIMITS = AnswerLimits()


class Deadline:
    """The instant, on the monotonic clock, by which a response must be complete; none after ``lift``."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._end: float | None = None
        self.restart()

    def lift(self) -> None:
        """Removes the deadline, because the response is streamed."""
        self._end = None

    def restart(self) -> None:
        """Starts counting from now."""
        self._end = None if self._seconds is None else time.monotonic() + self._seconds

    def seconds_left(self) -> float | None:
        """Returns the seconds until the deadline, negative after it; None without one."""
        return None if self._end is None else self._end - time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        left = self.seconds_left()
        return left is not None and left <= 0


def set_limits(request: object, limits: AnswerLimits) -> None:
    """Sets the ``limits`` of the response to ``request``."""
    setattr(request, _MARK, limits)


def get_limits(request: object) -> AnswerLimits:
    """Returns the limits of the response to ``request``."""
    found: AnswerLimits = getattr(request, _MARK, DEFAULT_LIMITS)
    return found


def format_bytes(count: int) -> str:
    """Returns ``count`` bytes in words, such as ``256 MiB``."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit and count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count} bytes"
