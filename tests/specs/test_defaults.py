from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.specs.check import check_text
from oauth_taskflow.specs.defaults import merge, merge_defaults

JSON_MAPPINGS = st.recursive(
    st.dictionaries(st.sampled_from("abcd"), st.integers() | st.text(max_size=3), max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=10,
)


def test_mappings_merge_key_by_key() -> None:
    base = {"request": {"params": {"limit": 200, "sort": "id"}}}
    over = {"request": {"params": {"sort": "name"}, "path": "/x"}}
    assert merge(base, over) == {
        "request": {"params": {"limit": 200, "sort": "name"}, "path": "/x"}
    }


def test_lists_and_scalars_replace() -> None:
    base: dict[str, Any] = {"responses": [{"status": 404}], "records": "data"}
    assert merge(base, {"responses": [], "records": "items"}) == {
        "responses": [],
        "records": "items",
    }


def test_null_removes_a_default() -> None:
    assert merge({"headers": {"Accept": "a", "X": "b"}}, {"headers": {"Accept": None}}) == {
        "headers": {"X": "b"}
    }


def test_null_without_a_default_has_no_effect() -> None:
    assert merge({}, {"paginate": None, "request": {"params": {"a": None}}}) == {
        "request": {"params": {}}
    }


def test_null_turns_the_size_of_an_offset_off_where_leaving_it_out_would_not() -> None:
    spec = check_text(
        "version: 1\ndag_id: a\nconnection: c\n"
        "defaults:\n  paginate: {type: offset, size: 100, size_param: count}\n  destination: {path: '/x/{{ endpoint }}'}\n"
        "endpoints:\n"
        "  default: {request: {path: /a}}\n"
        "  off: {request: {path: /b}, paginate: {size_param: null}}\n"
        "  empty: {request: {path: /c}, paginate: {size_param: ''}}\n"
        "  bare: {request: {path: /d}, paginate: {type: page, size_param: null}}\n"
    ).spec
    assert spec is not None
    sent = {
        name: each.paginate.sent_names for name, each in spec.endpoints.items() if each.paginate
    }
    assert {name: names["size"] or None for name, names in sent.items()} == {
        "default": "count",
        "off": None,
        "empty": None,
        "bare": None,
    }


def test_null_in_a_body_is_a_value_unless_it_removes_a_default() -> None:
    base = {"request": {"json": {"old": 1}}}
    over = {"request": {"json": {"old": None, "deleted_at": None}}}
    assert merge(base, over) == {"request": {"json": {"deleted_at": None}}}


def test_a_paginator_of_another_type_replaces_the_default_one() -> None:
    base = {"paginate": {"type": "offset", "size": 100}}
    assert merge(base, {"paginate": {"type": "link"}}) == {"paginate": {"type": "link"}}


def test_a_paginator_of_the_same_or_no_type_merges() -> None:
    base = {"paginate": {"type": "offset", "size": 100}}
    expected = {"paginate": {"type": "offset", "size": 5}}
    assert merge(base, {"paginate": {"size": 5}}) == expected
    assert merge(base, {"paginate": {"type": "offset", "size": 5}}) == expected


def test_a_query_parameter_named_type_does_not_select_a_kind() -> None:
    base = {"request": {"params": {"type": "a", "limit": 1}}}
    assert merge(base, {"request": {"params": {"type": "b"}}}) == {
        "request": {"params": {"type": "b", "limit": 1}}
    }


def test_an_empty_endpoint_takes_all_the_defaults() -> None:
    data = {"defaults": {"records": "data"}, "endpoints": {"a": None, "b": {}}}
    assert merge_defaults(data)["endpoints"] == {
        "a": {"records": "data"},
        "b": {"records": "data"},
    }


def test_parts_with_schema_errors_are_left_for_the_schema() -> None:
    data = {"defaults": 1, "endpoints": {"a": 2}}
    assert merge_defaults(data) == data
    assert merge_defaults({"endpoints": []}) == {"endpoints": []}


@given(JSON_MAPPINGS, JSON_MAPPINGS)
def test_merging_changes_neither_side_and_is_idempotent(
    base: dict[str, Any], over: dict[str, Any]
) -> None:
    before = repr((base, over))
    once = merge(base, over)
    assert repr((base, over)) == before
    assert merge(once, over) == once


def test_a_null_under_an_unknown_key_is_kept_for_the_check() -> None:
    request = {"path /x": None, "paginate": None, "params": {"gone": None}}
    over = {"x": {"batch 5": None, "endpoint": "b"}}
    document = {"endpoints": {"a": {"request": request, "for_each": over, "records": None}}}
    assert merge_defaults(document)["endpoints"]["a"] == {
        "request": {"path /x": None, "paginate": None, "params": {}},
        "for_each": over,
    }
