"""Observed schemas: the quick observer says exactly what a look at every value says, however records come in pages."""

from __future__ import annotations

import gc
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.record_schema.generated_types import build_check, may_lose_digits
from oauth_taskflow.record_schema.model import MOST_LEVELS, MOST_NESTED_FIELDS, FieldType
from oauth_taskflow.record_schema.observe import is_exact, observe_record
from oauth_taskflow.record_schema.observer import SchemaObserver
from tests.support.schemas import observe_all

LITERALS = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, -(2**63) - 1]).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,20})\.[0-9]{1,20}([eE][-+]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(
        ["1e400", "-0", "1e5", "1E-7", "12345678901234567e2", "0.1", "19.90", "9" * 60]
    ),
    st.sampled_from(["null", "null", "true", "false", "[]", "{}"]),
)
NAMES = st.sampled_from(["a", "b", "c", "", "ü", 'q"', "\x00", "\ud800"])
TEXTS = st.one_of(
    st.text(max_size=5),
    st.sampled_from(["\ud800", "0.12345678901234567890", "[1.2345678901234567891"]),
).map(json.dumps)


def write_object(members: list[tuple[str, str]]) -> str:
    """JSON of the members, which may have a name twice."""
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in members) + "}"


VALUES = st.recursive(
    st.one_of(LITERALS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(NAMES, inner), max_size=3).map(write_object),
    ),
    max_leaves=6,
)
RECORDS = st.lists(st.tuples(NAMES, VALUES), max_size=4).map(write_object)


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


@pytest.mark.no_cover
@pytest.mark.slow
@given(st.lists(st.lists(RECORDS, max_size=6), max_size=6), st.integers(0, 3))
def test_pages_are_observed_as_a_look_at_every_value_says(
    pages: list[list[str]], repeats: int
) -> None:
    quick = SchemaObserver()
    for page in pages:
        for _ in range(repeats + 1):
            # Many like the first, so that a type is generated before the others come.
            quick.observe([raw(record) for record in [*page[:1] * 12, *page]])
    every = [raw(record) for page in pages for record in [*page[:1], *page]]
    assert quick.schema == observe_all(every)


def observe(*records: Any) -> dict[str, FieldType]:
    return dict(observe_all([raw(json.dumps(record)) for record in records]).fields)


def test_absent_null_and_empty_are_told_apart() -> None:
    found = observe({"a": 1, "b": None, "c": []}, {"a": 2, "d": {}, "c": [1, None]})
    assert found == {
        "a": FieldType("integer"),
        "b": FieldType("null", nullable=True),
        "c": FieldType("list", item=FieldType("integer", nullable=True)),
        "d": FieldType("object", nullable=True),
    }


def test_objects_with_data_as_names_and_deep_values_are_json() -> None:
    many = {str(n): n for n in range(MOST_NESTED_FIELDS + 1)}
    deep: Any = 1
    for _ in range(MOST_LEVELS + 2):
        deep = [deep]
    found = observe({"many": many, "deep": deep})
    assert found["many"] == FieldType("json", nullable=True)
    level = found["deep"]
    for _ in range(MOST_LEVELS):
        assert level.kind == "list"
        level = level.item or FieldType("null")
    assert level.kind == "json"


@pytest.mark.parametrize("record", ["5", '"x"', "[1]", "null"])
def test_a_record_without_fields_is_refused(record: str) -> None:
    observer = SchemaObserver()
    with pytest.raises(InvalidRecord, match="single value or a list"):
        observer.observe([raw(record)])


@pytest.mark.parametrize(
    ("literal", "kept"),
    [
        ("0.1", True),
        ("19.90", True),
        ("0.30000000000000004", True),
        ("12345678901234567.5", False),
        ("0.12345678901234567890", False),
        ("1e400", False),
        ("1e-400", False),
        ("-1E-0400", False),
        ("1e-99999", False),
        (f"0.{'0' * 400}1", False),
        ("4e-324", False),
        ("5e-324", True),
        ("1.23456789e-320", False),
        ("0e-400", True),
        ("-0.0", True),
        ("12345678901234567e-3", False),
    ],
)
def test_a_number_is_judged_by_its_digits(literal: str, kept: bool) -> None:
    assert is_exact(literal.encode()) is kept
    if "e4" not in literal:  # which msgspec refuses by itself
        assert may_lose_digits(f'{{"a":{literal}}}'.encode()) is not kept


def test_digits_in_texts_lose_nothing() -> None:
    assert not may_lose_digits(b'{"at":"2026-01-01T00:00:00.123456789Z","id":"17841405793187218"}')


def test_a_schema_that_never_settles_builds_few_types() -> None:
    observer = SchemaObserver()
    for number in range(1000):
        observer.observe([raw(json.dumps({f"name{number}": number}))])
    assert len(observer.schema.fields) == 1000
    assert observer.builds < 80


def test_types_of_earlier_schemas_are_freed() -> None:
    def count() -> int:
        gc.collect()
        return sum(1 for each in msgspec.Struct.__subclasses__() if each.__name__ == "Record")

    before = count()
    for number in range(300):
        assert build_check({"a": FieldType("object", fields={f"f{number}": FieldType("text")})})
    assert count() <= before + 2


def test_a_record_like_those_before_is_not_looked_at_again() -> None:
    observer = SchemaObserver()
    records = [
        raw(
            json.dumps(
                {
                    "id": n,
                    "x": n / 7,
                    "tags": ["a"],
                    "o": {"y": None},
                    "price": {"net": n / 4, "left": None if n % 3 else n / 8},
                    "rates": [n / 2],
                    **({"discount": n / 16} if n % 2 else {}),
                }
            )
        )
        for n in range(500)
    ]
    observer.observe(records[:20])
    assert list(observer.find_surprises(records[20:])) == []


# Each place where a number may be, and whether null may be there.
PLACES = {
    '{"x":%s,"o":{"y":1.5},"z":null,"l":[]}': False,
    '{"x":2,"o":{"y":%s},"z":null,"l":[]}': False,
    '{"x":2,"o":{"y":1.5},"z":%s,"l":[]}': True,
    '{"x":2,"o":{"y":1.5},"l":[0.5,%s]}': False,
}
KINDS = {
    "x": FieldType("number"),
    "o": FieldType("object", fields={"y": FieldType("number")}),
    "z": FieldType("number", nullable=True),
    "l": FieldType("list", item=FieldType("number")),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("literal", "is_held"),
    [
        *[(one, True) for one in ("0", "-0", "-1.25", "1e5", "9007199254740992", "0.1234567")],
        *[(one, True) for one in ("0.30000000000000004", "123456789012.345", "-9007199254740992")],
        *[(one, False) for one in ("9007199254740993", "1e400", "0.12345678901234567890")],
        *[(one, False) for one in ('"1.5"', "true", "{}", "[]", "[1]", '"null"', "9" * 5000)],
        ("null", None),
    ],
)
def test_numbers_are_held_at_each_place_where_a_double_keeps_their_digits(
    place: str, literal: str, is_held: bool | None
) -> None:
    check = build_check(KINDS)
    assert check is not None
    usual = place % "1.5"
    wanted = PLACES[place] if is_held is None else is_held
    for count in (0, 1, 63):
        records = [raw(usual)] * count + [raw(place % literal)] + [raw(usual)] * count
        assert check.holds(records) is wanted
    assert check.holds([raw(usual)])


def test_an_absent_number_is_held_where_it_may_be_null_alone() -> None:
    check = build_check(KINDS)
    assert check is not None
    assert check.holds([raw('{"x":2,"o":{"y":1.5},"l":[]}')])
    assert not check.holds([raw('{"o":{"y":1.5},"l":[]}')])
    assert not check.holds([raw('{"x":2,"o":{},"l":[]}')])


@pytest.mark.parametrize("record", [b'{"a": ', b'{"a": {]', b'{"a": ' + b"[" * 100_000])
def test_a_record_that_is_not_json_is_refused(record: bytes) -> None:
    with pytest.raises(InvalidRecord, match="not readable as JSON"):
        observe_record(record)


@pytest.mark.parametrize(
    ("literal", "found"),
    [
        ("-0", FieldType("integer")),
        ("9007199254740993", FieldType("integer", wide=True)),
        ("9223372036854775808", FieldType("decimal")),
        ("9" * 60, FieldType("decimal")),
        ("9" * 5000, FieldType("decimal")),
        ("1e5", FieldType("number")),
        ("0.12345678901234567890", FieldType("decimal")),
    ],
)
def test_the_type_of_a_number_by_example(literal: str, found: FieldType) -> None:
    assert observe_record(f'{{"a": {literal}}}'.encode()) == {"a": found}
