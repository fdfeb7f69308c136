"""The file destination: whole or not at all, and the same again after a re-run."""

from __future__ import annotations

import gzip
import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from upath import UPath

from oauth_taskflow.api.pull.keys.dedupe import Deduplicator
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.watermark import Watermark
from oauth_taskflow.destinations.base import Run
from oauth_taskflow.destinations.files import FolderDestination
from oauth_taskflow.destinations.transfer import transfer
from oauth_taskflow.engine.stages import DedupeStage, WatermarkStage
from oauth_taskflow.errors import DestinationError

RUN = Run("contacts", "manual__1", {"dag_id": "crm"})


def pages(*counts: int) -> Iterator[Page]:
    number = 0
    for index, count in enumerate(counts):
        records = [
            {"id": number + row, "at": f"2024-01-0{row + 1}T00:00:00Z"} for row in range(count)
        ]
        number += count
        yield Page(records, 100, "https://api.example.com/x", index)


def names(folder: Any) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def manifest(folder: Any) -> Any:
    return msgspec.json.decode((folder / "_manifest.json").read_bytes())


def broken(error: BaseException) -> Iterator[Page]:
    yield from pages(3)
    raise error


def test_records_become_lines_and_the_manifest_describes_them(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    output = transfer(
        pages(2, 1),
        FolderDestination(folder),
        RUN,
        stages=[WatermarkStage(Watermark("at")), DedupeStage(Deduplicator(["id"]))],
    )
    data = (folder / "part-00000.jsonl").read_bytes()
    assert [msgspec.json.decode(line)["id"] for line in data.splitlines()] == [0, 1, 2]
    written = manifest(folder)
    assert written.pop("started") <= written.pop("finished")
    assert written.pop("seconds") >= 0
    assert len(written.pop("attempt")) == 12
    assert written.pop("host") == socket.gethostname()
    assert written == {
        "version": 1,
        "endpoint": "contacts",
        "run_id": "manual__1",
        "dag_id": "crm",
        "files": [
            {
                "name": "part-00000.jsonl",
                "rows": 3,
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        ],
        "rows": 3,
        "pages": 2,
        "received_bytes": 200,
        "dropped": 0,
        "watermark": "2024-01-02T00:00:00Z",
        "warnings": [],
    }
    assert (output.files, output.bytes, output.summary.rows) == (
        ("part-00000.jsonl",),
        len(data),
        3,
    )


def test_gzip_output_is_the_same_bytes_for_the_same_records(tmp_path: Path) -> None:
    outputs = []
    for name in ("a", "b"):
        transfer(pages(3), FolderDestination(tmp_path / name, "jsonl.gz"), RUN)
        outputs.append((tmp_path / name / "part-00000.jsonl.gz").read_bytes())
    assert outputs[0] == outputs[1]
    assert len(gzip.decompress(outputs[0]).splitlines()) == 3
    assert manifest(tmp_path / "a")["files"][0]["bytes"] == len(outputs[0])


def test_raw_records_are_written_as_they_came(tmp_path: Path) -> None:
    records = [msgspec.Raw(b'{"n": 1.10}'), msgspec.Raw(b'{"n":1E5}')]
    transfer([Page(records, 1, "", 0)], FolderDestination(tmp_path), RUN)
    assert (tmp_path / "part-00000.jsonl").read_bytes() == b'{"n": 1.10}\n{"n":1E5}\n'


def test_a_rerun_replaces_its_own_output_even_in_another_format(tmp_path: Path) -> None:
    transfer(pages(3), FolderDestination(tmp_path), RUN)
    transfer(pages(1), FolderDestination(tmp_path, "jsonl.gz"), RUN)
    assert names(tmp_path) == ["_manifest.json", "part-00000.jsonl.gz"]
    assert manifest(tmp_path)["rows"] == 1


def test_no_records_leave_an_empty_file_and_a_manifest(tmp_path: Path) -> None:
    transfer([], FolderDestination(tmp_path), RUN)
    assert (tmp_path / "part-00000.jsonl").read_bytes() == b""
    assert manifest(tmp_path)["rows"] == 0


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_a_failed_transfer_leaves_nothing_new(tmp_path: Path, error: BaseException) -> None:
    transfer(pages(2), FolderDestination(tmp_path), RUN)
    with pytest.raises(type(error)):
        transfer(broken(error), FolderDestination(tmp_path), RUN)
    assert names(tmp_path) == ["_manifest.json", "part-00000.jsonl"]
    assert manifest(tmp_path)["rows"] == 2


def test_files_get_their_final_names_at_the_commit(tmp_path: Path) -> None:
    writer = FolderDestination(tmp_path).open(RUN)
    writer.write([{"a": 1}])
    assert all(name.startswith(".") for name in names(tmp_path))
    writer.abort()
    assert names(tmp_path) == []


def test_leftovers_of_a_killed_writer_are_removed_by_the_next(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from oauth_taskflow.destinations.files import FolderDestination\n"
        "from oauth_taskflow.destinations.base import Run\n"
        "FolderDestination(Path(sys.argv[1])).open(Run('x')).write([{'a': 1}] * 1000)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    kinds = [name.rpartition(".")[0].rpartition(".")[0] for name in names(tmp_path)]
    assert kinds == ["._manifest.json", ".part-00000.jsonl"]
    assert [name.endswith(".tmp") for name in names(tmp_path)] == [True, True]
    transfer(pages(1), FolderDestination(tmp_path), RUN)
    assert names(tmp_path) == ["_manifest.json", "part-00000.jsonl"]


def test_a_writer_whose_file_was_deleted_cannot_commit(tmp_path: Path) -> None:
    summary = transfer(pages(1), FolderDestination(tmp_path), RUN).summary
    writer = FolderDestination(tmp_path).open(RUN)
    (temporary,) = tmp_path.glob(".part-*")
    temporary.unlink()
    with pytest.raises(DestinationError, match="Committing the output failed"):
        writer.commit(summary)
    assert (tmp_path / "part-00000.jsonl").read_bytes().count(b"\n") == 1
    assert manifest(tmp_path)["rows"] == 1


def test_an_unwritable_folder_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DestinationError) as caught:
        transfer(pages(1), FolderDestination(tmp_path / "file"), RUN)
    assert str(caught.value) == (
        f"Opening the output folder failed (FileExistsError: File exists) at {tmp_path}/file. "
        "Check the path, its permissions, free space, and the connection of the object store."
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    writer = FolderDestination(tmp_path).open(RUN)
    measured = writer._stream._file
    assert measured is not None
    measured._handle.close()
    measured._open_handle = open("/dev/full", "wb", buffering=0)  # noqa: SIM115, PTH123 - closed by abort
    with pytest.raises(DestinationError, match="No space left on device"):
        writer.write([{"a": 1}])
    writer.abort()
    assert names(tmp_path) == []


def test_other_stores_of_fsspec_work_alike() -> None:
    folder = UPath(f"memory://bucket-{os.getpid()}/contacts")
    transfer(pages(2), FolderDestination(folder), RUN)
    transfer(pages(3), FolderDestination(folder), RUN)
    written = manifest(folder)
    (file,) = written["files"]
    assert file["name"] == f"part-00000-{written['attempt']}.jsonl"
    assert names(folder) == ["_manifest.json", file["name"]]
    assert (written["rows"], (folder / file["name"]).read_bytes().count(b"\n")) == (3, 3)


def test_pages_are_reported_once_they_are_written(tmp_path: Path) -> None:
    written: list[int] = []
    transfer(
        pages(2, 1),
        FolderDestination(tmp_path),
        RUN,
        on_page=lambda page: written.append(page.count),
    )
    assert written == [2, 1]
