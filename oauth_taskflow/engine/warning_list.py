"""The warnings of a run, for readers of the log, the manifest or the asset event."""

from __future__ import annotations

import threading

_MOST_WARNINGS = 10


class WarningList:
    """Keeps the first ten warnings of a run, each once, and counts the others; safe to use from any thread."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self._more = 0
        self._lock = threading.Lock()

    def __call__(self, text: str) -> None:
        """Keeps ``text``."""
        with self._lock:
            if len(self._texts) < _MOST_WARNINGS or text in self._texts:
                self._texts[text] = None
            else:
                self._more += 1

    def texts(self) -> list[str]:
        """Returns the warnings, and as the last one the number of those left out."""
        more = [f"There are {self._more:,} more warnings like these."] if self._more else []
        return [*self._texts, *more]
