"""A disk that is full, and a folder that may not be written: one clear error, nothing new visible, nothing left."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.destinations.files import FolderDestination
from oauth_taskflow.destinations.folder_writer import FolderWriter
from oauth_taskflow.destinations.partitioned_writer import PartitionedDestination
from oauth_taskflow.destinations.partitions import FieldPartition
from oauth_taskflow.destinations.transfer import transfer
from oauth_taskflow.errors import DestinationError
from tests.destinations.arrow.wider_run import IDS, TABLES, pull_pages, shrink_groups
from tests.destinations.arrow.wider_run import read_committed as read_table
from tests.destinations.attempts import RUN, list_ours
from tests.support.file_modes import without_overrides

ROWS = [{"k": str(n % 3), "n": n, "text": f"{n * 7919:x}" * 40} for n in range(600)]


@contextmanager
def small_files() -> Iterator[None]:
    """A limit of 1,000 bytes a file: a write beyond it fails as one to a full disk does, after it wrote in part."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write(folder: Path, name: str, kind: str) -> list[str]:
    options: dict[str, Any] = {}
    place: type[FolderDestination] = FolderDestination
    if kind == "partitions":
        place, options = PartitionedDestination, {"levels": [FieldPartition(field="k")]}
    elif kind == "parts":
        options = {"target_part_size": 2_000}
    pages = [Page(ROWS[at : at + 50], 1, "", 0) for at in range(0, 600, 50)]
    return list(transfer(pages, place(folder, name, **options), RUN).files)


@pytest.mark.parametrize("name", ["jsonl", "jsonl.gz", "jsonl.zst", "csv"])
@pytest.mark.parametrize("kind", ["one", "parts", "partitions"])
def test_a_full_disk_shows_the_output_before(tmp_path: Path, name: str, kind: str) -> None:
    write(tmp_path, name, kind)
    before = (tmp_path / "_manifest.json").read_bytes()
    files = sorted(tmp_path.rglob("*"))
    with small_files(), pytest.raises(DestinationError, match="File too large") as caught:
        write(tmp_path, name, kind)
    assert str(tmp_path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert (tmp_path / "_manifest.json").read_bytes() == before
    assert sorted(tmp_path.rglob("*")) == files
    names = write(tmp_path, name, kind)
    found = json.loads((tmp_path / "_manifest.json").read_bytes())["files"]
    assert [file["name"] for file in found] == names
    if kind != "partitions":
        assert list_ours(tmp_path) == sorted(["_manifest.json", *names])


def test_a_folder_without_permission_is_one_clear_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with (
        without_overrides(),
        pytest.raises(DestinationError, match="PermissionError: Permission denied"),
    ):
        write(tmp_path / "out", "jsonl", "one")


@contextmanager
def full_at_commit(writer: type[Any]) -> Iterator[None]:
    """Lets the disk be full from the moment of the commit on."""
    real = writer.commit

    def commit(*args: Any) -> Any:
        with small_files():
            return real(*args)

    writer.commit = commit
    try:
        yield
    finally:
        writer.commit = real


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("full", [lambda _: small_files(), full_at_commit], ids=["soon", "commit"])
def test_a_full_disk_shows_the_table_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, full: Any
) -> None:
    shrink_groups(monkeypatch.setattr)
    destination = FolderDestination(tmp_path, name)
    transfer(pull_pages("old"), destination, RUN)
    before = read_table(tmp_path)
    with full(FolderWriter), pytest.raises(DestinationError, match="File too large") as caught:
        transfer(pull_pages("new"), destination, RUN)
    assert str(tmp_path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert read_table(tmp_path) == before
    transfer(pull_pages("next"), destination, RUN)
    after = read_table(tmp_path)
    assert after is not None
    assert (after.ids, after.tags) == (IDS, {"next"})
    assert after.ours == sorted(["_manifest.json", *after.files])
