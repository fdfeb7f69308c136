"""Expressions over records give what JMESPath gives, however little of the record is decoded."""

from __future__ import annotations

from typing import Any

import jmespath
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jmespath.exceptions import JMESPathError

from oauth_taskflow.errors import InvalidRecord, RecordsNotFound
from oauth_taskflow.fields.expressions import RecordExpression

OPERANDS = st.sampled_from(
    [
        *("a", "b", "a.b", "b.c", "items[0]", "items[?c].c", "length(items)", "not_null(a, b)"),
        *("'x'", "'10'", "`1`", "`0`", "`1.5`", "`true`", "`null`", "`[]`", "@.a"),
        "contains(items, 'x')",
    ]
)
COMPARISONS = st.tuples(
    OPERANDS, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), OPERANDS
).map(" ".join)
EXPRESSIONS = st.recursive(
    OPERANDS | COMPARISONS,
    lambda inner: (
        inner.map(lambda text: f"!({text})")
        | st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(
            lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"
        )
    ),
    max_leaves=6,
)
SCALARS = st.sampled_from([None, True, False, 0, 1, 1.0, 1.5, -3, "", "x", "10", "0"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)
RECORDS = st.dictionaries(st.sampled_from(["a", "b", "items", "other"]), VALUES, max_size=4)


def outcome(find: Any, record: Any) -> Any:
    try:
        return find(record)
    except (JMESPathError, TypeError, InvalidRecord):
        return "an error"


@given(EXPRESSIONS, RECORDS)
def test_every_expression_finds_what_jmespath_finds(text: str, record: dict[str, Any]) -> None:
    wanted = outcome(jmespath.compile(text).search, record)
    ours = RecordExpression(text)
    for given_record in (record, msgspec.Raw(msgspec.json.encode(record))):
        found = outcome(ours.search, given_record)
        assert (type(found), found) == (type(wanted), wanted)
        if wanted != "an error":
            assert ours.accepts(given_record) == bool(jmespath.search("!(!(@))", wanted))


def test_only_the_members_that_are_named_are_decoded() -> None:
    assert RecordExpression("status == 'on' && owner.id > `1`").keys == ("owner", "status")
    assert RecordExpression("length(keys(@)) > `2`").keys is None


def test_numbers_are_compared_to_their_last_digit() -> None:
    raw = msgspec.Raw(b'{"a": 0.12345678901234567891, "b": 0.12345678901234567890}')
    assert RecordExpression("a > b").accepts(raw)


@pytest.mark.parametrize("raw", [b'"text"', b"12", b"null"])
def test_a_single_value_has_no_fields(raw: bytes) -> None:
    assert not RecordExpression("a == 'x'").accepts(msgspec.Raw(raw))


def test_a_single_value_can_be_compared_itself() -> None:
    assert RecordExpression("@ == 'eu'").accepts(msgspec.Raw(b'"eu"'))


def test_names_of_parents_are_visible_beside_the_fields() -> None:
    where = RecordExpression("owner == contact.id", {"contact", "region"})
    where.give({"contact": {"id": 7}, "region": "eu"})
    assert where.names == {"contact"}
    assert where.accepts(msgspec.Raw(b'{"owner": 7}'))
    assert not where.accepts({"owner": 8})


def test_a_field_with_the_name_of_a_parent_fails() -> None:
    where = RecordExpression("contact.id == owner", {"contact"})
    where.give({"contact": {"id": 7}})
    with pytest.raises(InvalidRecord, match="'contact' in where means the record of for_each and"):
        where.accepts(msgspec.Raw(b'{"owner": 7, "contact": {"id": 8}}'))


def test_a_text_compared_with_a_number_fails_instead_of_dropping_every_record() -> None:
    with pytest.raises(InvalidRecord, match=r"JMESPath 'amount > `5`' of where does not fit"):
        RecordExpression("amount > `5`").accepts(msgspec.Raw(b'{"amount": "10"}'))


def test_an_unreadable_expression_fails_before_the_first_record() -> None:
    with pytest.raises(RecordsNotFound, match="is not a JMESPath expression"):
        RecordExpression("a ==")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("empty || two", 2),
        ("two || one", 2),
        ("empty && two", []),
        ("one && two", 2),
        ("!empty", True),
        ("one < two", True),
        ("none >= one", None),
        ("one == yes", False),
        ("one != yes", True),
    ],
)
def test_a_condition_by_example(text: str, found: Any) -> None:
    record = {"one": 1, "two": 2, "empty": [], "word": "x", "none": None, "yes": True}
    assert RecordExpression(text).search(record) == found
    assert jmespath.search(text, record) == found
