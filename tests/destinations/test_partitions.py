"""Partitioned output: a folder for each value, found by Hive's rules, with few files open at once."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.destinations import partitioned_writer
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.files import FileDestination, FolderDestination, remove_output
from oauth_taskflow.destinations.partitioned_writer import PartitionedDestination
from oauth_taskflow.destinations.partitions import (
    NO_VALUE,
    FieldPartition,
    Partitioner,
    name_folder,
)
from oauth_taskflow.destinations.transfer import transfer
from oauth_taskflow.errors import DestinationError, InvalidRecord
from tests.destinations.attempts import RUN, summary

BY_COUNTRY = [FieldPartition(field="country")]
_numbers = itertools.count()
ROOT = Path(__file__).resolve().parents[2]


def commit(
    folder: Any, records: list[Any], levels: Any = BY_COUNTRY, name: str = "jsonl", **options: Any
) -> Any:
    destination = PartitionedDestination(folder, name, levels=levels, **options)
    pages = [Page(records[at : at + 3], 1, "", 0) for at in range(0, len(records), 3)]
    return transfer(pages, destination, RUN)


def all_files(folder: Path) -> list[str]:
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    return sorted(found)


def manifest(folder: Path) -> Any:
    return json.loads((folder / "_manifest.json").read_bytes())


def test_each_value_has_a_folder_and_the_manifest_names_it(tmp_path: Path) -> None:
    records = [{"id": n, "country": ["de", "fr", None][n % 3]} for n in range(7)]
    records.append({"id": 7})
    output = commit(tmp_path, records)
    assert all_files(tmp_path) == [
        "_manifest.json",
        f"country={NO_VALUE}",
        f"country={NO_VALUE}/part-00000.jsonl",
        "country=de",
        "country=de/part-00000.jsonl",
        "country=fr",
        "country=fr/part-00000.jsonl",
    ]
    files = manifest(tmp_path)["files"]
    assert [(file["partition"], file["rows"]) for file in files] == [
        ({"country": None}, 3),
        ({"country": "de"}, 3),
        ({"country": "fr"}, 2),
    ]
    destination = FolderDestination(tmp_path)
    parts = destination.describe(output).parts
    read = [one for part in parts for one in destination.read(part.path, 0, part.rows)]
    assert sorted(read, key=lambda one: one["id"]) == records
    assert [part.rows for part in parts] == [3, 3, 2]


@pytest.mark.parametrize(
    ("by", "folders"),
    [
        ("year", {"at_year=2026"}),
        ("month", {"at_month=2026-01", "at_month=2026-02"}),
        ("day", {"at_day=2026-01-31", "at_day=2026-02-01"}),
        ("hour", {"at_hour=2026-01-31T23", "at_hour=2026-02-01T00"}),
    ],
)
def test_dates_are_cut_off_in_utc(tmp_path: Path, by: Any, folders: set[str]) -> None:
    dates = ["2026-01-31T23:59:59Z", "2026-01-31T22:30:00-01:00", "2026-02-01T00:00:00.5+00:00"]
    commit(tmp_path, [{"at": at} for at in dates], [FieldPartition(field="at", by=by)])
    found = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert found == folders
    commit(tmp_path, [{"at": None}, {"at": ""}], [FieldPartition(field="at", by=by)])
    assert {path.name for path in tmp_path.iterdir()} == {"_manifest.json", f"at_{by}={NO_VALUE}"}


def test_levels_nest_and_take_fields_within_objects(tmp_path: Path) -> None:
    levels = [FieldPartition(field="a.b"), FieldPartition(field="n", name="number")]
    records = [
        {"a": {"b": True}, "n": 1.50},
        msgspec.Raw(b'{"n": 1.50, "a": {"b": "x/y"}}'),
        {"a": 1},
    ]
    commit(tmp_path, records, levels)
    assert [file["name"] for file in manifest(tmp_path)["files"]] == [
        f"b={NO_VALUE}/number={NO_VALUE}/part-00000.jsonl",
        "b=true/number=1.5/part-00000.jsonl",
        "b=x%2Fy/number=1.50/part-00000.jsonl",
    ]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_other_tools_read_the_value_from_the_folder(value: str) -> None:
    dataset = pytest.importorskip("pyarrow.dataset")
    arrow = pytest.importorskip("pyarrow")
    folder = name_folder("v", value)
    assert "/" not in folder
    schema = arrow.schema([("v", arrow.string())])
    parsed = dataset.HivePartitioning(schema, segment_encoding="uri").parse(f"/{folder}/")
    assert str(parsed) == str(dataset.field("v") == arrow.scalar(value))


def test_a_text_like_the_name_for_no_value_is_another_partition(tmp_path: Path) -> None:
    commit(tmp_path, [{"country": NO_VALUE}, {"country": None}])
    assert len(manifest(tmp_path)["files"]) == 2


@pytest.mark.parametrize(
    ("record", "by", "said"),
    [
        ({"at": [1]}, None, "at has a list, which names no partition"),
        ({"at": {"a": 1}}, None, "at has an object"),
        ({"at": "soon"}, "day", "at names no partition"),
        ({"at": "x" * 300}, None, "too long for the name of a folder: 303 bytes of 255"),
        ({"at": "\ud800"}, None, "A record cannot be partitioned .*surrogates not allowed"),
        ([1], None, "A record cannot be partitioned"),
    ],
)
def test_a_value_that_names_no_partition_is_one_clear_error(
    tmp_path: Path, record: Any, by: Any, said: str
) -> None:
    with pytest.raises(InvalidRecord, match=said) as caught:
        commit(tmp_path, [{"at": "2026-01-01"}, record], [FieldPartition(field="at", by=by)])
    assert f"at {tmp_path}" in str(caught.value)
    assert all_files(tmp_path) == []


def test_a_rerun_removes_the_folders_that_it_no_longer_has(tmp_path: Path) -> None:
    commit(tmp_path, [{"country": "de"}, {"country": "fr"}])
    mapped = tmp_path / "map_index=3"
    transfer([Page([{"a": 1}], 1, "", 0)], FolderDestination(mapped), RUN)
    (tmp_path / "country=fr" / "notes.txt").write_text("mine")
    commit(tmp_path, [{"country": "it"}])
    assert all_files(tmp_path) == [
        "_manifest.json",
        "country=fr",
        "country=fr/notes.txt",
        "country=it",
        "country=it/part-00000.jsonl",
        "map_index=3",
        "map_index=3/_manifest.json",
        "map_index=3/part-00000.jsonl",
    ]
    transfer([], FolderDestination(tmp_path), RUN)
    assert "country=it" not in all_files(tmp_path)
    commit(tmp_path, [{"country": "it"}])
    destination = PartitionedDestination(tmp_path, levels=BY_COUNTRY)
    assert destination.remove_stale({3: None}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["country=fr", "map_index=3"]
    assert remove_output(mapped)


def test_no_records_leave_a_manifest_without_files(tmp_path: Path) -> None:
    output = commit(tmp_path, [])
    assert (output.files, output.bytes, manifest(tmp_path)["files"]) == ((), 0, [])
    assert all_files(tmp_path) == ["_manifest.json"]


def test_a_failed_attempt_leaves_nothing(tmp_path: Path) -> None:
    writer = PartitionedDestination(tmp_path, levels=BY_COUNTRY).open(RUN)
    writer.write([{"country": str(n)} for n in range(50)])
    for folder in list(writer._held):
        writer._write_held(folder)
    assert len(all_files(tmp_path)) == 101  # folders, files, and the temporary manifest
    writer.abort()
    assert all_files(tmp_path) == []


@pytest.mark.parametrize("name", ["jsonl", "jsonl.gz", "csv"])
def test_a_part_rests_and_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(partitioned_writer, "MOST_OPEN", 2)
    monkeypatch.setattr(partitioned_writer, "HELD_BYTES", 100)
    records = [{"country": str(n % 7), "n": str(n)} for n in range(200)]
    commit(tmp_path, records, name=name)
    files = manifest(tmp_path)["files"]
    by_partition = Counter(file["partition"]["country"] for file in files)
    assert set(by_partition.values()) == {1} if name != "csv" else min(by_partition.values()) > 1
    destination = FolderDestination(tmp_path, name)
    read = [
        one
        for file in files
        for one in destination.read(str(tmp_path / file["name"]), 0, file["rows"])
    ]
    assert sorted(read, key=lambda one: int(one["n"])) == records
    if name == "jsonl.gz":
        assert all(gzip.decompress((tmp_path / file["name"]).read_bytes()) for file in files)


def test_a_store_holds_partitions_alike() -> None:
    folder = UPath(f"memory://partitions-{os.getpid()}-{next(_numbers)}/out")
    records = [{"country": c, "n": n} for n, c in enumerate(["a b", "é", "x:y", None] * 3)]
    for _ in range(2):
        output = commit(folder, records)
        assert len(folder.fs.find(folder.path)) == 5
        found = json.loads((folder / "_manifest.json").read_bytes())["files"]
        assert sorted(file["rows"] for file in found) == [3, 3, 3, 3]
        assert [file["name"] for file in found] == list(output.files)
    PartitionedDestination(folder, levels=BY_COUNTRY).remove_stale({})
    assert folder.fs.find(folder.path) == []


def test_the_options_of_a_spec_say_the_levels(tmp_path: Path) -> None:
    options = msgspec.convert(
        {"path": str(tmp_path), "partition_by": ["country", {"field": "at", "by": "month"}]},
        FileDestination,
    )
    destination = options.connect(
        options.locate(str, "r"), StoreAccess(lambda path, _conn_id: Path(path))
    )
    assert isinstance(destination, PartitionedDestination)
    assert not destination.is_resumable
    output = transfer([Page([{"country": "de", "at": "2026-03-01"}], 1, "", 0)], destination, RUN)
    assert output.files == ("country=de/at_month=2026-03/part-00000.jsonl",)


@pytest.mark.slow
def test_a_thousand_partitions_need_few_open_files(tmp_path: Path) -> None:
    code = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from oauth_taskflow.destinations import partitioned_writer\n"
        "from oauth_taskflow.destinations.base import Run\n"
        "from oauth_taskflow.destinations.partitioned_writer import PartitionedDestination\n"
        "from oauth_taskflow.destinations.partitions import FieldPartition\n"
        "from tests.destinations.attempts import summary\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))\n"
        "partitioned_writer.HELD_BYTES = 20_000\n"
        "place = PartitionedDestination(Path(sys.argv[1]), levels=[FieldPartition(field='k')])\n"
        "writer = place.open(Run('x'))\n"
        "for n in range(40):\n"
        "    writer.write([{'k': str(k), 'n': n} for k in range(1000)])\n"
        "print(len(writer.commit(summary(1)).files))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "1000\n"
    assert sum(path.read_bytes().count(b"\n") for path in tmp_path.glob("k=*/*")) == 40_000


def test_of_two_attempts_the_first_to_commit_wins(tmp_path: Path) -> None:
    destination = PartitionedDestination(tmp_path, levels=BY_COUNTRY)
    writers = [destination.open(RUN) for _ in range(2)]
    for number, writer in enumerate(writers):
        writer.write([{"country": "de", "of": number}, {"country": str(number)}])
    writers[1].commit(summary(2))
    with pytest.raises(DestinationError, match="Another attempt of the same run committed"):
        writers[0].commit(summary(2))
    writers[0].abort()
    assert json.loads((tmp_path / "country=de" / "part-00000.jsonl").read_bytes())["of"] == 1
    assert all_files(tmp_path) == [
        "_manifest.json",
        "country=1",
        "country=1/part-00000.jsonl",
        "country=de",
        "country=de/part-00000.jsonl",
    ]


def test_a_partition_is_found_without_decoding_the_rest() -> None:
    found = Partitioner(BY_COUNTRY).find(msgspec.Raw(b'{"x": 9007199254740993, "country": 1e3}'))
    assert (found.folder, found.values) == ("country=1e3", {"country": "1e3"})


@pytest.mark.parametrize("empty", [None, "", "0000-00-00"])
def test_an_empty_date_is_in_the_partition_without_value(tmp_path: Path, empty: Any) -> None:
    commit(tmp_path, [{"at": empty}], [FieldPartition(field="at", by="day")])
    assert f"at_day={NO_VALUE}" in all_files(tmp_path)


def remove_new_folders(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Acts as other attempts that end: each new folder of a country goes at once, so many times."""
    real, left = Path.mkdir, itertools.count()

    def make(path: Path, *given: Any, **named: Any) -> None:
        real(path, *given, **named)
        if path.name.startswith("country=") and next(left) < times:
            path.rmdir()

    monkeypatch.setattr(Path, "mkdir", make)


def test_a_partition_that_another_attempt_removes_while_it_is_empty_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_new_folders(monkeypatch, 3)
    commit(tmp_path, [{"id": 1, "country": "de"}])
    assert "country=de/part-00000.jsonl" in all_files(tmp_path)


def test_a_partition_that_never_stays_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_new_folders(monkeypatch, 1_000)
    with pytest.raises(DestinationError, match="removed again and again"):
        commit(tmp_path, [{"id": 1, "country": "de"}])
    assert all_files(tmp_path) == []


def test_a_partition_that_goes_while_a_commit_looks_through_it_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(tmp_path, [{"id": 1, "country": "de"}])
    gone = tmp_path / "country=fr"
    gone.mkdir()
    real = os.scandir

    def scan(path: Any) -> Any:
        if Path(path) == gone:
            gone.rmdir()
        return real(path)

    monkeypatch.setattr(os, "scandir", scan)
    commit(tmp_path, [{"id": 2, "country": "de"}])
    assert all_files(tmp_path) == ["_manifest.json", "country=de", "country=de/part-00000.jsonl"]
