"""The log of a pull while it goes on: windows, redacted URLs, pages, rows, rows per second, and waits with their reason.

The number of lines depends on time alone: one with the first page, then at most one every ten seconds, and one at the end
of each page sequence that took as long. Shorter sequences come together at the end: ten by name, the rest as a sum.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.line_pace import EVERY_SECONDS, LinePace
from oauth_taskflow.waits import add_waits, describe_waits

if TYPE_CHECKING:
    from oauth_taskflow.api.origins import AllowedOrigins
    from oauth_taskflow.api.pull.page import Page

_log = logging.getLogger(__name__)
_MOST_KEPT = 10
_AT_ONCE = 5
Write = Callable[..., Any]


class _Figures:
    """Pages, rows and waits since ``began``, an instant of the monotonic clock."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.pages = self.rows = 0
        self.waits: dict[str, float] = {}

    def add(self, page: Page) -> None:
        self.pages += 1
        self.rows += page.count
        if page.waits:
            self.waits = add_waits([self.waits, page.waits])

    def text(self, now: float) -> str:
        """Returns ``3 pages, 9 rows, 1 rows/s``, and the waits if there were any."""
        rate = self.rows / max(now - self.began, 0.001)
        waits = describe_waits(self.waits)
        return f"{self.pages:,} pages, {self.rows:,} rows, {rate:,.0f} rows/s{_after(waits)}"


class SequenceLog:
    """One page sequence of a log: note each of its pages, then its end."""

    def __init__(self, log: PullLog, number: int, about: str, began: float) -> None:
        self._log = log
        self.number, self.about, self.url = number, about, ""
        self.figures = _Figures(began)
        self.is_open = True

    def page(self, page: Page) -> None:
        """Counts ``page``, and logs when it is time."""
        self._log.note_page(self, page)

    def end(self) -> None:
        """Notes that the last page has come; repeated calls change nothing."""
        self._log.note_end(self)


class PullLog:
    """The log of all page sequences of one task or session; safe to use from any thread.

    Args:
        write: takes a line, as ``Logger.info`` does.
        name: what the lines begin with: the endpoint, or the connection of a session.
        clock: for rates and the pace.
        total: the number of sequences, if it is known.
    """

    def __init__(
        self, write: Write, name: str, clock: Clock = SYSTEM_CLOCK, *, total: int | None = None
    ) -> None:
        self._write, self._name, self._clock, self._total = write, name, clock, total
        self._lock = threading.Lock()
        self._last = clock.monotonic()
        self._all = _Figures(self._last)
        self._begun = self._ended = self._ended_unsaid = 0
        self._kept: list[str] = []
        self._rest = _Rest()
        self._pace = LinePace(clock, _AT_ONCE)

    def allows_line(self) -> bool:
        """Returns whether another line about one of its sequences may be written now: five at once, one every ten seconds."""
        with self._lock:
            return self._pace.take()

    def begin(self, about: str = "", number: int | None = None) -> SequenceLog:
        """Begins a sequence; ``about`` names it after a comma: ``, window 2026-01-01 to 2026-01-02``."""
        with self._lock:
            self._begun += 1
            number = self._begun if number is None else number
            return SequenceLog(self, number, about, self._clock.monotonic())

    def note_page(self, sequence: SequenceLog, page: Page) -> None:
        """See ``SequenceLog.page``."""
        now = self._clock.monotonic()
        with self._lock:
            self._all.add(page)
            sequence.figures.add(page)
            sequence.url = page.url
            if self._all.pages == 1:
                found = (self._name, page.count, sequence.about, page.url)
                self._write("%s: first page: %s rows%s from %s", *found)
            elif now - self._last >= EVERY_SECONDS:
                self._write_progress(sequence, now)

    def note_end(self, sequence: SequenceLog) -> None:
        """See ``SequenceLog.end``."""
        now = self._clock.monotonic()
        with self._lock:
            if not sequence.is_open:
                return
            sequence.is_open = False
            self._ended += 1
            self._ended_unsaid += 1
            if self._total == 1:
                return
            seconds = now - sequence.figures.began
            if seconds >= EVERY_SECONDS or now - self._last >= EVERY_SECONDS:
                self._say(f"{self._describe(sequence, 'ended', now)}", now)
            elif len(self._kept) < _MOST_KEPT:
                self._kept.append(self._describe(sequence, "ended", now))
            else:
                self._rest.add(sequence, seconds)

    def close(self, cut_off: SequenceLog | None = None) -> None:
        """Logs the ends that had no line yet, and how far ``cut_off`` came, the sequence that a failure ended."""
        now = self._clock.monotonic()
        with self._lock:
            if self._ended + (cut_off is not None) > 1:
                for line in self._kept:
                    self._write("%s: %s", self._name, line)
                if self._rest.count:
                    self._write("%s: %s", self._name, self._rest.text())
            if cut_off is not None and cut_off.is_open:
                self._write("%s: %s", self._name, self._describe(cut_off, "was cut off", now))
            self._kept, self._rest = [], _Rest()

    def _write_progress(self, sequence: SequenceLog, now: float) -> None:
        own = ""
        if self._begun > 1:
            figures = sequence.figures
            own = f", its {figures.pages:,} pages and {figures.rows:,} rows"
        unsaid, self._ended_unsaid = self._ended_unsaid, 0
        ended = f", {unsaid:,} ended since the last line" if unsaid > 1 else ""
        self._last = now
        self._write(
            "%s: %s; sequence %s%s%s%s, %s",
            *(self._name, self._all.text(now), self._number(sequence), sequence.about, own),
            *(ended, sequence.url),
        )

    def _say(self, line: str, now: float) -> None:
        self._last, self._ended_unsaid = now, 0
        self._write("%s: %s", self._name, line)

    def _describe(self, sequence: SequenceLog, what: str, now: float) -> str:
        place = f"sequence {self._number(sequence)} {what}{sequence.about}"
        return f"{place}: {sequence.figures.text(now)}{_after(sequence.url)}"

    def _number(self, sequence: SequenceLog) -> str:
        return f"{sequence.number:,}" + (f" of {self._total:,}" if self._total else "")


@contextmanager
def log_sequence(log: PullLog | None) -> Iterator[Callable[[Page], None]]:
    """Gives what notes the pages of one sequence, which ends with the block; does nothing without a log."""
    if log is None:
        yield _ignore
        return
    sequence = log.begin()
    try:
        yield sequence.page
    finally:
        sequence.end()


def _ignore(_page: Page) -> None:
    """Notes nothing."""


class _Session(Protocol):
    """The part of a session that names its log."""

    conn_id: str
    origins: AllowedOrigins


def session_log(session: _Session, clock: Clock) -> PullLog:
    """Returns the log of a session, under the name of its connection; without one, of its origin."""
    return PullLog(_log.info, session.conn_id or session.origins.names[0], clock)


class _Rest:
    """Sequences that ended without their own line, as a sum; ``longest`` took the most time."""

    def __init__(self) -> None:
        self.count = self.pages = self.rows = 0
        self.waits: dict[str, float] = {}
        self.longest, self.seconds = "", 0.0

    def add(self, sequence: SequenceLog, seconds: float) -> None:
        figures = sequence.figures
        self.count += 1
        self.pages += figures.pages
        self.rows += figures.rows
        if figures.waits:
            self.waits = add_waits([self.waits, figures.waits])
        if seconds >= self.seconds:
            self.longest = f"{sequence.number:,}{sequence.about}{_after(sequence.url)}"
            self.seconds = seconds

    def text(self) -> str:
        waits = _after(describe_waits(self.waits))
        counts = f"{self.pages:,} pages, {self.rows:,} rows{waits}"
        return f"{self.count:,} sequences more ended: {counts}; the longest, {self.seconds:.1f} s, was {self.longest}"


def _after(text: str) -> str:
    return f", {text}" if text else ""
