from __future__ import annotations

import os
from pathlib import Path

import pytest
from upath import UPath

from oauth_taskflow.api.options import FileDestination
from oauth_taskflow.engine.folders import instance_folder, remove_stale, run_folder, run_folders
from oauth_taskflow.engine.for_each import Share
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.specs.model import Endpoint, ForEachOptions

ENDPOINT = Endpoint(
    destination=FileDestination(path="/lake/{{ region }}/{{ endpoint }}/"),
    for_each={"region": ["eu", "us"], "contact": ForEachOptions(endpoint="contacts")},
)
SCOPE = {"endpoint": "notes"}


def fill(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("part-00000.jsonl", "_manifest.json", ".part-00000.jsonl.ab.tmp"):
        (folder / name).write_bytes(b"x")
    return folder


def below(base: Path) -> list[str]:
    return sorted(path.name for path in base.iterdir())


def test_a_run_has_a_folder_of_its_own_and_each_instance_one_in_it() -> None:
    item = {"region": Share(value="eu"), "contact": Share(file="x", take=2)}
    base = run_folder(ENDPOINT, "manual__1/2", SCOPE, item)
    assert base == "/lake/eu/notes/run_id=manual__1%2F2"
    assert instance_folder(base, 3) == f"{base}/map_index=3"
    assert instance_folder(base, -1) == base


def test_the_folders_of_a_run_are_known_without_its_parent_records() -> None:
    assert run_folders(ENDPOINT, "r", SCOPE) == [
        "/lake/eu/notes/run_id=r",
        "/lake/us/notes/run_id=r",
    ]


def test_instances_that_a_run_has_no_more_lose_their_output(tmp_path: Path) -> None:
    for index in range(12):
        fill(tmp_path / f"map_index={index}")
    assert remove_stale(tmp_path, {0, 11}) == 10
    assert below(tmp_path) == ["map_index=0", "map_index=11"]


def test_what_others_put_there_stays(tmp_path: Path) -> None:
    (fill(tmp_path / "map_index=1") / "notes.txt").write_bytes(b"mine")
    (tmp_path / "map_index=x").mkdir()
    assert remove_stale(tmp_path, {0}) == 1
    assert below(tmp_path) == ["map_index=1", "map_index=x"]
    assert below(tmp_path / "map_index=1") == ["notes.txt"]


def test_an_endpoint_that_came_to_be_mapped_leaves_no_unmapped_output(tmp_path: Path) -> None:
    base = fill(tmp_path / "run")
    fill(base / "map_index=0")
    assert remove_stale(base, {0}) == 1
    assert below(base) == ["map_index=0"]
    assert remove_stale(fill(tmp_path / "other"), {-1}) == 0


def test_a_folder_that_is_not_there_has_nothing_stale(tmp_path: Path) -> None:
    assert remove_stale(tmp_path / "none", set()) == 0


def test_stale_output_goes_from_object_stores_too() -> None:
    base = UPath(f"memory://stale-{os.getpid()}/run")
    fill(base / "map_index=0")  # type: ignore[arg-type]  # behaves like a Path
    fill(base / "map_index=1")  # type: ignore[arg-type]  # as above
    assert remove_stale(base, {0}) == 1
    left = {str(path).rpartition("run/")[2] for path in base.rglob("*") if path.is_file()}
    assert left == {
        "map_index=0/part-00000.jsonl",
        "map_index=0/_manifest.json",
        "map_index=0/.part-00000.jsonl.ab.tmp",
    }


def test_a_folder_that_cannot_be_listed_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DestinationError) as caught:
        remove_stale(tmp_path / "file", set())
    assert str(caught.value) == (
        f"Listing the output folder failed (NotADirectoryError: Not a directory) at {tmp_path / 'file'}. "
        "Check the path, its permissions, free space, and the connection of the object store."
    )
