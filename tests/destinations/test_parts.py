"""Several parts in one run: they begin by size or when a format asks, and show together or not at all."""

from __future__ import annotations

import errno
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
import pytest
from upath import UPath

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.destinations.base import Progress
from oauth_taskflow.destinations.files import FolderDestination
from oauth_taskflow.destinations.formats import FORMATS
from oauth_taskflow.destinations.formats.base import ByteSink, FileFormat, NextPart
from oauth_taskflow.destinations.local_folder import LocalAttempt
from oauth_taskflow.destinations.transfer import transfer
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import RecordSchema
from tests.destinations.attempts import (
    RUN,
    AttemptProcess,
    list_ours,
    read_committed,
    records,
    summary,
)

OPENER = "tests.destinations.attempts"
_numbers = itertools.count()
# A record of the tag "a" has 28 bytes: two rows a part.
SIZE = 50


def commit(folder: Any, tag: str, rows: int, size: int | None = SIZE) -> list[str]:
    pages = [Page([record], 1, "", 0) for record in records(tag, rows)]
    destination = FolderDestination(folder, target_part_size=size)
    return list(transfer(pages, destination, RUN).files)


def open_any(path: str, _conn_id: str | None) -> Any:
    return UPath(path)


def test_a_part_ends_with_the_page_that_brings_it_to_its_size(tmp_path: Path) -> None:
    assert commit(tmp_path, "a", 5) == [f"part-0000{n}.jsonl" for n in range(3)]
    files = json.loads((tmp_path / "_manifest.json").read_bytes())["files"]
    assert [file["rows"] for file in files] == [2, 2, 1]
    assert read_committed(tmp_path) == records("a", 5)
    assert list_ours(tmp_path) == ["_manifest.json", *(file["name"] for file in files)]
    assert commit(tmp_path, "b", 4) == ["part-00000.jsonl", "part-00001.jsonl"], "no empty part"
    assert list_ours(tmp_path) == ["_manifest.json", "part-00000.jsonl", "part-00001.jsonl"]


def test_without_a_size_there_is_one_part(tmp_path: Path) -> None:
    assert commit(tmp_path, "a", 500, None) == ["part-00000.jsonl"]


def test_a_store_has_the_parts_of_one_attempt(tmp_path: Path) -> None:
    folder = UPath(f"memory://parts-{os.getpid()}-{next(_numbers)}")
    names = commit(folder, "a", 5)
    assert len({name.partition("-0000")[2][1:] for name in names}) == 1
    assert list_ours(folder) == ["_manifest.json", *names]
    assert read_committed(folder) == records("a", 5)
    names = commit(folder, "b", 3)
    assert list_ours(folder) == ["_manifest.json", *names]
    writer = FolderDestination(folder, target_part_size=SIZE).open(RUN)
    for record in records("c", 9):
        writer.write([record])
    writer.abort()
    assert read_committed(folder) == records("b", 3)
    assert len(list_ours(folder)) == 3, "parts of an attempt that failed are removed"


class BlockWriter:
    """Holds back up to three records, and begins a part when the names of their fields change, as Parquet does."""

    def __init__(self, sink: ByteSink, next_part: NextPart, _declared: RecordSchema | None) -> None:
        self._sink, self._next = sink, next_part
        self._names: list[str] = []
        self._held: list[Any] = []
        self._rows = 0

    def write(self, records: Sequence[Any], /) -> None:
        for record in records:
            if self._names != sorted(record):
                self._flush()
                if self._rows:
                    self._sink = self._next(self._rows)
                self._rows, self._names = 0, sorted(record)
            self._held.append(record)
            self._rows += 1
            if len(self._held) == 3:
                self._flush()

    def _flush(self) -> None:
        if self._held:
            self._sink.write(b"".join(msgspec.json.encode(one) + b"\n" for one in self._held))
        self._held = []

    def end_part(self) -> None:
        self._flush()
        self._sink = self._next(self._rows)
        self._rows = 0

    def close(self) -> None:
        self._flush()


def read_blocks(file: IO[bytes], skip: int, take: int) -> Iterator[Any]:
    yield from map(msgspec.json.decode, itertools.islice(file, skip, skip + take))


@pytest.mark.parametrize("store", [False, True])
def test_a_format_begins_a_part_and_says_how_many_records_the_one_before_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: bool
) -> None:
    monkeypatch.setitem(FORMATS, "blocks", FileFormat(BlockWriter, read_blocks))
    folder: Any = UPath(f"memory://blocks-{next(_numbers)}") if store else tmp_path
    given = [{"a": 1}] * 4 + [{"a": 1, "b": 2}] * 2 + [{"c": 1}] * 5
    pages = [Page(given[at : at + 2], 1, "", 0) for at in range(0, 11, 2)]
    name: Any = "blocks"
    destination = FolderDestination(folder, name, open_path=open_any)
    output = transfer(pages, destination, RUN)
    assert [file.rows for file in output.figures] == [4, 2, 5]
    described = destination.describe(output)
    read = [one for part in described.parts for one in destination.read(part.path, 0, part.rows)]
    assert read == given
    sized = FolderDestination(folder, name, target_part_size=20)
    output = transfer(pages, sized, RUN)
    # Three records of 8 bytes are held back, so four of them are in the part that has reached 20 bytes.
    assert [file.rows for file in output.figures] == [4, 2, 4, 1]
    assert len(list_ours(folder)) == 5


def kept_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".part"))


@pytest.mark.parametrize("rows", range(8))
@pytest.mark.parametrize("file_format", ["jsonl", "jsonl.gz"])
def test_an_attempt_goes_on_after_any_number_of_kept_parts(
    tmp_path: Path, rows: int, file_format: Any
) -> None:
    destination = FolderDestination(tmp_path, file_format, target_part_size=1)
    written = records("a", 9)
    cut = destination.open(RUN)
    for record in written[:7]:
        cut.write([record])
        cut.keep(b"state")
    cut.suspend()
    progress = destination.find_progress(RUN)
    assert progress is not None
    assert (progress.rows, len(progress.place.parts)) == (7, 7)
    assert list(destination.read_kept(RUN, progress, 2, 3)) == [
        msgspec.Raw(msgspec.json.encode(record)) for record in written[2:5]
    ]
    following = destination.resume(RUN, progress, rows)
    assert following is not None
    for record in written[rows:]:
        following.write([record])
    following.keep(b"again")
    assert all(following._writing.attempt_id in name for name in kept_names(tmp_path)) or rows < 7
    output = following.commit(summary(9))
    parts = destination.describe(output).parts
    assert [one for part in parts for one in destination.read(part.path, 0, part.rows)] == written
    assert list_ours(tmp_path) == ["_manifest.json", *output.files]


def keep_two(destination: FolderDestination) -> Progress:
    """The state of an attempt that was cut off after two records."""
    cut = destination.open(RUN)
    cut.write([{"a": 1}])
    cut.write([{"a": 2}])
    cut.keep(b"state")
    cut.suspend()
    progress = destination.find_progress(RUN)
    assert progress is not None
    return progress


def test_a_kept_part_that_changed_makes_the_next_attempt_start_over(tmp_path: Path) -> None:
    destination = FolderDestination(tmp_path, target_part_size=1)
    progress = keep_two(destination)
    kept = tmp_path / kept_names(tmp_path)[0]
    kept.write_bytes(kept.read_bytes().replace(b"1", b"7"))
    assert destination.resume(RUN, progress, 2) is None
    kept.unlink()
    assert destination.find_progress(RUN) is None


def test_kept_rejected_records_that_changed_make_the_next_attempt_start_over(
    tmp_path: Path,
) -> None:
    destination = FolderDestination(tmp_path)
    cut = destination.open(RUN)
    cut.write([{"a": 1}])
    cut.reject([{"record": {"a": 2}}])
    cut.keep(b"state")
    cut.suspend()
    progress = destination.find_progress(RUN)
    assert progress is not None
    (kept,) = tmp_path.glob("._rejected*")
    kept.write_bytes(kept.read_bytes().replace(b"2", b"7"))
    assert destination.resume(RUN, progress, 1) is None


def test_an_attempt_that_cannot_begin_a_part_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LocalAttempt, "open_part", refuse)
    with pytest.raises(DestinationError, match="No space left on device"):
        FolderDestination(tmp_path).open(RUN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["[]", "{", "3"])
def test_a_manifest_of_somebody_else_is_one_clear_error(tmp_path: Path, content: str) -> None:
    manifest = tmp_path / "_manifest.json"
    manifest.write_text(content)
    with pytest.raises(DestinationError, match="Reading a manifest failed"):
        FolderDestination(tmp_path).read_manifest(str(manifest))


@pytest.mark.parametrize(("part_size", "rows"), [(1, 2), (1000, 2), (1000, 1)])
def test_a_kept_part_that_another_attempt_removed_meanwhile_makes_the_next_one_start_over(
    tmp_path: Path, part_size: int, rows: int
) -> None:
    destination = FolderDestination(tmp_path, target_part_size=part_size)
    progress = keep_two(destination)
    (tmp_path / kept_names(tmp_path)[0]).unlink()
    assert destination.resume(RUN, progress, rows) is None
    following = destination.open(RUN)
    following.write(records("a", 2))
    output = following.commit(summary(2))
    assert list_ours(tmp_path) == ["_manifest.json", *output.files]


def test_the_attempt_before_may_live_and_harms_no_part_that_was_taken_over(tmp_path: Path) -> None:
    destination = FolderDestination(tmp_path, target_part_size=1)
    zombie = destination.open(RUN)
    zombie.write(records("a", 3)[:1])
    zombie.write(records("a", 3)[1:2])
    zombie.keep(b"state")
    progress = destination.find_progress(RUN)
    assert progress is not None
    following = destination.resume(RUN, progress, 2)
    assert following is not None
    zombie.write([{"of": "the zombie"}])
    zombie.keep(b"more")
    following.write(records("a", 3)[2:])
    following.commit(summary(3))
    with pytest.raises(DestinationError, match="Another attempt of the same run committed"):
        zombie.commit(summary(3))
    zombie.abort()
    assert read_committed(tmp_path) == records("a", 3)
    assert len(list_ours(tmp_path)) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("die_at", "calls", "seen"),
    [
        ("oauth_taskflow.destinations.local_folder:LocalAttempt.publish", 0, "old"),
        ("pathlib:Path.stat", 2, "old"),
        *(("pathlib:Path.replace", number, None) for number in range(4)),
        ("oauth_taskflow.destinations.base:Output.__init__", 0, "killed"),
        ("pathlib:Path.unlink", 0, "old"),
        ("pathlib:Path.unlink", 1, "killed"),
        ("pathlib:Path.unlink", 2, "killed"),
    ],
)
def test_a_kill_at_any_step_shows_whole_output_or_none(
    tmp_path: Path, die_at: str, calls: int, seen: str | None
) -> None:
    commit(tmp_path, "old", 9)  # more parts than its followers have
    killed = AttemptProcess(str(tmp_path), OPENER, "killed", 5, die_at, SIZE, calls)
    killed.wait_until_ready()
    killed.let_go()
    assert killed.outcome() in {"killed", "won"}
    found = read_committed(tmp_path)
    assert (found[0]["tag"] if found else None) == seen
    names = commit(tmp_path, "next", 3)
    assert read_committed(tmp_path) == records("next", 3)
    assert list_ours(tmp_path) == ["_manifest.json", *names]


@pytest.mark.slow
def test_when_processes_commit_several_parts_at_once_one_wins(tmp_path: Path) -> None:
    attempts = [
        AttemptProcess(str(tmp_path), OPENER, f"t{number}", 40 + number, "", SIZE)
        for number in range(5)
    ]
    for attempt in attempts:
        attempt.wait_until_ready()
    for attempt in attempts:
        attempt.let_go()
    outcomes = [attempt.outcome() for attempt in attempts]
    assert sorted(outcomes) == ["lost"] * 4 + ["won"]
    found = read_committed(tmp_path)
    assert found is not None
    assert found[0]["tag"] == f"t{outcomes.index('won')}"
    files = json.loads((tmp_path / "_manifest.json").read_bytes())["files"]
    assert list_ours(tmp_path) == ["_manifest.json", *(file["name"] for file in files)]
