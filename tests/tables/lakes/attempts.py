"""Attempts at a table of a lake, each in its own process, which may die at one of its writes."""

from __future__ import annotations

import ctypes
import os
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec

from oauth_taskflow.destinations.base import EndpointFacts, Run
from tests.tables import kinds
from tests.tables.forked import ForkedAttempt, can_kill, commit_when_let_go


class AttemptOptions(msgspec.Struct, frozen=True):
    """``tag`` is in each of ``rows`` records, whose ids begin at 0. It dies instead of write number ``die_at``; 0 is never."""

    tag: str
    rows: int = 4
    map_index: int = -1
    dag_id: str = ""
    mode: str = "replace_run"
    die_at: int = 0
    environment: dict[str, str] = {}


class Attempt(ForkedAttempt):
    """An attempt that has written its records, and waits before its commit; a winner says how often it wrote to the folder.

    Its files on the disk are in ``folder / "tmp"``.
    """

    def __init__(self, kind: kinds.Kind, folder: Path, options: AttemptOptions) -> None:
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        super().__init__(_attempt, kind, folder, options)


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
    count = killer.count_writes if can_kill() else None
    commit_when_let_go(connection, writer, options.rows, count)
