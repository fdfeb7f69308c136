"""The watermark: the highest value of a field, of one kind and to the last digit."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.pull.watermark import Watermark
from oauth_taskflow.errors import InvalidRecord


def highest(values: list[Any], **options: Any) -> Any:
    watermark = Watermark("at", **options)
    watermark.update([{"at": value} for value in values])
    return watermark.value


@pytest.mark.parametrize(
    ("numbers", "best"),
    [
        ("1.0000000000000000000001 1.0000000000000000000002 1", "1.0000000000000000000002"),
        ("9223372036854775807 9223372036854775808", 9223372036854775808),
        ("1.10 1.1 1.05", 1.1),
        ("1e400 5", "1e400"),
    ],
)
def test_watermarks_are_compared_to_the_last_digit(numbers: str, best: Any) -> None:
    for texts in (numbers.split(), numbers.split()[::-1]):
        watermark = Watermark("at")
        watermark.update([msgspec.Raw(f'{{"at":{text}}}'.encode()) for text in texts])
        assert watermark.value == best
        together = Watermark("at")
        together.update([{"at": watermark.value}, {"at": 2}])
        assert together.value == (
            2 if best in {1.1, numbers.split()[1]} and best != "1e400" else best
        )


instants = st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 - zones follow
zones = st.sampled_from(
    [timezone.utc, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=3))]
)


@given(st.lists(st.tuples(instants, zones), min_size=1, max_size=10), st.booleans())
def test_the_watermark_is_the_latest_instant_whatever_its_zone(
    values: list[tuple[datetime, timezone]], short: bool
) -> None:
    stamps = [moment.replace(tzinfo=zone) for moment, zone in values]
    texts = [stamp.isoformat().replace("+00:00", "Z" if short else "+00:00") for stamp in stamps]
    latest = max(stamps)
    assert stamps[texts.index(highest(texts))] == latest


@pytest.mark.parametrize(
    ("values", "best"),
    [
        (["2024-01-01", "2024-01-02", "2023-12-31"], "2024-01-02"),
        (["2024-01-01T10:00:00Z", "2024-01-01T11:00:00+02:00"], "2024-01-01T10:00:00Z"),
        (["2024-01-01T10:00:00Z", "2024-01-01T09:00:00-0200"], "2024-01-01T09:00:00-0200"),
        (["2024-01-01T10:00:00Z", "2024-01-01T09:30:00-01"], "2024-01-01T09:30:00-01"),
        (
            ["2024-01-01T00:00:00.000000001Z", "2024-01-01T00:00:00.000000002Z"],
            "2024-01-01T00:00:00.000000002Z",
        ),
        (["2024-01-01 00:00:00 UTC", "2024-01-01T00:00:00,5z"], "2024-01-01T00:00:00,5z"),
        (["2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"], "2016-12-31T23:59:60Z"),
        (["2024-01-01T10:00Z", "2024-01-01T09:59:59Z"], "2024-01-01T10:00Z"),
        ([1, 3.5, 2], 3.5),
        (["9", "10", "-3"], "10"),
        ([2**63 + 1, 2**63], 2**63 + 1),
        ([5, 5], 5),
    ],
)
def test_instants_numbers_and_integer_texts_are_compared_as_such(
    values: list[Any], best: Any
) -> None:
    assert highest(values) == best
    assert highest(values[::-1]) == best


@pytest.mark.parametrize(
    "values",
    [
        ["2024-01-01", 5],
        ["2024-01-01", "77"],
        [5, "5"],
        ["yesterday"],
        [True],
        [["2024"]],
        ["2024-13-01"],
        ["2024-01-01T00:00:00Z", "2024-99-01T00:00:00Z"],
        ["2024-01-01T00:00:00Z", "0000-garbage-00:00:Z"],
    ],
)
def test_mixed_and_unreadable_values_are_an_error_naming_the_record(values: list[Any]) -> None:
    with pytest.raises(InvalidRecord, match=r"The incremental field 'at' is "):
        highest(values)


def test_the_message_names_both_kinds() -> None:
    with pytest.raises(InvalidRecord) as caught:
        highest(["2024-01-01", 5])
    assert str(caught.value) == (
        "The incremental field 'at' is 5, after '2024-01-01'. "
        "It must be an ISO 8601 instant or a number, of one kind in all records."
    )


def test_a_missing_field_fails_or_is_skipped_as_declared() -> None:
    with pytest.raises(
        InvalidRecord, match=r"The field 'at', which incremental.field names, is null"
    ):
        highest([None])
    assert highest([None, "2024-01-01", None], missing="include") == "2024-01-01"
    assert highest([], missing="fail") is None


@pytest.mark.parametrize(
    ("values", "best"),
    [
        (
            ["/Date(1355517523000+0000)/", "/Date(1355517524000+0100)/"],
            "/Date(1355517524000+0100)/",
        ),
        (["1355517523.000005", "1355517523.000004"], "1355517523.000005"),
        (
            ["Fri, 14 Dec 2012 23:12:03 GMT", "2012-12-14T23:12:02Z"],
            "Fri, 14 Dec 2012 23:12:03 GMT",
        ),
        (["Dec 14, 2012", "2012/12/13"], "Dec 14, 2012"),
    ],
)
def test_without_a_form_every_text_with_one_meaning_is_an_instant(
    values: list[Any], best: Any
) -> None:
    assert highest(values) == best
    assert highest(values[::-1]) == best


@pytest.mark.parametrize(
    ("form", "values", "best"),
    [
        ("%d/%m/%Y", ["02/01/2024", "01/02/2024", "31/01/2024"], "01/02/2024"),
        ("epoch", [1355517523, "1355517523.000005", 1355517523.000004], "1355517523.000005"),
        ("epoch_ms", [1, 3, 2], 3),
        (["%d/%m/%Y", "epoch"], ["02/01/2024", 1355517523], "02/01/2024"),
        ("any", [1355517523, "2012-12-14T20:38:44Z", 1355517523001], "2012-12-14T20:38:44Z"),
        ("integer", ["9", 10, "-3"], 10),
        ("integer", [2**63, str(2**63 + 1)], str(2**63 + 1)),
        ("iso", ["2024-01-01T00:00:00Z", "2024-01-01T00:00:01Z"], "2024-01-01T00:00:01Z"),
    ],
)
def test_values_are_compared_in_their_form(form: Any, values: list[Any], best: Any) -> None:
    assert highest(values, form=form) == best
    assert highest(values[::-1], form=form) == best


@pytest.mark.parametrize(
    ("form", "value", "reason"),
    [
        ("%d/%m/%Y", "2024-01-31", ": it is not in the form %d/%m/%Y"),
        ("epoch", "soon", ": it is a text, not a number"),
        ("integer", "1.5", ""),
        ("integer", True, ""),
        (None, "31/01/2024", ": it is in no form that can have one meaning only; name its form"),
    ],
)
def test_a_value_in_another_form_is_an_error_with_its_reason(
    form: Any, value: Any, reason: str
) -> None:
    with pytest.raises(InvalidRecord) as caught:
        highest([value], form=form)
    assert str(caught.value) == (
        f"The incremental field 'at' is {value!r}{reason}. "
        "Write into incremental.field_format how records write the field."
    )


@pytest.mark.parametrize("empty", [None, "", "0000-00-00", "0000-00-00 00:00:00"])
def test_zeros_and_blanks_are_missing_dates(empty: Any) -> None:
    with pytest.raises(InvalidRecord, match=r"which incremental\.field names, is"):
        highest(["2024-01-01", empty])
    assert highest([empty, "2024-01-01"], missing="include") == "2024-01-01"
