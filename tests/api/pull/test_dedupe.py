"""Primary keys and watermarks."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.pull.dedupe import Deduplicator
from oauth_taskflow.api.pull.record_fields import build_column_reader, build_field_reader
from oauth_taskflow.api.pull.watermark import Watermark
from oauth_taskflow.errors import InvalidRecord, PaginationLoop


def raw(record: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(record).encode())


def highest(values: list[Any], **options: Any) -> Any:
    watermark = Watermark("at", **options)
    watermark.update([{"at": value} for value in values])
    return watermark.value


@given(st.lists(st.integers(0, 9) | st.text(max_size=2), max_size=30), st.booleans())
def test_each_key_passes_once_in_order_of_arrival(keys: list[Any], decoded: bool) -> None:
    seen = Deduplicator(["id"])
    records = [{"id": key, "n": number} for number, key in enumerate(keys)]
    half = len(records) // 2
    passed: list[Any] = []
    for part in (records[:half], records[half:]):
        passed += seen.drop_seen(part if decoded else [raw(record) for record in part])
    ids = [(record if decoded else msgspec.json.decode(record))["id"] for record in passed]
    assert ids == list(dict.fromkeys(keys))
    assert seen.dropped == len(keys) - len(ids)


def test_compound_and_nested_keys_keep_their_parts_apart() -> None:
    seen = Deduplicator(["org.id", "id"])
    records = [
        {"org": {"id": org}, "id": number} for org, number in [("1", "2"), ("12", ""), ("1", "2")]
    ]
    assert len(seen.drop_seen([raw(record) for record in records])) == 2


def test_text_and_number_are_different_keys() -> None:
    assert len(Deduplicator(["id"]).drop_seen([{"id": 1}, {"id": "1"}])) == 2


@pytest.mark.parametrize("record", [{"name": "a"}, {"id": None}, "scalar", 5])
def test_a_record_without_its_key_is_named(record: Any) -> None:
    for form in (record, raw(record)):
        with pytest.raises(InvalidRecord, match="'id', which primary_key names") as caught:
            Deduplicator(["id"]).drop_seen([form])
        assert "Correct primary_key" in str(caught.value)


def test_a_key_may_come_again_under_another_parent() -> None:
    seen = Deduplicator(["id"])
    assert seen.drop_seen([{"id": 1}, {"id": 1}]) == [{"id": 1}]
    seen.begin_sequence(0)
    assert seen.drop_seen([{"id": 1}]) == []
    seen.begin_sequence(1)
    assert seen.drop_seen([{"id": 1}]) == [{"id": 1}]


def test_under_another_parent_only_the_same_record_is_a_repeat() -> None:
    seen = Deduplicator(["id"], across_parents=True)
    first = [{"id": 1, "n": "a"}, {"id": 2, "n": "b"}]
    assert seen.drop_seen([raw(record) for record in first]) == [raw(record) for record in first]
    seen.begin_sequence(1)
    other = [{"id": 1, "n": "a"}, {"id": 2, "n": "other"}, {"id": 2, "n": "again"}]
    assert seen.drop_seen([raw(record) for record in other]) == [raw(other[1])]
    assert seen.dropped == 2


def test_three_pages_of_repeats_in_one_sequence_are_a_loop() -> None:
    seen = Deduplicator(["id"])
    page = [{"id": 1}, {"id": 2}]
    seen.drop_seen(page)
    for number in range(2):  # overlap of neighbouring pages
        assert seen.drop_seen([{"id": 2}, {"id": 3 + number}]) == [{"id": 3 + number}]
    for index in (3, 4):
        assert seen.drop_seen(page, index=index) == []
    with pytest.raises(PaginationLoop, match=r"Pages 4 to 6 hold nothing but .* at GET http"):
        seen.drop_seen(page, index=5, where="at GET http://x")


def test_repeats_of_another_sequence_are_no_loop_until_they_repeat_themselves() -> None:
    seen = Deduplicator(["id"])
    pages = [[{"id": number}] for number in range(5)]
    for page in pages:
        seen.drop_seen(page)
    seen.begin_sequence(0)
    assert [seen.drop_seen(page) for page in pages] == [[]] * 5
    assert [seen.drop_seen(page) for page in pages[:2]] == [[], []]
    with pytest.raises(PaginationLoop):
        seen.drop_seen(pages[2])


exact_keys = st.integers(-(10**25), 10**25).map(str) | st.builds(
    "{}.{}".format, st.integers(0, 3), st.from_regex(r"[0-9]{18,22}", fullmatch=True)
)


@given(st.lists(exact_keys, max_size=8), st.booleans())
def test_keys_are_compared_to_the_last_digit(texts: list[str], nested: bool) -> None:
    path, form = ("a.id", '{"a":{"id":%s}}') if nested else ("id", '{"id":%s}')
    records = [msgspec.Raw((form % text).encode()) for text in texts]
    kept = Deduplicator([path]).drop_seen(records)
    assert kept == [msgspec.Raw((form % text).encode()) for text in dict.fromkeys(texts)]


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


def test_a_missing_field_fails_or_is_passed_over_as_declared() -> None:
    with pytest.raises(
        InvalidRecord, match=r"The field 'at', which incremental.field names, is null"
    ):
        highest([None])
    assert highest([None, "2024-01-01", None], missing="include") == "2024-01-01"
    assert highest([], missing="fail") is None


def test_a_nested_field_and_a_jmespath_are_read_raw_and_decoded() -> None:
    record = {"meta": {"at": 5}, "list": [3, 9]}
    for path, value in (("meta.at", 5), ("max(list)", 9), ("meta.gone", None), ("gone", None)):
        read = build_field_reader(path)
        assert read(record) == read(raw(record)) == value
    with pytest.raises(InvalidRecord, match="JMESPath 'max\\(list\\)' does not fit the body"):
        build_field_reader("max(list)")({"list": "none"})


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["at", "x"]), st.integers() | st.text() | st.none())
        | st.integers()
    )
)
def test_a_column_holds_what_its_fields_hold(records: list[Any]) -> None:
    for path in ("at", "at.x", "at || x"):
        read, column = build_field_reader(path), build_column_reader(path)
        for form in (records, [raw(record) for record in records]):
            assert column(form) == [read(record) for record in form]


def test_pages_of_mixed_forms_are_read_too() -> None:
    assert build_column_reader("at")([raw({"at": 1}), {"at": 2}]) == [1, 2]
