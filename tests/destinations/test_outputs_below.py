"""Outputs in folders below that of another output: no commit to the upper folder touches their files."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from oauth_taskflow.destinations.files import FolderDestination, output_folder, remove_output
from oauth_taskflow.destinations.object_folder import ObjectFolder
from oauth_taskflow.destinations.output_folders import is_partition
from oauth_taskflow.destinations.partitioned_writer import PartitionedDestination
from oauth_taskflow.destinations.partitions import FieldPartition, name_folder
from tests.destinations.attempts import RUN, records, summary

BELOW = (
    "run_id=a",
    "run_id=a/map_index=0",
    "map_index=x",
    "loaded=2026-01-01/run_id=b",
    "day=2026-01-01/hour=7/run_id=c",
    "tag=mine",  # of a script that writes to a folder of its own choice
    "tag=mine/day=1",
)
_numbers = itertools.count()


@pytest.fixture(params=["disk", "store"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """The upper folder, on a disk and in a store in memory."""
    name = f"memory://outputs-below-{next(_numbers)}/out"
    return tmp_path / "out" if request.param == "disk" else UPath(name)


def begin(folder: Any, *tags: str, partitioned: bool = False) -> Any:
    levels = [FieldPartition(field="tag")]
    writer: Any = (
        PartitionedDestination(folder, levels=levels) if partitioned else FolderDestination(folder)
    ).open(RUN)
    for tag in tags:
        writer.write(records(tag, 2))
    return writer


def commit(folder: Any, *tags: str, partitioned: bool = False) -> None:
    begin(folder, *tags, partitioned=partitioned).commit(summary(2 * len(tags)))


def all_files(base: Any) -> dict[str, bytes]:
    found = [path for path in base.rglob("*") if path.is_file()]
    return {str(path).partition("/out/")[2]: path.read_bytes() for path in found}


def test_commits_to_the_folder_above_leave_every_output_below(base: Any) -> None:
    for folder in BELOW:
        commit(base / folder, folder)
    below = all_files(base)
    commit(base, "x", "y", partitioned=True)
    assert {name.partition("/")[0] for name in all_files(base)} >= {"tag=x", "tag=y"}
    commit(base, "z")
    assert {name for name in all_files(base) if name not in below} == {
        "_manifest.json",
        *(name for name in all_files(base) if name.startswith("part-00000")),
    }
    commit(base, "x", partitioned=True)
    assert remove_output(base)
    assert all_files(base) == below


def test_stale_output_above_is_removed_and_that_below_stays(base: Any) -> None:
    commit(base / "day=1" / "run_id=a", "a")
    commit(base / "map_index=0" / "run_id=a", "a")
    below = all_files(base)
    commit(base, "x", partitioned=True)
    assert FolderDestination(base).remove_stale({0: None}) == 1
    assert all_files(base) == below


def test_an_attempt_below_that_is_under_way_keeps_its_files(base: Any) -> None:
    writers = [begin(base / folder, folder) for folder in ("day=1/run_id=a", "tag=mine")]
    writers[0].keep(b"state")
    below = all_files(base)
    assert below
    commit(base, "x")
    assert {name: all_files(base).get(name) for name in below} == below
    for writer in writers:
        writer.commit(summary(2))
    assert (base / "tag=mine" / "_manifest.json").exists()


def test_an_output_whose_old_manifest_is_removed_and_new_one_not_there_yet_is_another(
    tmp_path: Path,
) -> None:
    commit(tmp_path / "tag=mine", "a")
    commit(tmp_path, "x")
    manifest = tmp_path / "tag=mine" / "_manifest.json"
    manifest.rename(manifest.with_name("._manifest.json.5f3a.tmp"))
    commit(tmp_path, "y")
    assert (tmp_path / "tag=mine" / "part-00000.jsonl").exists()


def test_the_outputs_of_runs_cost_a_store_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    base = UPath(f"memory://outputs-below-{next(_numbers)}/out")
    for number in range(20):
        commit(base / f"run_id={number}", "a")
    asked: list[str] = []

    real = base.fs.find

    def find(*args: Any, **options: Any) -> Any:
        asked.append("find")
        return real(*args, **options)

    monkeypatch.setattr(base.fs, "find", find)
    folder = output_folder(base)
    assert isinstance(folder, ObjectFolder)
    assert folder.files() == []
    assert asked == []
    for number in range(20):
        commit(base / f"day={number}" / "run_id=a", "a")
    assert folder.files() == []
    assert asked == ["find"]


@given(
    st.from_regex(r"[A-Za-z_][\w-]{0,9}", fullmatch=True).filter(
        lambda label: label not in {"map_index", "run_id"}
    ),
    st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
)
def test_every_folder_that_a_field_names_is_a_partition(label: str, value: str | None) -> None:
    assert is_partition(name_folder(label, value))
