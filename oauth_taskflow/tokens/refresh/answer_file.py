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

    @property
    def is_written(self) -> bool:
        """Whether the file exists."""
        return self._path is not None

    def save(self, rescued: RescuedAnswer) -> bool:
        """Write ``rescued``; False, after a log line, if the file cannot be written."""
        try:
            self._path = self._recovery.save(rescued)
        except TokenStoreError as failure:
            _log.info("only the store keeps the answer for %.12s: %s", rescued.grant_key, failure)
            return False
        return True

    def require(self, rescued: RescuedAnswer) -> Path:
        """The path of the file, which is written unless it exists.

        Raises:
            TokenStoreError: the file cannot be written.
        """
        return self._path or self._recovery.save(rescued)

    def remove(self) -> None:
        """Remove the file of an answer that the store has, or that brought nothing."""
        if self._path is not None:
            self._recovery.remove(self._path)
            self._path = None
