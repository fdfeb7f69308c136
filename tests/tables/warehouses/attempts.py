"""Attempts at a table of dlt, each in its own process, which may die or wait within its commit."""

from __future__ import annotations

import itertools
import os
import signal
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec

from oauth_taskflow.destinations.base import EndpointFacts, Run
from oauth_taskflow.errors import DestinationError
from tests.tables import kinds
from tests.tables.forked import ForkedAttempt, commit_when_let_go

KEYED = EndpointFacts(("id",))
ROWS = 3  # their ids begin at 0
_CALLS = ("execute", "load", "drop", "ensure", "forget")


class DltOptions(msgspec.Struct, frozen=True):
    """How an attempt at the run ``r1`` goes.

    It dies instead of call number ``die_at`` (from 0) of the session within its commit, or waits within its transaction
    until the file ``wait_for`` is there. ``temporary`` is its folder of temporary files.
    """

    map_index: int = -1
    mode: str = "replace_run"
    die_at: int | None = None
    wait_for: str = ""
    temporary: str = ""


class DltAttempt(ForkedAttempt):
    """An attempt that has written its records, and waits before its commit."""

    def __init__(self, kind: kinds.Kind, folder: Path, **options: Any) -> None:
        given = DltOptions(**options, temporary=tempfile.gettempdir())
        super().__init__(_attempt, list(kinds.POSTGRES), kind, folder, given)


def _attempt(
    connection: Connection, url: list[str], kind: kinds.Kind, folder: Path, options: DltOptions
) -> None:
    kinds.POSTGRES[:] = url
    os.environ["TMPDIR"] = tempfile.tempdir = options.temporary
    try:
        destination = kinds.connect(kind, folder, facts=KEYED, mode=options.mode)
        writer = destination.open(Run("contacts", "r1", map_index=options.map_index))
        writer.write(
            [
                msgspec.Raw(
                    b'{"id":%d,"map":%d,"huge":%d,"firstName":{"a":[1]}}'
                    % (number, options.map_index, 2**80)
                )
                for number in range(ROWS)
            ]
        )
    except DestinationError as error:
        connection.send(f"lost {error}")
        return
    if options.die_at is not None:
        _die_at(options.die_at)
    if options.wait_for:
        _wait_in_transaction(connection, Path(options.wait_for))
    commit_when_let_go(connection, writer, ROWS)


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


def _wait_in_transaction(connection: Connection, file: Path) -> None:
    from oauth_taskflow.destinations.tables.dlt_stage import Stage  # noqa: PLC0415

    real = Stage.append

    def append(self: Stage, target: str) -> None:
        real(self, target)
        connection.send("waiting")
        while not file.exists():
            time.sleep(0.05)

    Stage.append = append  # type: ignore[method-assign]
