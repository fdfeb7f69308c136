"""The file destination on real servers of S3 and Azure Blob Storage."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip(
    "s3fs", reason="object stores are tested in .venv-services (scripts/test-services)"
)

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.destinations.files import FolderDestination, has_output, output_folder
from oauth_taskflow.destinations.partitioned_writer import PartitionedDestination
from oauth_taskflow.destinations.partitions import FieldPartition
from oauth_taskflow.destinations.transfer import transfer
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.taskflow.dags.storage import open_path
from tests.destinations.attempts import (
    RUN,
    AttemptProcess,
    list_ours,
    race,
    read_committed,
    records,
    summary,
)

# aiohttp's advice to the libraries about large bodies
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

OPENER = "tests.stores.opener"
FOLDER = "oauth_taskflow.destinations.object_folder:ObjectFolder"


def folder_at(place: str) -> Any:
    return open_path(place, place.partition(":")[0])


def commit(folder: Any, tag: str, rows: int, file_format: Any = "jsonl") -> str:
    pages = [Page(records(tag, rows), 1, "", 0)]
    return transfer(pages, FolderDestination(folder, file_format), RUN).files[0]


def test_a_new_prefix_a_rerun_and_a_rerun_in_another_format(place: str) -> None:
    folder = folder_at(place)
    assert not has_output(folder)
    first = commit(folder, "first", 3)
    assert (read_committed(folder), list_ours(folder)) == (
        records("first", 3),
        ["_manifest.json", first],
    )
    second = commit(folder, "second", 2)
    assert (read_committed(folder), list_ours(folder)) == (
        records("second", 2),
        ["_manifest.json", second],
    )
    third = commit(folder, "third", 4, "jsonl.gz")
    assert list_ours(folder) == ["_manifest.json", third]
    lines = gzip.decompress((folder / third).read_bytes()).splitlines()
    assert [msgspec.json.decode(line) for line in lines] == records("third", 4)


def test_a_run_without_records_leaves_an_empty_object_and_a_manifest(place: str) -> None:
    folder = folder_at(place)
    output = transfer([], FolderDestination(folder), RUN)
    assert (folder / output.files[0]).read_bytes() == b""
    assert msgspec.json.decode((folder / "_manifest.json").read_bytes())["rows"] == 0


def test_what_another_process_wrote_is_seen_at_once(place: str) -> None:
    folder = folder_at(place)
    commit(folder, "mine", 2)
    assert list_ours(folder)  # listings are kept by s3fs and adlfs
    other = AttemptProcess(place, OPENER, "other", 3)
    other.let_go()
    assert other.outcome() == "won"
    assert read_committed(folder) == records("other", 3)
    mine = commit(folder, "mine again", 2)
    assert list_ours(folder) == ["_manifest.json", mine]


def broken(error: BaseException) -> Iterator[Page]:
    yield Page(records("broken", 40_000), 1, "", 0)
    raise error


@pytest.mark.parametrize("file_format", ["jsonl", "jsonl.gz"])
def test_an_exception_in_the_middle_commits_nothing(
    place: str, file_format: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_at(place)
    # The least that S3 takes as a part: the upload is under way when the exception comes.
    monkeypatch.setattr(type(folder.fs), "default_block_size", 5 * 2**20, raising=False)
    monkeypatch.setattr(type(folder.fs), "blocksize", 5 * 2**20, raising=False)
    first = commit(folder, "first", 3)
    for error in (ValueError("x"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            transfer(broken(error), FolderDestination(folder, file_format), RUN)
    assert read_committed(folder) == records("first", 3)
    assert list_ours(folder) == ["_manifest.json", first]
    if place.startswith("s3"):
        assert folder.fs.list_multipart_uploads(folder.path.partition("/")[0]) == []


def test_more_than_one_upload_part_arrives_whole(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_at(place)
    monkeypatch.setattr(type(folder.fs), "default_block_size", 5 * 2**20, raising=False)
    monkeypatch.setattr(type(folder.fs), "blocksize", 5 * 2**20, raising=False)
    pad = "x" * 4096
    pages = (Page([{"pad": pad, "n": n}], 1, "", n) for n in range(3000))
    output = transfer(pages, FolderDestination(folder), RUN)
    assert output.bytes > 11 * 2**20
    data = (folder / output.files[0]).read_bytes()
    assert [msgspec.json.decode(line)["n"] for line in data.splitlines()] == list(range(3000))


@pytest.mark.parametrize(
    ("die_at", "seen"),
    [
        ("oauth_taskflow.destinations.folder_writer:FolderWriter.commit", "old"),
        (f"{FOLDER}.replace", "old"),
        (f"{FOLDER}.remove", "killed"),
    ],
    ids=["uploading", "uploaded", "committed"],
)
def test_a_killed_attempt_shows_all_or_nothing_and_the_next_one_removes_its_files(
    place: str, die_at: str, seen: str
) -> None:
    folder = folder_at(place)
    commit(folder, "old", 3)
    killed = AttemptProcess(place, OPENER, "killed", 500, die_at)
    killed.wait_until_ready()
    killed.let_go()
    assert killed.outcome() == "killed"
    found = read_committed(folder)
    assert found is not None
    assert found[0]["tag"] == seen
    last = commit(folder, "next", 4)
    assert read_committed(folder) == records("next", 4)
    assert list_ours(folder) == ["_manifest.json", last]


def test_when_processes_commit_at_once_one_wins_and_its_output_is_whole(
    place: str,
) -> None:
    folder = folder_at(place)
    for turn in range(2):  # a new prefix, then one with an output
        tags = [f"{turn}-{n}" for n in range(4)]
        outcomes = race(place, OPENER, tags, 300)
        assert sorted(outcomes) == ["lost"] * 3 + ["won"]
        found = read_committed(folder)
        assert found is not None
        assert found[0]["tag"] == tags[outcomes.index("won")]
        assert len(list_ours(folder)) == 2


def test_a_commit_whose_answer_was_lost_counts(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_at(place)
    commit(folder, "old", 2)
    writer = FolderDestination(folder).open(RUN)
    writer.write(records("new", 3))
    replace = type(output_folder(folder)).replace  # type: ignore[attr-defined]

    def twice(self: Any, *args: Any) -> None:
        replace(self, *args)
        replace(self, *args)  # as a library does that got no answer

    monkeypatch.setattr(type(output_folder(folder)), "replace", twice)
    writer.commit(summary(3))
    assert read_committed(folder) == records("new", 3)


def test_stale_instances_are_removed_and_others_with_similar_names_stay(place: str) -> None:
    base = folder_at(place)
    for index in (0, 1, 10, 11):
        commit(base / f"map_index={index}", str(index), 1)
    assert FolderDestination(base).remove_stale({0: None, 10: None, 11: None}) == 1
    assert [has_output(base / f"map_index={n}") for n in (0, 1, 10, 11)] == [
        True,
        False,
        True,
        True,
    ]
    assert FolderDestination(base / "nothing here").remove_stale({0: None}) == 0


def test_outputs_in_folders_below_stay(place: str) -> None:
    base = folder_at(place)
    below = [base / "run_id=a", base / "day=1" / "run_id=b", base / "day=2"]
    for folder in below:
        commit(folder, folder.name, 2)
    levels = [FieldPartition(field="tag", name="day")]
    pages = [Page(records("3", 2), 1, "", 0)]
    transfer(pages, PartitionedDestination(base, levels=levels), RUN)
    commit(base, "base", 1)
    assert read_committed(base) == records("base", 1)
    assert not list_ours(base / "day=3")
    assert FolderDestination(base).remove_stale({}) == 1
    assert not list_ours(base)
    assert [read_committed(folder) for folder in below] == [records(f.name, 2) for f in below]


def test_the_marker_of_an_empty_folder_does_not_count_as_output(place: str) -> None:
    folder = folder_at(place)
    folder.fs.pipe_file(f"{folder.path.rstrip('/')}/", b"")  # what consoles make
    assert list_ours(folder) == []
    assert FolderDestination(folder).remove_stale({}) == 0
    commit(folder, "a", 2)
    assert read_committed(folder) == records("a", 2)


@pytest.mark.parametrize("scheme", ["s3", "abfs"])
def test_a_missing_bucket_is_found_before_anything_is_pulled(servers: None, scheme: str) -> None:
    asked: list[int] = []

    def pages() -> Iterator[Page]:
        asked.append(1)
        yield Page([], 1, "", 0)

    folder = open_path(f"{scheme}://no-such-bucket/x", scheme)
    with pytest.raises(DestinationError) as caught:
        transfer(pages(), FolderDestination(folder), RUN)
    assert "does not exist" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert asked == []


def test_the_url_may_name_the_connection(servers: None, tmp_path: Path) -> None:
    for scheme in ("s3", "abfs"):
        folder = open_path(f"{scheme}://{scheme}@lake/{tmp_path.name} in url")
        commit(folder, "a", 1)
        assert read_committed(folder) == records("a", 1)
