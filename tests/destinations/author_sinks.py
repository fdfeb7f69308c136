"""Functions and classes as authors write them for the ``python`` destination."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Any

from oauth_taskflow.destinations.python_function import PythonRun

# Run → its records; stands for a database.
STORED: dict[tuple[str, str, str, int], list[Any]] = {}
# The arguments of the functions below, in order.
EVENTS: list[Any] = []


def rows_of(batch: Any) -> list[Any]:
    """Returns the records of a batch of either kind."""
    return batch if isinstance(batch, list) else list(batch.to_pylist())


def read(run: PythonRun, skip: int, take: int) -> Iterator[Any]:
    """Reads what a run stored."""
    yield from STORED[run.key][skip : skip + take]


def remove_stale(run: PythonRun, kept: list[int]) -> int:
    """Removes what instances stored that the run no longer has."""
    stale = [key for key in STORED if key[:3] == run.key[:3] and key[3] not in kept]
    for key in stale:
        del STORED[key]
    return len(stale)


class Memory:
    """An object with ``write``, ``commit`` and ``abort``."""

    read = staticmethod(read)
    remove_stale = staticmethod(remove_stale)

    def __init__(self, run: PythonRun) -> None:
        self._run = run
        self._rows: list[Any] = []

    def write(self, batch: Any) -> None:
        self._rows += rows_of(batch)

    def commit(self, summary: Mapping[str, Any]) -> None:
        assert summary["rows"] == len(self._rows)
        STORED[self._run.key] = self._rows

    def abort(self) -> None:
        self._rows.clear()


def remember(run: PythonRun) -> Generator[None, Any, None]:
    """A generator function."""
    rows: list[Any] = []
    while (batch := (yield)) is not None:
        rows += rows_of(batch)
    assert run.summary is not None
    assert run.summary["rows"] == len(rows)
    STORED[run.key] = rows


remember.read = read  # type: ignore[attr-defined]
remember.remove_stale = remove_stale  # type: ignore[attr-defined]


def note(run: PythonRun) -> Generator[None, Any, None]:
    """Notes everything that happens to it."""
    EVENTS.append(("begin", run.options))
    try:
        while (batch := (yield)) is not None:
            EVENTS.append(len(batch))
    except GeneratorExit:
        EVENTS.append("abort")
        raise
    EVENTS.append("commit")


def stop_early(run: PythonRun) -> Generator[None, Any, None]:
    yield


def never_take(run: PythonRun) -> Generator[None, Any, None]:
    if run.options:
        yield


def go_on(run: PythonRun) -> Generator[None, Any, None]:
    while True:
        yield


def return_nothing(run: PythonRun) -> None:
    """Returns no object that takes records."""


class Failing:
    """Fails in the step that the options name."""

    def __init__(self, run: PythonRun) -> None:
        self._step = run.options["step"]
        self._fail("the call")

    def _fail(self, step: str) -> None:
        if self._step == step:
            raise ConnectionError("the database is away, password=geheim123")

    def write(self, batch: Any) -> None:
        self._fail("write")

    def commit(self, summary: Any) -> None:
        self._fail("commit")

    def abort(self) -> None:
        raise RuntimeError("and this too")


NOT_CALLABLE = 7
