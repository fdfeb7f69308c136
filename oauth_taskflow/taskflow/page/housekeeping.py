"""Ends what a killed API server left, in a thread of each server process, so that no GET writes.

Each process looks when it starts and every few seconds from then on. A look without finds reads a folder, and once a minute
the audit log.
"""

from __future__ import annotations

import logging
import threading

from oauth_taskflow.taskflow.grants.kept_consents import begin_if_any_waits
from oauth_taskflow.taskflow.page.audit import close_abandoned

# Seconds between two looks: a page asks for its list as often.
_PERIOD = 5.0
_log = logging.getLogger(__name__)


class Housekeeping:
    """A thread that looks until ``end`` is called. Nothing that fails ends it."""

    def __init__(self, period: float = _PERIOD) -> None:
        self._period = period
        self._is_over = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="oauth-page-housekeeping", daemon=True
        )
        self._reported = ""

    def begin(self) -> None:
        """Look for the first time now."""
        self._thread.start()

    def end(self) -> None:
        """No further look begins."""
        self._is_over.set()

    def _run(self) -> None:
        while not self._is_over.is_set():
            self._look()
            self._is_over.wait(self._period)

    def _look(self) -> None:
        reason = ""
        try:
            begin_if_any_waits()
            close_abandoned()
        except Exception as failure:  # noqa: BLE001  # no caller waits; by name only: its text may hold a secret
            reason = type(failure).__name__
        if reason and reason != self._reported:
            _log.warning("What a killed server left cannot be looked for: %s", reason)
        self._reported = reason
