"""Rejected records, from the pages of an API to the quarantine file next to the output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.destinations.partitions import FieldPartition
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.specs.windows import Interval
from tests.engine.yaml_run import Pulled, pull_endpoint, pull_yaml, read_endpoint, utc

INTERVAL = Interval(None, utc(2026, 1, 1))
SPEC = """
request: {path: /items}
records: data
paginate: {type: next_url, next: next}
"""
CONTRACT = "contract: {types: discard_row, schema: {fields: {id: integer}}}\n"
CAST = "fields: {cast: {id: integer}, names: snake_case, on_error: quarantine}\n"
FILE = "_rejected-00000.jsonl"


def pull(spec: str, *pages: list[Any], folder: Path) -> Pulled:
    def answer(request: Any) -> Any:
        number = int(request.query.get("at", 0))
        more = f"/items?at={number + 1}&api_key=s3cr3t" if number + 1 < len(pages) else None
        return {"data": pages[number], "next": more}

    return pull_yaml(SPEC + spec, INTERVAL, answer, folder)


def read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_record_that_breaks_the_contract_is_beside_the_output(tmp_path: Path) -> None:
    done = pull(
        CONTRACT, [{"id": 1}, {"id": "x", "n": 0}], [{"id": 2.5}, {"id": 3}], folder=tmp_path
    )
    assert done.records == [{"id": 1}, {"id": 3}]
    first, second = read_lines(tmp_path / FILE)
    assert first == {
        "reason": "the field 'id' has text, and the schema says integer",
        "path": "id",
        "url": first["url"],
        "endpoint": "items",
        "record": {"id": "x", "n": 0},
    }
    assert "s3cr3t" not in (tmp_path / FILE).read_text()
    assert "/items?at=1&api_key=" in second["url"]
    assert done.summary.rejected == done.manifest["rejected"] == 2
    assert done.manifest["quarantine"]["rows"] == 2
    (file,) = done.manifest["quarantine"]["files"]
    assert (file["name"], file["rows"]) == (FILE, 2)
    assert file["bytes"] == (tmp_path / FILE).stat().st_size
    assert [Path(one.path).name for one in done.summary.files] == ["part-00000.jsonl"]


def test_a_failed_cast_goes_there_as_it_came(tmp_path: Path) -> None:
    done = pull(CAST, [{"id": "1"}, {"id": "x", "camelCase": [1.50]}], folder=tmp_path)
    assert done.records == [{"id": 1}]
    (line,) = read_lines(tmp_path / FILE)
    assert line["record"] == {"id": "x", "camelCase": [1.5]}
    assert (line["path"], line["reason"]) == (
        "id",
        "The field 'id' cannot be cast to integer without loss: it is the text 'x'",
    )
    assert done.summary.warnings == [
        "fields: 1 records went to quarantine, since they cannot be reshaped."
    ]


def test_a_clash_of_names_goes_there_too(tmp_path: Path) -> None:
    done = pull(CAST, [{"id": 1, "aB": 1, "a_b": 2}, {"id": 2}], folder=tmp_path)
    (line,) = read_lines(tmp_path / FILE)
    assert (done.ids, line["record"]["aB"], line["path"]) == ([2], 1, None)


def test_both_stages_reject_into_one_file(tmp_path: Path) -> None:
    schema = "contract: {columns: discard_row, schema: {fields: {id: integer}}}\n"
    done = pull(CAST + schema, [{"id": "x"}, {"id": "1", "N": 1}, {"id": 2}], folder=tmp_path)
    lines = read_lines(tmp_path / FILE)
    assert [line["record"] for line in lines] == [{"id": "x"}, {"id": 1, "n": 1}]
    assert (done.ids, done.summary.rejected) == ([2], 2)


def test_without_a_rejected_record_there_is_no_file(tmp_path: Path) -> None:
    pull(CONTRACT, [{"id": "x"}], folder=tmp_path)
    assert (tmp_path / FILE).exists()
    done = pull(CONTRACT, [{"id": 1}], folder=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "_manifest.json",
        "part-00000.jsonl",
    ]
    assert "quarantine" not in done.manifest
    assert "rejected" not in done.summary.as_dict()


def test_hashes_are_in_quarantine_and_not_what_they_hide(tmp_path: Path) -> None:
    spec = (
        "fields: {hash: [email]}\ncontract: {types: discard_row, schema: {fields: {id: integer}}}"
    )

    def answer(_request: Any) -> Any:
        return {"data": [{"id": "x", "email": "jane@example.com"}], "next": None}

    pull_yaml(SPEC + spec, INTERVAL, answer, tmp_path, hash_key="k" * 16)
    assert "jane" not in (tmp_path / FILE).read_text()
    assert len(read_lines(tmp_path / FILE)[0]["record"]["email"]) == 64


def test_too_many_rejected_records_fail_the_run(tmp_path: Path) -> None:
    limit = "quarantine: {max_records: 1}\n"
    assert pull(CONTRACT + limit, [{"id": "x"}], folder=tmp_path).summary.rejected == 1
    with pytest.raises(
        InvalidRecord,
        match=r"More than 1 records were rejected, the last one because the field 'id'",
    ):
        pull(CONTRACT + limit, [{"id": "x"}], [{"id": "y"}], folder=tmp_path)
    assert len(read_lines(tmp_path / FILE)) == 1


def test_checks_count_the_records_that_are_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecord, match="min_rows: 1 records"):
        pull(CONTRACT + "checks: {min_rows: 2}\n", [{"id": 1}, {"id": "x"}], folder=tmp_path)
    assert not (tmp_path / FILE).exists()


@pytest.mark.slow
def test_rejected_records_keep_bytes_of_any_kind(tmp_path: Path) -> None:
    record = {"id": "\x00", "big": "é" * 5_000_000, "n": 123456789012345678901234567890}
    pull(CONTRACT, [record], folder=tmp_path)
    assert read_lines(tmp_path / FILE)[0]["record"] == record


def test_records_with_partitions_have_one_file_of_rejected_ones(tmp_path: Path) -> None:
    endpoint = replace(
        read_endpoint(SPEC + CONTRACT),
        destination=FileDestination(path="/x", partition_by=(FieldPartition(field="land"),)),
    )
    done = pull_endpoint(
        endpoint,
        INTERVAL,
        lambda _: {"data": [{"id": 1, "land": "de"}, {"id": "x"}], "next": None},
        tmp_path,
    )
    assert done.manifest["quarantine"]["rows"] == 1
    assert read_lines(tmp_path / FILE)[0]["record"] == {"id": "x"}
