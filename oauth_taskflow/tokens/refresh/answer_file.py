"""The local file that keeps an attempt's answer until the store has it."""

from __future__ import annotations

import logging
from pathlib import Path

from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.tokens.recovery_files import RecoveryFiles
from oauth_taskflow.tokens.state.rescued import RescuedAnswer

_log = logging.getLogger("oauth_taskflow.tokens")


class AnswerFile:
    """At most one recovery file of one attempt."""

    def __init__(self, recovery: RecoveryFiles) -> None:
        self._recovery = recovery
        self._path: Path | None = None
        self._is_latest = False

    @property
    def is_written(self) -> bool:
        """Whether the file holds the answer that was saved last."""
        return self._is_latest

    def save(self, rescued: RescuedAnswer) -> bool:
        """Write ``rescued``; False, after a log line, if the file cannot be written."""
        try:
            self._write(rescued)
        except TokenStoreError as failure:
            _log.info("only the store keeps the answer for %.12s: %s", rescued.grant_key, failure)
            return False
        return True

    def require(self, rescued: RescuedAnswer) -> Path:
        """The path of the file, which is written unless it holds the latest answer.

        Raises:
            TokenStoreError: the file cannot be written.
        """
        return self._path if self._path and self._is_latest else self._write(rescued)

    def remove(self) -> None:
        """Remove the file of an answer that the store has, or that brought nothing."""
        if self._path is not None:
            self._recovery.remove(self._path)
        self._path, self._is_latest = None, False

    def _write(self, rescued: RescuedAnswer) -> Path:
        self._is_latest = (
            False  # a file of an earlier answer stays, and is removed with the attempt
        )
        self._path = self._recovery.save(rescued)
        self._is_latest = True
        return self._path
