"""The logs of tasks of a whole Airflow."""

from __future__ import annotations

import json
from pathlib import Path


def read_log(home: Path, part: str) -> list[str]:
    """Returns the messages of all task logs whose path contains ``part``, such as ``task_id=contacts``."""
    files = sorted(path for path in (home / "logs").rglob("*.log") if part in str(path))
    return [
        str(json.loads(line)["event"])
        for path in files
        for line in path.read_text().splitlines()
        if line.startswith("{")
    ]
