"""Attempts at one output folder, each in a separate process, and the reader that judges their output.

``python -m tests.destinations.attempts FOLDER OPENER TAG ROWS [DIE_AT [PART_SIZE [CALLS]]]`` opens a writer, writes, says
``ready``, and commits once its input is closed; then it says ``won`` or ``lost``. ``OPENER`` is a module with ``open_folder``.
It dies instead of the call number CALLS (from 0) of ``DIE_AT``, after it said ``ready``.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oauth_taskflow.destinations.base import Run
from oauth_taskflow.destinations.files import FolderDestination, output_folder
from oauth_taskflow.destinations.output_folders import MANIFEST, is_ours
from oauth_taskflow.destinations.transfer import TransferSummary
from oauth_taskflow.errors import DestinationError

RUN = Run("contacts", "manual__1")
ROOT = Path(__file__).resolve().parents[2]


def open_folder(folder: str) -> Path:
    """A folder on this disk."""
    return Path(folder)


def summary(rows: int) -> TransferSummary:
    """Figures for a commit."""
    return TransferSummary(rows, 1, 1, 0, None, "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", 1.0)


def records(tag: str, rows: int) -> list[dict[str, Any]]:
    """Returns records that name their attempt."""
    return [{"tag": tag, "row": row, "of": rows} for row in range(rows)]


def read_committed(folder: Any) -> list[dict[str, Any]] | None:
    """Reads as a reader that follows the manifest does: one whole output, or None without a manifest.

    An output that was replaced while it was read is read again; an output that then differs from its manifest is half a run.
    """
    for _ in range(20):
        content = _read(folder / MANIFEST)
        if content is None:
            return None
        manifest = msgspec.json.decode(content)
        files = manifest["files"]
        parts = [_read(folder / file["name"]) or b"" for file in files]
        if all(_is_whole(*pair) for pair in zip(parts, files, strict=True)):
            found = [msgspec.json.decode(line) for line in b"".join(parts).splitlines()]
            tag, of = found[0]["tag"], found[0]["of"]
            assert found == records(tag, of), "records of several attempts, or not all"
            assert manifest["rows"] == len(found)
            return found
        assert _read(folder / MANIFEST) != content, (
            f"the manifest names a part that is not so: {manifest}"
        )
    raise AssertionError("the output never came to rest")


def _is_whole(part: bytes, file: Any) -> bool:
    found = (hashlib.sha256(part).hexdigest(), part.count(b"\n"))
    return found == (file["sha256"], file["rows"])


def _read(path: Any) -> bytes | None:
    """One request of a store: fsspec's files ask for the size first, which may be that of the manifest before."""
    if not isinstance(path, Path):
        path.fs.invalidate_cache()
    with suppress(FileNotFoundError):
        return bytes(path.read_bytes() if isinstance(path, Path) else path.fs.cat_file(path.path))
    return None


def unpack(content: bytes, name: str) -> bytes:
    """Returns the lines of a file, as other tools find them: by gzip's module, and by Arrow's Zstandard."""
    if name.endswith(".gz"):
        return gzip.decompress(content)
    if name.endswith(".zst"):
        arrow = pytest.importorskip("pyarrow")
        return bytes(arrow.CompressedInputStream(arrow.BufferReader(content), "zstd").read())
    return content


def list_ours(folder: Any) -> list[str]:
    """Lists our files in ``folder``, sorted."""
    names = (
        [path.name for path in folder.iterdir()]
        if isinstance(folder, Path)
        else [name for name, _ in output_folder(folder).entries()]  # type: ignore[attr-defined]
    )
    return sorted(name for name in names if is_ours(name))


class AttemptProcess:
    """An attempt in a separate process."""

    def __init__(
        self, folder: str, opener: str, tag: str, rows: int, die_at: str = "", *more: int
    ) -> None:
        command = [sys.executable, "-m", "tests.destinations.attempts"]
        self.process = subprocess.Popen(
            [*command, folder, opener, tag, str(rows), die_at, *map(str, more)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_until_ready(self) -> None:
        """Returns once it is about to commit."""
        assert self.process.stdout is not None
        assert any(line.strip() == "ready" for line in self.process.stdout)

    def let_go(self) -> None:
        """Lets it commit."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def outcome(self) -> str:
        """``won``, ``lost``, or ``killed``."""
        assert self.process.stdout is not None
        lines = self.process.stdout.read().split()
        self.process.stdout.close()
        code = self.process.wait(600)
        return "killed" if code == -signal.SIGKILL else lines[-1]


def race(folder: str, opener: str, tags: Sequence[str], rows: int) -> list[str]:
    """Lets an attempt for each of ``tags`` commit at the same moment; returns how each ended."""
    attempts = [AttemptProcess(folder, opener, tag, rows + n) for n, tag in enumerate(tags)]
    for attempt in attempts:
        attempt.wait_until_ready()
    for attempt in attempts:
        attempt.let_go()
    return [attempt.outcome() for attempt in attempts]


def _die_at(place: str, calls: int) -> None:
    module, _, name = place.partition(":")
    owner_name, _, function = name.partition(".")
    owner: Any = getattr(importlib.import_module(module), owner_name)
    real, numbers = getattr(owner, function), itertools.count()

    def deadly(*args: Any, **kwargs: Any) -> Any:
        if next(numbers) == calls:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    setattr(owner, function, deadly)


def _attempt(folder: str, opener: str, tag: str, rows: str, die_at: str = "", *more: str) -> str:
    part_size, calls = (*more, *("", "0")[len(more) :])
    path = importlib.import_module(opener).open_folder(folder)
    size = int(part_size) if part_size else None
    writer = FolderDestination(path, target_part_size=size).open(RUN)
    page = 1 if size else int(rows)
    written = records(tag, int(rows))
    for start in range(0, int(rows), page):
        writer.write(written[start : start + page])
    if die_at:
        _die_at(die_at, int(calls))
    print("ready", flush=True)
    sys.stdin.read()
    try:
        writer.commit(summary(int(rows)))
    except DestinationError:
        writer.abort()
        return "lost"
    return "won"


if __name__ == "__main__":
    print(_attempt(*sys.argv[1:]), flush=True)
