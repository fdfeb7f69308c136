"""Attempts at a run whose schema widens from page to page, each in a separate process that may be killed at any write.

``python -m tests.destinations.arrow.wider_run FOLDER OPENER FORMAT TAG [DIE_AT]`` goes on after what an earlier attempt kept,
keeps every page, says ``ready``, and commits once its input is closed. Then it says ``won`` or ``lost``, and the number of
its boundaries: writes, and other steps on files. It is killed before the boundary number ``DIE_AT``, counted from 0.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow.dataset

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.destinations.arrow import converter, table_files
from oauth_taskflow.destinations.base import Run
from oauth_taskflow.destinations.files import FolderDestination, output_folder
from oauth_taskflow.destinations.local_folder import LocalAttempt
from oauth_taskflow.destinations.object_folder import ObjectAttempt, ObjectFolder
from oauth_taskflow.destinations.output_folders import MANIFEST, is_ours
from oauth_taskflow.destinations.part_stream import MeasuredFile
from oauth_taskflow.errors import DestinationError
from tests.destinations.attempts import summary

ROOT = Path(__file__).resolve().parents[3]
RUN = Run("contacts", "manual__1")
TABLES = ("parquet", "arrow")
_BOUNDARIES: tuple[tuple[Any, str], ...] = (
    (MeasuredFile, "write"),
    (MeasuredFile, "close"),
    *((LocalAttempt, name) for name in ("open_part", "keep", "publish")),
    *((ObjectAttempt, name) for name in ("open_part", "keep", "publish")),
    *((ObjectFolder, name) for name in ("read", "write", "replace", "remove")),
    *((Path, name) for name in ("replace", "unlink")),
)


def shrink_groups(put: Callable[[Any, str, Any], None]) -> None:
    """Makes blocks of one record and row groups of two; ``put`` is as ``setattr``."""
    small = {"block_bytes": 1, "block_rows": 1, "nested": True}
    put(converter, "BLOCK_ROWS", 1)
    put(converter.TableBuilder.__init__, "__kwdefaults__", small)
    put(converter, "_SLICE", 1)
    put(table_files, "GROUP_ROWS", 2)


def pages_of(tag: str) -> list[list[str]]:
    """Returns pages of JSON texts, of which nearly each widens the schema; each record names its attempt."""
    values: list[list[dict[str, Any]]] = [
        [{}, {}, {}],
        [{"n": 1}],
        [{"n": 1.5, "o": {"k": []}}, {"n": None}],
        [{"o": {"k": ["x"], "l": 9007199254740993}}, {"n": 9007199254740993}],
        [{"o": "text"}, {}, {}, {}],
    ]
    number = itertools.count(1)
    return [
        [json.dumps({"id": next(number), "tag": tag, **record}) for record in page]
        for page in values
    ]


IDS = list(range(1, 13))
# Kills of one kind of output: in the gate, and in all.
GATE, FULL = 8, 40
NEVER = 1_000_000


def raw(lines: Sequence[str]) -> list[Any]:
    """Returns undecoded records."""
    return [msgspec.Raw(line.encode()) for line in lines]


def pull_pages(tag: str) -> list[Page]:
    """The pages, as an endpoint has them."""
    return [Page(raw(lines), 1, "", 0) for lines in pages_of(tag)]


class Committed(NamedTuple):
    """The output for a reader that follows the manifest: all rows of one table, and the files of ours in the folder."""

    ids: list[int]
    tags: set[str]
    files: list[str]
    ours: list[str]


def read_committed(folder: Any) -> Committed | None:
    """Reads a folder as a foreign reader does, which takes the schema of the first file of a table for that of all."""
    filesystem = None if isinstance(folder, Path) else folder.fs
    if filesystem is not None:
        filesystem.invalidate_cache()
    place = folder / MANIFEST
    try:
        content = place.read_bytes() if filesystem is None else filesystem.cat_file(place.path)
    except FileNotFoundError:
        return None
    names = [file["name"] for file in json.loads(content)["files"]]
    found = _read_rows([folder / name for name in names], filesystem)
    assert {"id", "tag", "n", "o"} == set().union(*found)
    return Committed(
        [row["id"] for row in found],
        {row["tag"] for row in found},
        names,
        list_ours(folder),
    )


def _read_rows(files: Sequence[Any], filesystem: Any) -> list[dict[str, Any]]:
    if files[0].suffix == ".jsonl":
        return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
    paths = [str(file) if filesystem is None else file.path for file in files]
    form = files[0].suffix.removeprefix(".")
    rows: list[dict[str, Any]] = (
        pyarrow.dataset.dataset(paths, format=form, filesystem=filesystem).to_table().to_pylist()
    )
    return rows


def list_ours(folder: Any) -> list[str]:
    """Lists our files in a folder, and all others of a disk."""
    if isinstance(folder, Path):
        return sorted(path.name for path in folder.iterdir())
    names = [name for name, _ in output_folder(folder).entries()]  # type: ignore[attr-defined]
    return sorted(name for name in names if is_ours(name))


class WiderAttempt:
    """An attempt in a separate process."""

    def __init__(self, folder: str, opener: str, file_format: str, tag: str, *more: int) -> None:
        command = [sys.executable, "-m", "tests.destinations.arrow.wider_run"]
        self.process = subprocess.Popen(
            [*command, folder, opener, file_format, tag, *map(str, more)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_until_ready(self) -> None:
        """Returns once it is about to commit."""
        assert self.process.stdout is not None
        assert any(line.strip() == "ready" for line in self.process.stdout)

    def finish(self) -> tuple[str, int]:
        """Lets it commit; returns ``won``, ``lost`` or ``killed``, and the number of boundaries, 0 if it was killed."""
        said, _ = self.process.communicate(timeout=600)
        if self.process.returncode == -signal.SIGKILL:
            return "killed", 0
        outcome, boundaries = said.split()[-2:]
        return outcome, int(boundaries)


def place_kill(step: int, boundaries: int) -> int:
    """Returns where attempt ``step`` of ``FULL`` dies: the first ``GATE`` are spread over all boundaries, and so are the others."""
    part = step / GATE if step < GATE else (step - GATE) / (FULL - GATE)
    return int(part * boundaries)


def _die_at(last: int) -> itertools.count[int]:
    numbers = itertools.count()

    def deadly(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(numbers) == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    for owner, name in _BOUNDARIES:
        setattr(owner, name, deadly(getattr(owner, name)))
    return numbers


def write_all(folder: Any, file_format: str, tag: str) -> Any:
    """Opens a writer, writes what an earlier attempt has not kept, and keeps every page; returns the writer."""
    destination = FolderDestination(folder, file_format)
    writer, rows = _open(destination)
    for page in pages_of(tag):
        if rows < len(page):
            writer.write(raw(page[rows:]))
            writer.keep(b"state")
        rows = max(0, rows - len(page))
    return writer


def _open(destination: FolderDestination) -> tuple[Any, int]:
    progress = destination.find_progress(RUN)
    if progress is not None:
        writer = destination.resume(RUN, progress, progress.rows)
        if writer is not None:
            return writer, progress.rows
    return destination.open(RUN), 0


def commit_all(folder: Any, file_format: str, tag: str) -> None:
    """An attempt in this process."""
    write_all(folder, file_format, tag).commit(summary(len(IDS)))


def _attempt(folder: str, opener: str, file_format: str, tag: str, die_at: str = "-1") -> None:
    shrink_groups(setattr)
    numbers = _die_at(int(die_at))
    path = importlib.import_module(opener).open_folder(folder)
    writer = write_all(path, file_format, tag)
    print("ready", flush=True)
    sys.stdin.read()
    try:
        writer.commit(summary(len(IDS)))
    except DestinationError:
        writer.abort()
        print("lost", next(numbers), flush=True)
    else:
        print("won", next(numbers), flush=True)


if __name__ == "__main__":
    _attempt(*sys.argv[1:])
