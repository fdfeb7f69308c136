"""Writes what the tasks of the other files measured: seconds of processor time since their process was forked."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path


class Figures:
    """The figures of one run of the task ``kind``, written by ``answered``."""

    def __init__(self, kind: str) -> None:
        self._file = Path(os.environ["COLD_START_FIGURES"]) / f"{kind}.jsonl"
        self._imported = 0.0

    def imported(self) -> None:
        """What the task imports is there."""
        self._imported = time.process_time()

    def answered(self) -> None:
        """The API has answered."""
        figures = {"imported": self._imported, "answered": time.process_time()}
        with self._file.open("a") as file:
            file.write(json.dumps(figures) + "\n")
