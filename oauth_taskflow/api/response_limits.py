"""How large, how deep and how long in coming one answer may be."""

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
    """Bounds of one answer: ``bytes`` of its decoded body, ``depth`` of its JSON, ``seconds`` until it is whole.

    They hold while an answer is read, so that a small compressed body cannot fill the memory first. An answer that a
    task streams itself (``stream=True`` with ``iter_content`` or ``aiter_bytes``) has none of them: it may be a
    download of any size. Its ``content``, ``text`` and ``json()`` have them again.
    """

    bytes: int = 256 << 20
    depth: int = 256
    seconds: float = 900.0

    def override(self, options: Limits | None) -> AnswerLimits:
        """These limits with what an endpoint's ``limits`` say otherwise."""
        if options is None:
            return self
        return AnswerLimits(
            options.bytes or self.bytes,
            options.depth or self.depth,
            duration_seconds(options.time) if options.time else self.seconds,
        )


DEFAULT_LIMITS = AnswerLimits()


class Deadline:
    """The instant, on the monotonic clock, by which an answer must be whole; never while ``lifted``."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._end: float | None = None
        self.restart()

    def lift(self) -> None:
        """Wait for ever from now on: the answer is streamed."""
        self._end = None

    def restart(self) -> None:
        """Count from now on."""
        self._end = None if self._seconds is None else time.monotonic() + self._seconds

    def seconds_left(self) -> float | None:
        """Seconds until then, negative afterwards; None without an end."""
        return None if self._end is None else self._end - time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether it is over."""
        left = self.seconds_left()
        return left is not None and left <= 0


def set_limits(request: object, limits: AnswerLimits) -> None:
    """Let the answer to ``request`` have ``limits``."""
    setattr(request, _MARK, limits)


def get_limits(request: object) -> AnswerLimits:
    """The limits of the answer to ``request``."""
    found: AnswerLimits = getattr(request, _MARK, DEFAULT_LIMITS)
    return found


def format_bytes(count: int) -> str:
    """``count`` bytes for people, as ``256 MiB``."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit and count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count} bytes"
