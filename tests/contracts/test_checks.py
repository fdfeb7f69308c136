"""Checks of a run's records: what they count, and what they say."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from oauth_taskflow.contracts.check_options import Checks, CheckSet
from oauth_taskflow.contracts.checks import CheckRun, Totals
from oauth_taskflow.contracts.last_run import name_drift
from oauth_taskflow.record_schema.json_schema import schema_to_json
from oauth_taskflow.record_values import apply_policy
from tests.support.schemas import observe_all
from tests.support.values import HIDE_ALL


def raw(record: Any) -> msgspec.Raw:
    return msgspec.Raw(record.encode() if isinstance(record, str) else json.dumps(record).encode())


def check(checks: Checks, *records: Any, **totals: Any) -> list[str]:
    """The texts of what fails."""
    run = CheckRun(checks)
    run.look([raw(record) for record in records])
    return run.describe(Totals(rows=len(records), **totals))[0]


def test_absent_and_null_are_no_values() -> None:
    records = [{"a": {"b": 1}}, {"a": {"b": None}}, {"a": {}}, {"a": 5}, {"a": None}, {}]
    assert check(Checks(not_null=["a.b"]), *records) == [
        "not_null: 5 of 6 records have no value in 'a.b'"
    ]
    assert check(Checks(not_null=["a.b"]), records[0]) == []


def test_repeated_values_are_counted_however_they_are_written() -> None:
    records = ['{"e":"\\u00e9"}', '{"e":"é"}', {"e": None}, {"e": None}, {}, {"e": 1}, {"e": True}]
    assert check(Checks(unique=["e"]), *records) == [
        "unique: 1 of 7 records repeat 'e', such as the text 'é'"
    ]
    pairs = [{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 1}]
    assert check(Checks(unique=[["a", "b"]]), *pairs) == [
        "unique: 1 of 3 records repeat 'a, b', such as the number '1'"
    ]


def test_other_values_are_named_by_three_examples_of_forty_characters() -> None:
    records = [
        {"s": "x" * 100},
        *({"s": value} for value in ("a", "b", "c", "open", None, True, 1)),
    ]
    (text,) = check(Checks(accepted_values={"s": ["open", 1]}), *records)
    assert text == (
        "accepted_values: 5 of 8 records have another value in 's', such as the text "
        f"'{'x' * 40}'…, the text 'a', the text 'b'"
    )
    with apply_policy(HIDE_ALL):
        (text,) = check(Checks(accepted_values={"s": ["open"]}), {"s": "Jane Doe"})
    assert "Jane" not in text


@pytest.mark.parametrize(
    ("rows", "before", "expected"),
    [
        (80, 100, []),
        (120, 100, []),
        (0, None, []),
        (79, 100, ["max_change: 79 records after 100 in the run before (21.0%), and at most 20.0% may change"]),
        (1, 0, ["max_change: 1 records after 0 in the run before (all of them new), and at most 20.0% may change"]),
        (0, 0, []),
    ],
)  # fmt: skip
def test_the_number_of_rows_is_compared_with_the_run_before(
    rows: int, before: int | None, expected: list[str]
) -> None:
    run = CheckRun(Checks(max_change=0.2))
    assert run.describe(Totals(rows, before))[0] == expected
    assert run.describe(Totals(rows, before), whole=False)[0] == []


@pytest.mark.parametrize(
    ("latest", "form", "expected"),
    [
        ("2026-01-01T00:00:00Z", "any", ""),
        ("2025-12-31T00:00:00Z", "any", ""),
        ("2025-12-30T23:59:59Z", "any", "1 day, 0:00:01 ago, and at most P1D are expected"),
        (1767225600, "epoch", ""),
        (None, "any", "freshness: no record has a time, and one within P1D is expected"),
    ],
)
def test_the_latest_record_is_not_too_old(latest: Any, form: str, expected: str) -> None:
    now = 1767225600.0  # 2026-01-01
    found = CheckRun(Checks(freshness="P1D")).describe(Totals(1, None, latest, now, form))[0]
    assert len(found) == bool(expected)
    assert expected in "".join(found)


def test_a_check_may_fail_at_one_bound_and_warn_at_another() -> None:
    run = CheckRun(Checks(min_rows=10, warn=CheckSet(min_rows=100, not_null=["a"])))
    run.look([raw({})])
    assert run.describe(Totals(50)) == (
        [],
        [
            "not_null: 1 of 50 records have no value in 'a'",
            "min_rows: 50 records, and at least 100 are expected",
        ],
    )
    assert run.describe(Totals(9))[0] == ["min_rows: 9 records, and at least 10 are expected"]


def test_another_attempt_goes_on_with_the_counts() -> None:
    checks = Checks(not_null=["a"], unique=["b"], accepted_values={"c": [1]})
    first, again, whole = CheckRun(checks), CheckRun(checks), CheckRun(checks)
    before, after = [raw({"b": 1, "c": 2})], [raw({"a": 1, "b": 1, "c": 1})]
    first.look(before)
    again.restore(json.loads(json.dumps(first.save())))
    again.look(before, again=True)
    again.look(after)
    whole.look([*before, *after])
    assert again.describe(Totals(2)) == whole.describe(Totals(2))
    assert len(whole.describe(Totals(2))[0]) == 3


def test_drift_names_new_fields_and_types_that_do_not_fit() -> None:
    before = observe_all([raw({"id": 1, "n": 1.5, "o": {"a": 1}, "l": [1], "gone": 1, "z": None})])
    after = observe_all(
        [raw({"id": "x", "n": 2, "o": {"a": "t", "b": 1}, "l": [{}], "new": [], "z": 1})]
    )
    assert name_drift(schema_to_json(before), after) == [
        "field 'id' was integer, and is now text",
        "field 'o.a' was integer, and is now text",
        "new field 'o.b' (integer)",
        "field 'l[]' was integer, and is now object",
        "new field 'new' (list)",
    ]
    assert name_drift(schema_to_json(after), after) == []
