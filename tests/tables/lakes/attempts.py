"""Attempts at a table of a lake, each in its own process, which may die at one of its writes.

They are forked from one process that has loaded the libraries, which takes seconds, and ``write_killer.c``.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oauth_taskflow.destinations.base import EndpointFacts, Run
from oauth_taskflow.errors import DestinationError
from tests.tables import kinds

# Modules that the forked process loads; a missing one is not asked for.
_LIBRARIES = {
    "deltalake": "oauth_taskflow.destinations.tables.delta",
    "pyiceberg": "oauth_taskflow.destinations.tables.iceberg",
    "sqlalchemy": "pyiceberg.catalog.sql",
}
_PATIENCE = 600.0  # seconds; a machine that is busy with other work took more than 150


class AttemptOptions(msgspec.Struct, frozen=True):
    """``tag`` is in each of ``rows`` records, whose ids begin at 0. It dies instead of write number ``die_at``; 0 is never."""

    tag: str
    rows: int = 4
    map_index: int = -1
    dag_id: str = ""
    mode: str = "replace_run"
    die_at: int = 0
    environment: dict[str, str] = {}


class Attempt:
    """An attempt that has written its records, and waits before its commit. Its files on the disk are in ``folder / "tmp"``."""

    def __init__(self, kind: kinds.Kind, folder: Path, options: AttemptOptions) -> None:
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        context = _start_server()
        self._connection, other = context.Pipe()
        self._process = context.Process(
            target=_attempt, args=(other, kind, folder, options), daemon=True
        )
        self._process.start()
        other.close()

    @property
    def pid(self) -> int:
        """The id of its process."""
        assert self._process.pid is not None
        return int(self._process.pid)

    def wait_until_ready(self) -> None:
        """Returns once it is about to commit."""
        assert self._hear() == "ready"

    def let_go(self) -> None:
        """Lets it commit."""
        self._connection.send("go")

    def outcome(self) -> str:
        """``won`` and how often it wrote to the folder, ``lost`` with the reason, or ``killed``."""
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


def race(kind: kinds.Kind, folder: Path, *attempts: AttemptOptions) -> list[str]:
    """Lets all commit at the same moment; returns how each ended."""
    running = [Attempt(kind, folder, options) for options in attempts]
    for attempt in running:
        attempt.wait_until_ready()
    for attempt in running:
        attempt.let_go()
    return [attempt.outcome() for attempt in running]


def make_records(options: AttemptOptions) -> list[dict[str, Any]]:
    """The second half has a field more, so that there are two batches, and columns are added."""
    half = options.rows // 2
    rows = [{"id": number, "tag": options.tag} for number in range(options.rows)]
    return [*rows[:half], *({**row, f"of_{options.tag}": 1} for row in rows[half:])]


@functools.cache
def _start_server() -> Any:
    """Starts the process that is forked, with ``write_killer.c`` where there is a compiler; returns how to fork it."""
    context = multiprocessing.get_context("forkserver")
    modules = [module for name, module in _LIBRARIES.items() if find_spec(name) is not None]
    context.set_forkserver_preload([*modules, __name__])
    killer = _build_killer()
    with pytest.MonkeyPatch.context() as patch:
        if killer is not None:
            patch.setenv("LD_PRELOAD", str(killer))
        # One that other tests of this process started has loaded nothing of this.
        forkserver._forkserver._stop()  # type: ignore[attr-defined]  # CPython's own tests do so
        forkserver.ensure_running()
    return context


def _build_killer() -> Path | None:
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    folder = Path(tempfile.mkdtemp(prefix="oauth-taskflow-killer-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = folder / "killer.so"
    source = Path(__file__).with_name("write_killer.c")
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library


def can_kill() -> bool:
    """Whether an attempt can be killed at its writes."""
    return shutil.which("cc") is not None and sys.platform.startswith("linux")


def _attempt(
    connection: Connection, kind: kinds.Kind, folder: Path, options: AttemptOptions
) -> None:
    os.environ.update(options.environment)
    tempfile.tempdir = str(folder / "tmp")
    facts = EndpointFacts(("id",) if options.mode == "merge" else ())
    destination = kinds.connect(kind, folder, "r1", facts, mode=options.mode)
    killer: Any = ctypes.CDLL(None)
    if can_kill():
        killer.watch_writes(os.fsencode(folder), ctypes.c_long(options.die_at))
    writer = destination.open(Run("contacts", "r1", {}, options.map_index, options.dag_id))
    for record in make_records(options):
        writer.write([msgspec.Raw(msgspec.json.encode(record))])
    connection.send("ready")
    connection.recv()
    try:
        writer.commit(kinds.summary_of(options.rows))
    except DestinationError as error:
        writer.abort()
        connection.send(f"lost {error}")
        return
    connection.send(f"won {killer.count_writes()}" if can_kill() else "won")
