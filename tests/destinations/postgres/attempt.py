"""An attempt in a separate process: ``python -m tests.destinations.postgres.attempt DATABASE SCHEMA RUN MAP_INDEX ROWS``.

It opens a writer, writes, says ``ready``, and commits once its input is closed; then it says ``won``, or why it lost.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from oauth_taskflow.destinations.base import Run
from oauth_taskflow.errors import DestinationError
from tests.destinations.postgres.tables import Warehouse, ids, summary

ROOT = Path(__file__).resolve().parents[3]


class AttemptProcess:
    """The process."""

    def __init__(self, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.destinations.postgres.attempt", *map(str, arguments)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_until_ready(self) -> None:
        """Returns once it is about to commit."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == "ready"

    def let_go(self) -> None:
        """Lets it commit."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def outcome(self) -> str:
        """The last line that it printed."""
        assert self._process.stdout is not None
        text = self._process.stdout.read().strip()
        self._process.stdout.close()
        assert self._process.wait(300) == 0
        return text


def _attempt(database: str, schema: str, run: str, map_index: str, rows: str) -> str:
    warehouse = Warehouse(database, schema)
    destination = warehouse.destination(run=run)
    writer = destination.open(Run("contacts", run, map_index=int(map_index), dag_id="crm"))
    writer.write(ids(int(rows)))
    print("ready", flush=True)
    sys.stdin.read()
    try:
        writer.commit(summary(int(rows)))
    except DestinationError as error:
        writer.abort()
        return error.what
    return "won"


if __name__ == "__main__":
    print(_attempt(*sys.argv[1:]), flush=True)
