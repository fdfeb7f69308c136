"""Attempts of tests, each in its own process, which may die: forked from one that has loaded the libraries, which takes seconds."""

from __future__ import annotations

import atexit
import functools
import itertools
import multiprocessing
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.destinations.base import Writer
from oauth_taskflow.errors import DestinationError
from tests.tables import kinds

# Modules that the forked process loads; a missing library is not asked for.
_LIBRARIES = {
    "deltalake": ("oauth_taskflow.destinations.tables.delta",),
    "dlt": ("oauth_taskflow.destinations.tables.dlt",),
    "duckdb": ("duckdb", "dlt.destinations.impl.duckdb.duck"),
    "psycopg2": ("psycopg2", "dlt.destinations.impl.postgres.postgres"),
    "pyiceberg": ("oauth_taskflow.destinations.tables.iceberg",),
    "sqlalchemy": ("pyiceberg.catalog.sql",),
}
_PATIENCE = 600.0  # seconds; a machine that is busy with other work took more than 150


class ForkedAttempt:
    """Runs ``target(connection, *given)``, which says ``ready`` before its commit, waits for an answer, and says how it ended."""

    def __init__(self, target: Callable[..., None], *given: Any) -> None:
        context = _start_server()
        self._connection, other = context.Pipe()
        self._process = context.Process(target=target, args=(other, *given), daemon=True)
        self._process.start()
        other.close()

    @property
    def pid(self) -> int:
        """The id of its process."""
        assert self._process.pid is not None
        return int(self._process.pid)

    def wait_until_ready(self) -> None:
        """Returns once it is about to commit."""
        self.wait_for("ready")

    def wait_for(self, word: str) -> None:
        """Returns once it says ``word``, which is the next that it says."""
        assert self._hear() == word

    def let_go(self) -> None:
        """Lets it commit."""
        self._connection.send("go")

    def outcome(self) -> str:
        """``won``, with more behind it where the target says more, ``lost`` with the reason, or ``killed``."""
        said = self._hear()
        self._process.join()
        return said

    def is_silent(self, seconds: float) -> bool:
        """Whether it says nothing for so long."""
        return not self._connection.poll(seconds)

    def run(self) -> str:
        """Lets it commit at once, and returns how it ended."""
        if (said := self._hear()) != "ready":
            return said
        self.let_go()
        return self.outcome()

    def _hear(self) -> str:
        if not self._connection.poll(_PATIENCE):
            self._process.kill()
            raise AssertionError(f"it was silent for {_PATIENCE:.0f} seconds")
        try:
            said: str = self._connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            assert self._process.exitcode == -signal.SIGKILL
            return "killed"
        return said


def commit_when_let_go(
    connection: Connection, writer: Writer, rows: int, count: Callable[[], int] | None = None
) -> None:
    """The end of each target: says ``ready``, waits, commits, and says how that ended; a winner adds what ``count`` returns."""
    connection.send("ready")
    connection.recv()
    try:
        writer.commit(kinds.summary_of(rows))
    except DestinationError as error:
        writer.abort()
        connection.send(f"lost {error}")
        return
    connection.send("won" if count is None else f"won {count()}")


def can_kill() -> bool:
    """Whether an attempt can be killed at its writes."""
    return shutil.which("cc") is not None and sys.platform.startswith("linux")


@functools.cache
def _start_server() -> Any:
    """Starts the process that is forked, with ``write_killer.c`` where there is a compiler; returns how to fork it."""
    context = multiprocessing.get_context("forkserver")
    found = (modules for name, modules in _LIBRARIES.items() if find_spec(name) is not None)
    context.set_forkserver_preload(["tests.tables.kinds", *itertools.chain.from_iterable(found)])
    killer = _build_killer()
    with pytest.MonkeyPatch.context() as patch:
        if killer is not None:
            patch.setenv("LD_PRELOAD", str(killer))
        # One that other tests of this process started has loaded nothing of this.
        forkserver._forkserver._stop()  # type: ignore[attr-defined]  # CPython's own tests do so
        forkserver.ensure_running()
    return context


def _build_killer() -> Path | None:
    if not can_kill():
        return None
    folder = Path(tempfile.mkdtemp(prefix="oauth-taskflow-killer-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = folder / "killer.so"
    source = Path(__file__).with_name("write_killer.c")
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library
