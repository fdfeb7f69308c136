"""Record selectors."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.body import Body
from oauth_taskflow.api.options import Records
from oauth_taskflow.api.records import RecordSelector
from oauth_taskflow.errors import InvalidRecord, RecordsNotFound

scalars = st.none() | st.booleans() | st.integers() | st.text()
rows = st.lists(st.dictionaries(st.text(), scalars, max_size=3) | scalars, max_size=6)
LANES = pytest.mark.parametrize("decode", [False, True])


def select(body: Any, *, decode: bool, first: bool = True, **options: Any) -> list[Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = RecordSelector(Records(**options), decode=decode).select(Body(content), first=first)
    return [msgspec.json.decode(row) if isinstance(row, msgspec.Raw) else row for row in found]


PATHS = {
    None: [],
    "data": ["data"],
    "data.items": ["data", "items"],
    'data."@x.y"': ["data", "@x.y"],
}


@given(rows, st.sampled_from(list(PATHS)), st.booleans())
def test_both_lanes_select_the_same_records(records: Any, path: str | None, decode: bool) -> None:
    body: Any = records
    for key in reversed(PATHS[path]):
        body = {"more": 1, key: body}
    assert select(body, decode=decode, path=path) == records


@LANES
@pytest.mark.parametrize(
    "body", [{"items": None}, {"items": []}, {"items": {}}, {"items": ""}, b""]
)
def test_null_and_empty_are_no_records_even_at_first(body: Any, decode: bool) -> None:
    assert select(body, decode=decode, path="items") == []


@LANES
@pytest.mark.parametrize("body", [{}, [1], {"items": []}])
def test_an_absent_path_matters_on_a_first_page_that_requires_it(body: Any, decode: bool) -> None:
    assert select(body, decode=decode, first=False, path="data.items") == []
    assert select(body, decode=decode, path="data.items", require=False) == []
    with pytest.raises(RecordsNotFound, match=r"'data.items' finds nothing in the first page"):
        select(body, decode=decode, path="data.items")


@LANES
def test_a_single_object_is_a_record_only_when_declared(decode: bool) -> None:
    assert select({"a": {"id": 1}}, decode=decode, path="a", single=True) == [{"id": 1}]
    assert select({"id": 1}, decode=decode, single=True) == [{"id": 1}]
    assert select({"a": [{"id": 1}]}, decode=decode, path="a", single=True) == [{"id": 1}]
    with pytest.raises(RecordsNotFound) as caught:
        select({"a": {"id": 1}, "b": 2}, decode=decode, path="a")
    assert str(caught.value) == (
        "The record selector 'a' finds a mapping, not a list. The body has: a, b. "
        "Name the list in records, or set records.single: true to take it as one record."
    )


@LANES
@pytest.mark.parametrize("value", [1, "x", True])
def test_a_single_value_is_never_a_record(value: Any, decode: bool) -> None:
    with pytest.raises(RecordsNotFound, match="finds a single value, not a list"):
        select({"a": value}, decode=decode, path="a", single=True)


@LANES
def test_a_record_that_is_a_list_is_refused_wherever_it_stands(decode: bool) -> None:
    with pytest.raises(InvalidRecord, match="A record is itself a list"):
        select([{"a": 1}, [1]], decode=decode)


def test_filters_and_projections_come_decoded() -> None:
    body = {"items": [{"id": 1, "on": True}, {"id": 2, "on": False}]}
    assert select(body, decode=False, path="items[?on]") == [{"id": 1, "on": True}]
    assert select(body, decode=False, path="items[?id > `5`]") == []
    assert select({"other": 1}, decode=False, path="items[?on]") == []


def test_the_hint_leaves_out_what_a_list_cannot_have() -> None:
    with pytest.raises(RecordsNotFound) as caught:
        select([1], decode=False, path="items")
    assert "The body has" not in str(caught.value)
