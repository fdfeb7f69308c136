"""Logs the text of a failure once: not next to the error that ends a task, because Airflow prints that itself.

A task's code runs between ``expect_failure`` and ``end_expectation``. There a line leaves the text of its failure out. If
another error, or none, ends the task, the text follows.
"""

from __future__ import annotations

import logging
import threading

_lock = threading.Lock()
_expecting = 0
_left_out: list[tuple[logging.Logger, str, str]] = []


def log_failure(logger: logging.Logger, subject: str, line: str, error: BaseException) -> None:
    """Logs ``line`` at level ERROR, with the text of ``error`` unless that may end the task; ``subject`` begins the text then."""
    with _lock:
        is_left_out = _expecting > 0
        if is_left_out:
            _left_out.append((logger, subject, str(error)))
    if is_left_out:
        logger.error("%s.", line)
    else:
        logger.error("%s: %s", line, error)


def expect_failure() -> None:
    """Begins a block at whose end Airflow prints the error that leaves it."""
    global _expecting  # noqa: PLW0603 - a process runs one task, in several threads
    with _lock:
        _expecting += 1


def end_expectation(error: BaseException | None) -> None:
    """Ends the block, which ``error`` leaves; logs the texts of other failures."""
    global _expecting  # noqa: PLW0603 - as above
    with _lock:
        _expecting -= 1
        waiting = [] if _expecting else list(_left_out)
        if not _expecting:
            _left_out.clear()
    for logger, subject, text in waiting:
        if error is None or text != str(error):
            logger.error("%s: %s", subject, text)
