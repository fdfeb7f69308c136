"""One request sequence as people see it: its number, its window, its parent record."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from oauth_taskflow.specs.windows import Window


class SequenceView(Struct, frozen=True):
    """The sequence with this ``number`` of its task, from 1, those of earlier attempts included.

    ``parent`` counts the parent records of the task from 0; None without ``for_each``.
    """

    number: int
    window: Window | None = None
    parent: int | None = None


OnSequence = Callable[[SequenceView], None]
