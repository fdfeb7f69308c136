"""Writes what the tasks of the other files measured: seconds of processor time since their process was forked."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path


class Figures:
    """The figures of one run of the task ``kind``, written by ``note_answered``."""

    def __init__(self, kind: str) -> None:
        self._file = Path(os.environ["COLD_START_FIGURES"]) / f"{kind}.jsonl"
        self._imported = 0.0

    def note_imported(self) -> None:
        """Note that the task has imported its modules."""
        self._imported = time.process_time()

    def note_answered(self) -> None:
        """Note that the API has answered, and write the figures."""
        figures = {"imported": self._imported, "answered": time.process_time()}
        with self._file.open("a") as file:
            file.write(json.dumps(figures) + "\n")
