"""``contract`` of a spec, from the pages of an API to manifest and summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.engine.output_location import endpoint_facts
from oauth_taskflow.engine.summary import EndpointSummary, add_up
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.specs.windows import Interval
from tests.engine.yaml_run import Pulled, pull_yaml, read_endpoint, utc

INTERVAL = Interval(None, utc(2026, 1, 1))
SPEC = """
request: {path: /items}
records: data
paginate: {type: next_url, next: next}
"""


def pull(contract: str, *pages: list[Any], folder: Path) -> Pulled:
    def answer(request: Any) -> Any:
        number = int(request.query.get("at", 0))
        more = f"/items?at={number + 1}" if number + 1 < len(pages) else None
        return {"data": pages[number], "next": more}

    return pull_yaml(SPEC + contract, INTERVAL, answer, folder)


def test_the_observed_schema_is_in_manifest_and_summary(tmp_path: Path) -> None:
    done = pull("contract: evolve", [{"id": 1}], [{"id": 2, "at": "x"}], folder=tmp_path)
    assert done.manifest["schema"]["properties"] == {
        "id": {"type": "integer"},
        "at": {"type": ["string", "null"]},
    }
    assert done.summary.as_dict()["schema"] == done.manifest["schema"]
    assert done.records == [{"id": 1}, {"id": 2, "at": "x"}]


def test_without_a_contract_nothing_is_observed(tmp_path: Path) -> None:
    done = pull("", [{"id": 1}], folder=tmp_path)
    assert "schema" not in done.manifest
    assert "schema" not in done.summary.as_dict()


def test_a_frozen_contract_leaves_nothing_behind(tmp_path: Path) -> None:
    contract = "contract: {columns: freeze, schema: {fields: {id: integer}}}"
    with pytest.raises(InvalidRecord, match=r"'new' \(text\) is not in the schema.*/items\?at=1"):
        pull(contract, [{"id": 1}], [{"id": 2, "new": "x"}], folder=tmp_path)
    assert list(tmp_path.rglob("part-*")) == []


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    contract = (
        "contract: {columns: discard_value, types: discard_row, schema: {fields: {id: integer}}}"
    )
    done = pull(contract, [{"id": 1, "x": 1}, {"id": "b"}], [{"id": 3, "x": 2}], folder=tmp_path)
    assert done.records == [{"id": 1}, {"id": 3}]
    assert (done.summary.rejected, done.summary.discarded) == (1, {"x": 2})
    assert (done.manifest["rejected"], done.manifest["discarded"]) == (1, {"x": 2})
    assert done.summary.warnings == [
        "contract: 2 values of 'x' were left out, since the schema does not have them so.",
        "contract: 1 records were left out, since they are not as the schema says.",
    ]


def test_fields_come_before_the_contract_and_keys_after(tmp_path: Path) -> None:
    spec = "fields: {names: snake_case}\nprimary_key: my_id\n"
    contract = spec + "contract: {columns: freeze, schema: {fields: {my_id: integer}}}"
    done = pull(contract, [{"myId": 1}, {"myId": 1}], folder=tmp_path)
    assert (done.records, done.summary.duplicates) == ([{"my_id": 1}], 1)


def test_a_destination_learns_the_given_schema() -> None:
    endpoint = read_endpoint(
        "request: {path: /a}\ncontract: {schema: {fields: {id: integer, 'x?': text}}}"
    )
    declared = endpoint_facts(endpoint).declared
    assert declared is not None
    assert list(declared.fields) == ["id", "x"]


def test_the_schemas_of_mapped_instances_are_united() -> None:
    def summary(schema: Any, **more: Any) -> EndpointSummary:
        figures: Any = {"rows": 1, "pages": 1, "sequences": 1, "bytes": 1, "received_bytes": 1}
        return EndpointSummary(
            endpoint="x", seconds=1, files=[], manifest="", schema=schema, **figures, **more
        )

    def schema(**properties: Any) -> Any:
        return {"type": "object", "properties": properties, "required": list(properties)}

    total = add_up(
        "x",
        [
            summary(schema(a={"type": "integer"}), rejected=2, discarded={"z": 1}),
            summary(schema(a={"type": "number"}, b={"type": "string"}), discarded={"z": 2}),
            summary(schema()),
        ],
    )
    assert total.schema == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema(a={"type": "number"}),
        "properties": {"a": {"type": "number"}, "b": {"type": ["string", "null"]}},
    }
    assert (total.rejected, total.discarded) == (2, {"z": 3})
