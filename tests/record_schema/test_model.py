"""The union of two types: the order and the grouping of what is united never matter, and nothing gets narrower."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.record_schema.model import (
    JSON,
    MOST_LEVELS,
    MOST_NESTED_FIELDS,
    NULL,
    FieldType,
    RecordSchema,
    integer_type,
    name_kind,
    read_fixed,
    unite_schemas,
    unite_types,
)

SCALARS = [
    *(FieldType(kind) for kind in ("boolean", "number", "decimal", "text", "date", "timestamp")),
    FieldType("integer"),
    FieldType("fixed", precision=12, scale=2),
    FieldType("fixed", precision=20, scale=18),
    FieldType("fixed", precision=38),
    FieldType("integer", wide=True),
    FieldType("integer", nullable=True),
    NULL,
    JSON,
]
TYPES = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.one_of(
        (inner | st.none()).map(lambda item: FieldType("list", item=item)),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(
            lambda fields: FieldType("object", fields=fields)
        ),
    ),
    max_leaves=6,
)


def unordered(found: FieldType) -> object:
    """The type without the order of its fields."""
    fields = {name: unordered(found.fields[name]) for name in sorted(found.fields)}
    item = None if found.item is None else unordered(found.item)
    digits = found.precision, found.scale
    return (found.kind, found.nullable, found.wide, digits, item, fields)


@given(TYPES, TYPES, TYPES)
def test_neither_order_nor_grouping_matters(a: FieldType, b: FieldType, c: FieldType) -> None:
    assert unordered(unite_types(a, b)) == unordered(unite_types(b, a))
    left = unite_types(unite_types(a, b), c)
    assert unordered(left) == unordered(unite_types(a, unite_types(b, c)))


@given(TYPES, TYPES)
def test_a_union_takes_in_nothing_more_when_united_again(a: FieldType, b: FieldType) -> None:
    both = unite_types(a, b)
    assert unite_types(both, a) == both
    assert unordered(unite_types(both, b)) == unordered(both)
    assert unite_types(a, a) == a


@pytest.mark.parametrize(
    ("lowest", "highest", "expected"),
    [
        (-5, 5, FieldType("integer")),
        (0, 2**53, FieldType("integer")),
        (0, 2**53 + 1, FieldType("integer", wide=True)),
        (-(2**63), 0, FieldType("integer", wide=True)),
        (0, 2**63, FieldType("decimal")),
        (-(2**63) - 1, 0, FieldType("decimal")),
    ],
)
def test_the_type_of_integers_follows_their_range(
    lowest: int, highest: int, expected: FieldType
) -> None:
    assert integer_type(lowest, highest) == expected


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        (FieldType("integer"), FieldType("number"), "number"),
        (FieldType("integer", wide=True), FieldType("number"), "decimal"),
        (FieldType("decimal"), FieldType("integer"), "decimal"),
        (FieldType("integer"), FieldType("text"), "json"),
        (FieldType("boolean"), FieldType("integer"), "json"),
        (FieldType("timestamp"), FieldType("text"), "text"),
        (FieldType("date"), FieldType("timestamp"), "text"),
        (FieldType("list", item=NULL), FieldType("object"), "json"),
        (FieldType("list"), FieldType("list", item=NULL), "list"),
        (NULL, FieldType("boolean"), "boolean"),
        (FieldType("fixed", precision=9), FieldType("integer"), "decimal"),
        (FieldType("fixed", precision=38), FieldType("fixed", precision=9, scale=9), "decimal"),
    ],
)
def test_types_unite_without_a_loss(first: FieldType, second: FieldType, kind: str) -> None:
    assert unite_types(first, second).kind == kind


def test_fixed_numbers_unite_to_the_digits_of_both() -> None:
    united = unite_types(
        FieldType("fixed", precision=12, scale=2), FieldType("fixed", precision=9, scale=6)
    )
    assert (name_kind(united), read_fixed(name_kind(united))) == ("decimal(16, 6)", united)


def test_a_field_that_one_schema_lacks_may_be_absent() -> None:
    first = RecordSchema({"id": FieldType("integer"), "name": FieldType("text")})
    second = RecordSchema({"id": FieldType("integer"), "email": FieldType("text")})
    assert dict(unite_schemas(first, second).fields) == {
        "id": FieldType("integer"),
        "name": FieldType("text", nullable=True),
        "email": FieldType("text", nullable=True),
    }


def test_an_object_with_data_as_names_is_one_json_value() -> None:
    def of(names: range) -> FieldType:
        return FieldType("object", fields={str(name): FieldType("integer") for name in names})

    half = MOST_NESTED_FIELDS // 2
    assert unite_types(of(range(half)), of(range(half, 2 * half))).kind == "object"
    assert unite_types(of(range(half)), of(range(half, 2 * half + 1))).kind == "json"


def test_an_empty_list_says_nothing_about_items() -> None:
    full = FieldType("list", item=FieldType("integer"))
    assert unite_types(FieldType("list"), full) == unite_types(full, FieldType("list")) == full


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (FieldType("list"), FieldType("list", item=FieldType("text"))),
        (FieldType("object"), FieldType("object", fields={"a": FieldType("text")})),
    ],
)
def test_below_the_last_level_there_is_one_json_value(first: FieldType, second: FieldType) -> None:
    assert unite_types(first, second, level=MOST_LEVELS).kind == "json"
    assert unite_types(first, second, level=MOST_LEVELS - 1).kind == first.kind
