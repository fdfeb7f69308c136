"""Record selectors."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.decoders.json import Body
from oauth_taskflow.api.options import Records
from oauth_taskflow.api.pull.selector import RecordSelector
from oauth_taskflow.errors import InvalidRecord, RecordsNotFound

scalars = st.none() | st.booleans() | st.integers() | st.text()
rows = st.lists(st.dictionaries(st.text(), scalars, max_size=3) | scalars, max_size=6)
LANES = pytest.mark.parametrize("decode", [False, True])


def select(body: Any, *, decode: bool, **options: Any) -> list[Any] | None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = RecordSelector(Records(**options), decode=decode).find(Body(content))
    if found is None:
        return None
    return [msgspec.json.decode(row) if isinstance(row, msgspec.Raw) else row for row in found]


PATHS = {
    None: [],
    "data": ["data"],
    "data.items": ["data", "items"],
    'data."@x.y"': ["data", "@x.y"],
}


@pytest.mark.no_cover
@pytest.mark.slow
@given(rows, st.sampled_from(list(PATHS)), st.booleans())
def test_raw_and_decoded_selection_find_the_same_records(
    records: Any, path: str | None, decode: bool
) -> None:
    body: Any = records
    for key in reversed(PATHS[path]):
        body = {"more": 1, key: body}
    assert select(body, decode=decode, path=path) == records


@LANES
@pytest.mark.parametrize("body", [{"items": None}, {"items": []}, {"items": {}}, {"items": ""}])
@pytest.mark.parametrize("path", ["items", "items[?on]", "items[*].row | []"])
def test_null_and_empty_at_the_path_mean_zero_records(body: Any, path: str, decode: bool) -> None:
    assert select(body, decode=decode, path=path) == []


@LANES
@pytest.mark.parametrize("body", [{}, [1], {"items": []}, {"data": {}}])
@pytest.mark.parametrize(
    "path", ["data.items", "data.items[?on]", "data.items[*].row", "values(data.items)"]
)
def test_an_absent_path_is_distinguished_from_an_empty_list(
    body: Any, path: str, decode: bool
) -> None:
    assert select(body, decode=decode, path=path) is None


@LANES
@pytest.mark.parametrize(
    ("path", "body", "found"),
    [
        ("a || b", {"b": []}, []),
        ("a || b", {"c": []}, None),
        ("a || `[]`", {"c": []}, []),
        ("[a, b][]", {"c": 1}, None),
        ("[a, b][]", {"a": None, "b": [1]}, [1]),
        ("[*].row", [], []),
        ("[*].row", {"error": "x"}, None),
        ("*.row", {"error": "x"}, None),
        ("*.row", {"k": {"row": 1}}, [1]),
        ("a.{x: b}", {"c": 1}, None),
        ("a.b[0].c", {"a": {"b": None}}, []),
    ],
)
def test_a_jmespath_is_absent_when_all_that_it_starts_from_is(
    path: str, body: Any, found: Any, decode: bool
) -> None:
    assert select(body, decode=decode, path=path) == found


@LANES
@pytest.mark.parametrize("body", [{}, {"error": "x"}, "x", 5, True])
def test_a_root_that_is_not_a_list_counts_as_absent(body: Any, decode: bool) -> None:
    assert select(body, decode=decode) is None


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
def test_a_record_that_is_a_list_is_refused_at_any_position(decode: bool) -> None:
    with pytest.raises(InvalidRecord, match="A record is itself a list"):
        select([{"a": 1}, [1]], decode=decode)


@LANES
@pytest.mark.parametrize(
    "path", ["items", "items[*]", "items[?on]", "items[*].row", "items[0].rows"]
)
@pytest.mark.parametrize("value", ["gone", 5, True, {"error": 1}])
def test_a_value_that_is_not_a_list_never_counts_as_an_empty_one(
    path: str, value: Any, decode: bool
) -> None:
    with pytest.raises(RecordsNotFound, match="not a list") as caught:
        select({"items": value}, decode=decode, path=path)
    assert caught.value.retryable or isinstance(value, dict)


def test_filters_and_projections_come_decoded() -> None:
    body = {"items": [{"id": 1, "on": True}, {"id": 2, "on": False}]}
    assert select(body, decode=False, path="items[?on]") == [{"id": 1, "on": True}]
    assert select(body, decode=False, path="items[?id > `5`]") == []
    assert select({"other": 1}, decode=False, path="items[?on]") is None


def test_the_hint_leaves_out_what_a_list_cannot_have() -> None:
    error = RecordSelector(Records(path="items")).missing_error(Body(b"[1]"))
    assert "The body has" not in str(error)


def test_a_number_that_a_float_cannot_hold_stays_exact_among_plain_ones() -> None:
    selector = RecordSelector(Records(path="rows"), decode=True, has_plain_numbers=True)
    assert selector.find(Body(b'{"rows": [{"n": 0.5}]}')) == [{"n": 0.5}]
    (row,) = selector.find(Body(b'{"rows": [{"n": 1e400}]}')) or []
    assert str(row["n"]) == "1e400"


@pytest.mark.parametrize(
    ("path", "items"),
    [
        ("data", None),
        ("data[?on].id", [{"id": 1, "on": True}, {"id": 2}]),
        ("by_id.*.id", [{"id": 1}]),
        ("none[?on].id", None),
    ],
)
def test_the_items_that_a_path_takes_apart_are_found_before_it_filters(
    path: str, items: list[Any] | None
) -> None:
    body = Body(b'{"data": [{"id": 1, "on": true}, {"id": 2}], "by_id": {"1": {"id": 1}}}')
    assert RecordSelector(Records(path=path)).find_source_items(body) == items
