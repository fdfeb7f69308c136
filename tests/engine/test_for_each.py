from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.engine.for_each import (
    ParentFile,
    Slice,
    build_mapped_items,
    for_each_options,
    item_label,
    template_contexts,
)
from oauth_taskflow.errors import ApiError
from oauth_taskflow.specs.model import Endpoint, ForEachOptions


def local(path: str, _conn_id: str | None) -> Any:
    return Path(path)


def records(folder: Path, count: int, *, name: str = "a.jsonl") -> ParentFile:
    path = folder / name
    lines = b"".join(json.dumps({"id": n}).encode() + b"\n" for n in range(count))
    path.write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)
    return ParentFile(file=str(path), rows=count)


def test_the_three_spellings_of_for_each_mean_what_they_say() -> None:
    spelled = Endpoint(
        for_each={"a": "parent", "b": ["x", 1], "c": ForEachOptions(endpoint="parent", batch=7)}
    )
    options = for_each_options(spelled)
    assert options["a"] == ForEachOptions(endpoint="parent")
    assert options["b"] == ForEachOptions(values=["x", 1])
    assert options["c"].batch == 7


def test_lists_multiply() -> None:
    options = {"a": ForEachOptions(values=[1, 2]), "b": ForEachOptions(values=["x", "y"])}
    shown = [item_label(msgspec.to_builtins(item)) for item in build_mapped_items(options, {})]
    assert shown == ["a=1 b=x", "a=1 b=y", "a=2 b=x", "a=2 b=y"]


def test_parent_records_come_in_batches_and_every_record_once(tmp_path: Path) -> None:
    options = {"c": ForEachOptions(endpoint="p", batch=4)}
    batches = build_mapped_items(options, {"p": [records(tmp_path, 10)]})
    assert [(b["c"].skip, b["c"].take) for b in batches] == [(0, 4), (4, 4), (8, 2)]
    seen = [
        names["c"]["id"]
        for item in batches
        for names in template_contexts(item, StoreAccess(local))
    ]
    assert seen == list(range(10))


def test_batches_grow_to_stay_below_the_most_that_airflow_maps() -> None:
    parent = ParentFile(file="f", rows=10_000)
    batches = build_mapped_items(
        {"c": ForEachOptions(endpoint="p", batch=1)}, {"p": [parent]}, most=100
    )
    assert len(batches) <= 100
    assert sum(item["c"].take for item in batches) == 10_000


def test_more_parent_files_than_airflow_maps_still_give_batches() -> None:
    parents = [ParentFile(file=str(n), rows=3) for n in range(20)]
    batches = build_mapped_items(
        {"c": ForEachOptions(endpoint="p", batch=1)}, {"p": parents}, most=10
    )
    assert sum(item["c"].take for item in batches) == 60


def test_without_parent_records_there_are_no_mapped_items() -> None:
    options = {"c": ForEachOptions(endpoint="p"), "r": ForEachOptions(values=["eu"])}
    assert build_mapped_items(options, {"p": []}) == []


def test_compressed_parents_are_read_too(tmp_path: Path) -> None:
    parent = records(tmp_path, 3, name="a.jsonl.gz")
    item = {"c": Slice(file=parent.file, skip=1, take=2), "r": Slice(value="eu")}
    assert list(template_contexts(item, StoreAccess(local))) == [
        {"c": {"id": 1}, "r": "eu"},
        {"c": {"id": 2}, "r": "eu"},
    ]


def test_a_parent_file_that_is_gone_is_named() -> None:
    with pytest.raises(ApiError) as caught:
        list(template_contexts({"c": Slice(file="/nowhere/x.jsonl", take=1)}, StoreAccess(local)))
    assert str(caught.value) == (
        "Records of the parent endpoint are gone at /nowhere/x.jsonl. Run the parent task again; "
        "every worker must reach its destination."
    )
