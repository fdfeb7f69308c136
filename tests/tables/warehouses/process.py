"""One attempt at a table of dlt, in its own process.

``python -m tests.tables.warehouses.process KIND FOLDER URL MAP_INDEX MODE ROWS [DIE_AT | FILE]`` writes rows of the run ``r1``, says
``ready``, and commits once its input is closed; then it says ``won``, or ``lost`` with the reason. It dies instead of the
call number DIE_AT (from 0) of the session within the commit; or it waits within its transaction until FILE is there.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from oauth_taskflow.destinations.base import EndpointFacts, Run
from oauth_taskflow.errors import DestinationError
from tests.tables import kinds

ROOT = Path(__file__).resolve().parents[3]
KEYED = EndpointFacts(("id",))
_CALLS = ("execute", "load", "drop", "ensure", "forget")


class DltProcess:
    """An attempt with so many rows, up to its commit."""

    def __init__(
        self,
        kind: kinds.Kind,
        folder: Path,
        rows: int,
        stop: str = "",
        map_index: int = -1,
        *,
        mode: str = "replace_run",
    ) -> None:
        url = kinds.POSTGRES[0] if kinds.POSTGRES else ""
        given = (kind.name, str(folder), url, str(map_index), mode, str(rows), stop)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.tables.warehouses.process", *given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def wait_until_ready(self) -> None:
        """Returns once it is about to commit."""
        self.wait_for("ready")

    def wait_for(self, word: str) -> None:
        """Returns once it says ``word``."""
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if line.strip() == word:
                return
        raise AssertionError(said)

    def let_go(self) -> None:
        """Lets it commit."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def outcome(self) -> str:
        """``won``, ``lost`` with the reason, or ``killed``."""
        assert self._process.stdout is not None
        said = self._process.stdout.read().strip()
        self._process.stdout.close()
        code = self._process.wait(120)
        return "killed" if code == -signal.SIGKILL else said

    def run(self) -> str:
        """Lets it commit at once, and returns how it ended."""
        self.wait_until_ready()
        self.let_go()
        return self.outcome()


def _die_at(calls: int) -> None:
    from oauth_taskflow.destinations.tables.dlt_session import DltSession  # noqa: PLC0415

    numbers = itertools.count()

    def deadly(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(numbers) == calls:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    for name in _CALLS:
        setattr(DltSession, name, deadly(getattr(DltSession, name)))


def _wait_in_transaction(file: Path) -> None:
    from oauth_taskflow.destinations.tables.dlt_stage import Stage  # noqa: PLC0415

    real = Stage.append

    def append(self: Stage, target: str) -> None:
        real(self, target)
        print("waiting", flush=True)
        while not file.exists():
            time.sleep(0.05)

    Stage.append = append  # type: ignore[method-assign]


def _attempt(*given: str) -> str:
    name, folder, url, map_index, mode, rows, stop = given
    kinds.POSTGRES[:] = [url]
    kind = next(kind for kind in kinds.KINDS if kind.name == name)
    try:
        destination = kinds.connect(kind, Path(folder), facts=KEYED, mode=mode)
        writer = destination.open(Run("contacts", "r1", map_index=int(map_index)))
        writer.write(
            [
                msgspec.Raw(
                    b'{"id":%d,"map":%s,"huge":%d,"firstName":{"a":[1]}}'
                    % (n, map_index.encode(), 2**80)
                )
                for n in range(int(rows))
            ]
        )
    except DestinationError as error:
        return f"lost {error}"
    if stop.isdigit():
        _die_at(int(stop))
    elif stop:
        _wait_in_transaction(Path(stop))
    print("ready", flush=True)
    sys.stdin.read()
    try:
        writer.commit(kinds.summary_of(int(rows)))
    except DestinationError as error:
        writer.abort()
        return f"lost {error}"
    return "won"


if __name__ == "__main__":
    print(_attempt(*sys.argv[1:]), flush=True)
