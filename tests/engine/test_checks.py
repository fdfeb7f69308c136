"""``checks`` of a spec, before anything is committed; and drift against the run before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.contracts.check_options import Checks
from oauth_taskflow.contracts.last_run import LastRun
from oauth_taskflow.engine.checks_stage import watermark_form
from oauth_taskflow.engine.comparisons import compare_total
from oauth_taskflow.engine.summary import EndpointSummary, add_up
from oauth_taskflow.errors import InvalidRecord, OAuthTaskflowError
from oauth_taskflow.specs.windows import Interval
from tests.engine.yaml_run import Pulled, pull_yaml, read_endpoint, utc

INTERVAL = Interval(None, utc(2026, 1, 1))
SPEC = "request: {path: /items}\nrecords: data\n"
SCHEMA = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}


def pull(options: str, records: list[Any], folder: Path, **more: Any) -> Pulled:
    return pull_yaml(SPEC + options, INTERVAL, lambda _: {"data": records}, folder, **more)


def last_run() -> LastRun:
    return LastRun("before", 10, SCHEMA)


def test_a_failing_check_leaves_the_output_of_the_run_before(tmp_path: Path) -> None:
    pull("", [{"id": 1}], tmp_path)
    checks = "checks: {min_rows: 2, not_null: [email]}"
    with pytest.raises(InvalidRecord) as refused:
        pull(checks, [{"id": 2}], tmp_path)
    assert str(refused.value) == (
        "The checks refuse the output: not_null: 1 of 1 records have no value in 'email'; min_rows: 1 records, and at "
        "least 2 are expected. Nothing was committed. Correct the data at its source, or checks in the spec; "
        "checks.warn only warns."
    )
    (part,) = tmp_path.rglob("part-*")
    assert json.loads(part.read_text()) == {"id": 1}


def test_a_warning_check_is_in_summary_and_manifest(tmp_path: Path) -> None:
    done = pull("checks: {warn: {min_rows: 2}}", [{"id": 1}], tmp_path)
    text = "checks.warn.min_rows: 1 records, and at least 2 are expected."
    assert done.summary.warnings == done.manifest["warnings"] == [text]


# By its name, each kind of check with a bound that the records below do not keep.
EACH = {
    "min_rows": "3",
    "max_change": "0.5",
    "not_null": "[email]",
    "unique": "[city]",
    "accepted_values": "{city: [bonn]}",
    "freshness": "P1D",
}
STALE = [{"id": number, "city": "ulm", "at": "2025-06-01T00:00:00Z"} for number in range(2)]


def test_every_kind_of_check_is_among_those_below() -> None:
    assert set(EACH) | {"warn"} == set(Checks.__struct_fields__)


@pytest.mark.parametrize("name", list(EACH))
def test_each_kind_of_check_fails_before_the_commit_or_warns(tmp_path: Path, name: str) -> None:
    spec = "incremental: {field: at, start: 2025-01-01}\nchecks: "
    more: dict[str, Any] = {"find_last_run": last_run}
    with pytest.raises(InvalidRecord, match=f"The checks refuse the output: {name}: "):
        pull(f"{spec}{{{name}: {EACH[name]}}}", STALE, tmp_path, **more)
    assert list(tmp_path.rglob("*")) == []
    done = pull(f"{spec}{{warn: {{{name}: {EACH[name]}}}}}", STALE, tmp_path, **more)
    (warning,) = done.summary.warnings
    assert warning.startswith(f"checks.warn.{name}: ")
    assert done.manifest["warnings"] == [warning]
    assert done.records == STALE


def test_checks_see_what_is_written(tmp_path: Path) -> None:
    options = "primary_key: id\nwhere: id\nchecks: {unique: [id], not_null: [id]}"
    assert pull(options, [{"id": 1}, {"id": 1}, {}], tmp_path).ids == [1]


def test_rows_are_compared_with_the_run_before(tmp_path: Path) -> None:
    checks = "checks: {max_change: 0.5}"
    with pytest.raises(InvalidRecord, match=r"1 records after 10 in the run before \(90.0%\)"):
        pull(checks, [{"id": 1}], tmp_path, find_last_run=last_run)
    assert pull(checks, [{"id": 1}], tmp_path).summary.rows == 1


def test_the_run_before_is_looked_up_only_where_it_is_needed(tmp_path: Path) -> None:
    def fail() -> LastRun | None:
        raise OAuthTaskflowError("Airflow is away")

    assert pull("checks: {min_rows: 1}", [{"id": 1}], tmp_path, find_last_run=fail).summary.rows
    with pytest.raises(OAuthTaskflowError, match="Airflow is away"):
        pull("checks: {max_change: 1}", [{"id": 1}], tmp_path, find_last_run=fail)
    done = pull("contract: evolve", [{"id": 1}], tmp_path, find_last_run=fail)
    assert done.summary.warnings == [
        "contract: whether the schema changed is unknown: Airflow is away."
    ]


def test_drift_is_in_summary_manifest_and_warnings(tmp_path: Path) -> None:
    done = pull("contract: evolve", [{"id": 1, "new": "x"}], tmp_path, find_last_run=last_run)
    assert done.summary.drift == done.manifest["drift"] == ["new field 'new' (text)"]
    assert done.summary.warnings == ["contract: since the run before: new field 'new' (text)."]
    same = pull("contract: evolve", [{"id": 1}], tmp_path, find_last_run=last_run)
    assert same.summary.drift == []


def summary(rows: int, schema: Any = None) -> EndpointSummary:
    figures: Any = {"pages": 1, "sequences": 1, "bytes": 1, "received_bytes": 1, "seconds": 1}
    return EndpointSummary(endpoint="x", rows=rows, files=[], manifest="", schema=schema, **figures)


def test_totals_of_mapped_instances_are_checked_together(tmp_path: Path) -> None:
    options = "for_each: {x: [a, b]}\nchecks: {min_rows: 3, max_change: 0.5}\n"
    spec = SPEC.replace("/items", '"/items/{{ x }}"') + options
    endpoint = read_endpoint(spec)
    alone = pull_yaml(
        SPEC + options.partition("\n")[2],
        INTERVAL,
        lambda _: {"data": [{"id": 1}]},
        tmp_path,
        map_index=0,
    )
    assert alone.summary.rows == 1
    assert compare_total(add_up("x", [summary(4), summary(5)]), endpoint, last_run).rows == 9
    with pytest.raises(InvalidRecord, match="min_rows: 2 records"):
        compare_total(add_up("x", [summary(1), summary(1)]), endpoint, lambda: None)


def test_drift_of_mapped_instances_is_found_in_their_united_schema() -> None:
    endpoint = read_endpoint(SPEC + "contract: evolve")
    other = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
    total = compare_total(add_up("x", [summary(1, SCHEMA), summary(1, other)]), endpoint, last_run)
    assert total.drift == ["field 'id' was integer, and is now json"]
    assert total.warnings == [
        "contract: since the run before: field 'id' was integer, and is now json."
    ]


def test_totals_that_are_only_to_warn_do_not_fail() -> None:
    options = "for_each: {x: [a, b]}\nchecks: {min_rows: 1, warn: {min_rows: 3}}\n"
    endpoint = read_endpoint(SPEC.replace("/items", '"/items/{{ x }}"') + options)
    total = compare_total(add_up("x", [summary(1), summary(1)]), endpoint, lambda: None)
    assert total.rows == 2
    (warning,) = total.warnings
    assert warning.startswith("checks.warn.min_rows: 2 records")


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("", "any"),
        (", field_format: iso", "iso"),
        (", field_format: [iso, '%d/%m/%Y']", ("iso", "%d/%m/%Y")),
    ],
)
def test_the_checks_read_the_watermark_in_the_form_of_the_field(written: str, form: Any) -> None:
    incremental = (
        f"incremental: {{field: at, start: 2026-01-01{written}}}\nchecks: {{min_rows: 1}}\n"
    )
    assert watermark_form(read_endpoint(SPEC + incremental)) == form
