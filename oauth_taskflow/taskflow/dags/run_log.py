"""The log of an endpoint task while it pulls, in the words of its windows and parent records."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Protocol

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.pull_log import PullLog, SequenceLog
from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.engine.sequence_view import SequenceView


class Logger(Protocol):
    """A logger for progress: one of the standard library, or the structured one of Airflow tasks."""

    def info(self, msg: str, /, *args: Any) -> Any:
        """Logs at level INFO."""

    def warning(self, msg: str, /, *args: Any) -> Any:
        """Logs at level WARNING."""


class PageLog:
    """Logs the sequences of one task as ``PullLog`` does; a context manager.

    ``sequences`` and ``parents`` are how many the task reads, if that is known.
    """

    def __init__(
        self,
        log: Logger,
        name: str,
        clock: Clock = SYSTEM_CLOCK,
        *,
        sequences: int | None = None,
        parents: int | None = None,
    ) -> None:
        self._pulls = PullLog(log.info, name, clock, total=sequences)
        self._parents = parents
        self._current: SequenceLog | None = None

    def begin(self, view: SequenceView) -> None:
        """Notes that the pages of another request sequence follow."""
        self._end()
        self._current = self._pulls.begin(self._describe(view), view.number)

    def __call__(self, page: Page) -> None:
        """Counts ``page``, and logs when it is time."""
        assert self._current is not None, "run_endpoint begins the sequence before its first page"
        self._current.page(page)

    def __enter__(self) -> PageLog:  # noqa: PYI034 - Self needs Python 3.11
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._end()
        self._pulls.close(cut_off=self._current)

    def _end(self) -> None:
        if self._current is not None:
            self._current.end()

    def _describe(self, view: SequenceView) -> str:
        text = ""
        if view.parent is not None and self._parents != 1:
            of = f" of {self._parents:,}" if self._parents else ""
            text = f", parent record {view.parent + 1:,}{of}"
        window = view.window
        return text if window is None else f"{text}, window {window.start} to {window.end}"
