from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from oauth_taskflow.destinations.base import Run
from oauth_taskflow.destinations.files import FolderDestination
from oauth_taskflow.destinations.transfer import transfer
from oauth_taskflow.errors import DestinationError


def fill(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("part-00000.jsonl", "_manifest.json", ".part-00000.jsonl.ab.tmp"):
        (folder / name).write_bytes(b"x")
    return folder


def below(base: Path) -> list[str]:
    return sorted(path.name for path in base.iterdir())


def stale_after(folder: Any, kept: Iterable[int]) -> int:
    return FolderDestination(folder).remove_stale(dict.fromkeys(kept))


def test_each_mapped_instance_has_a_folder_in_that_of_its_run(tmp_path: Path) -> None:
    destination = FolderDestination(tmp_path)
    written = []
    for index in (3, -1):
        output = transfer([], destination, Run("notes", "r", map_index=index))
        written += [part.path for part in destination.describe(output).parts]
    assert written == [
        str(tmp_path / "map_index=3" / "part-00000.jsonl"),
        str(tmp_path / "part-00000.jsonl"),
    ]


def test_output_at_another_place_does_not_keep_an_instance(tmp_path: Path) -> None:
    here = fill(tmp_path / "eu" / "map_index=0")
    fill(tmp_path / "eu" / "map_index=1")
    elsewhere = str(tmp_path / "us" / "map_index=1" / "_manifest.json")
    current = {0: str(here / "_manifest.json"), 1: elsewhere}
    assert FolderDestination(tmp_path / "eu").remove_stale(current) == 1
    assert below(tmp_path / "eu") == ["map_index=0"]


def test_output_of_instances_that_a_run_no_longer_has_is_removed(tmp_path: Path) -> None:
    for index in range(12):
        fill(tmp_path / f"map_index={index}")
    assert stale_after(tmp_path, {0, 11}) == 10
    assert below(tmp_path) == ["map_index=0", "map_index=11"]


def test_files_of_others_in_an_instance_folder_stay(tmp_path: Path) -> None:
    (fill(tmp_path / "map_index=1") / "notes.txt").write_bytes(b"mine")
    (tmp_path / "map_index=x").mkdir()
    assert stale_after(tmp_path, {0}) == 1
    assert below(tmp_path) == ["map_index=1", "map_index=x"]
    assert below(tmp_path / "map_index=1") == ["notes.txt"]


def test_unmapped_output_is_removed_once_the_endpoint_is_mapped(tmp_path: Path) -> None:
    base = fill(tmp_path / "run")
    fill(base / "map_index=0")
    assert stale_after(base, {0}) == 1
    assert below(base) == ["map_index=0"]
    assert stale_after(fill(tmp_path / "other"), {-1}) == 0


def test_a_missing_folder_has_no_stale_output(tmp_path: Path) -> None:
    assert stale_after(tmp_path / "none", set()) == 0


def test_stale_output_is_removed_from_object_stores_too() -> None:
    base = UPath(f"memory://stale-{os.getpid()}/run")
    fill(base / "map_index=0")  # type: ignore[arg-type]  # behaves like a Path
    fill(base / "map_index=1")  # type: ignore[arg-type]  # as above
    assert stale_after(base, {0}) == 1
    left = {str(path).rpartition("run/")[2] for path in base.rglob("*") if path.is_file()}
    assert left == {
        "map_index=0/part-00000.jsonl",
        "map_index=0/_manifest.json",
        "map_index=0/.part-00000.jsonl.ab.tmp",
    }


def test_a_folder_that_cannot_be_listed_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DestinationError) as caught:
        stale_after(tmp_path / "file", set())
    assert str(caught.value) == (
        f"Listing the output folder failed (NotADirectoryError: Not a directory) at {tmp_path / 'file'}. "
        "Check the path, its permissions, free space, and the connection of the object store."
    )
