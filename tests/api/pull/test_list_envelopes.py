"""Where signs of unread pages are looked for: around the list, and in what is named so; what only looks like one is none."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.api.options import (
    KeysetPaginator,
    OffsetPaginator,
    PageNumberPaginator,
)
from tests.api.pull.offline import read_warnings

ROWS = [{"id": number} for number in range(12)]
TWO = ROWS[:2]
PAGE = PageNumberPaginator(size=2)
OFFSET = OffsetPaginator(param="start", size_param="count", size=10)
LINES = "items[].lines[]"


@pytest.mark.parametrize(
    ("records", "body", "sign"),
    [
        ("data.items", {"data": {"items": TWO, "hasMore": True}}, "data.hasMore"),
        (
            "data.orders.edges[].node",
            {
                "data": {
                    "orders": {"edges": [{"node": {"id": 1}}], "pageInfo": {"hasNextPage": True}}
                }
            },
            "data.orders.pageInfo.hasNextPage",
        ),
        ("d.results", {"d": {"results": TWO, "__next": "https://a.example/b"}}, "d.__next"),
        (
            "entry[].resource",
            {
                "entry": [{"resource": {"id": 1}}],
                "link": [{"relation": "self", "url": "u"}, {"relation": "next", "url": "v"}],
            },
            "link",
        ),
        ("items", {"items": TWO, "links": [{"rel": "next", "href": "/rows?page=2"}]}, "links"),
        (
            "data",
            {
                "data": TWO,
                "meta": {"pagination": {"total": 9, "count": 2, "links": {"next": "/rows?page=2"}}},
            },
            "meta.pagination.links.next",
        ),
    ],
)
def test_a_sign_beside_the_list_is_found(records: str, body: Any, sign: str) -> None:
    (warning,) = read_warnings(None, records, body)
    assert f"says that more pages follow ({sign}), and one is read" in warning


@pytest.mark.parametrize(
    ("records", "body", "place"),
    [
        (
            "hits.hits",
            {"hits": {"total": {"value": 9, "relation": "eq"}, "hits": TWO}},
            "hits.total.value",
        ),
        ("data.items", {"data": {"items": TWO, "total": 9, "page": 1}}, "data.total"),
        ("response.docs", {"response": {"docs": TWO, "numFound": 9}}, "response.numFound"),
        ("results", {"results": TWO, "count": 9}, "count"),
        ("rows", {"rows": TWO, "total": 9, "code": 200, "msg": "ok"}, "total"),
        ("rows", {"rows": TWO, "total": 9, "count": 2}, "total"),
        ("data", {"data": TWO, "meta": {"total": 9, "count": 2}}, "meta.total"),
    ],
)
def test_a_total_beside_the_list_is_found(records: str, body: Any, place: str) -> None:
    (warning,) = read_warnings(None, records, body)
    assert f"The answer announces 9 records ({place}), and one page with 2 is read" in warning


def test_with_paginate_a_number_beside_the_list_is_one_of_records() -> None:
    body = {"items": ROWS[:1], "total": 9, "currency": "EUR"}
    (warning,) = read_warnings(PAGE, "items", {**body, "items": TWO}, body)
    assert "Reading ends after 3 records, and the API announced 9 records (total)" in warning


@pytest.mark.parametrize(
    ("records", "body"),
    [
        # Elasticsearch counts the documents that a bucket was made of.
        (
            "aggregations.a.buckets",
            {"hits": {"total": {"value": 9}, "hits": []}, "aggregations": {"a": {"buckets": TWO}}},
        ),
        ("lines", {"lines": TWO, "total": 900, "id": 7}),
        ("order.lines", {"order": {"lines": TWO, "total": 900, "id": 7}}),
        ("elements", {"elements": TWO, "paging": {"start": 0, "count": 10, "links": []}}),
        ("items", {"items": TWO, "_links": {"next": {"href": None, "rel": "next"}}}),
        ("items", {"items": TWO, "_links": {"next": {"href": ""}, "last": {"href": "/a"}}}),
        ("items", {"items": TWO, "links": [{"rel": "next", "href": None}, {"rel": "self"}, "a"]}),
        ("items", {"items": TWO, "next_cursor": "0", "nextPage": -1, "next_token": "-1"}),
    ],
)
def test_what_says_nothing_about_the_list_is_no_sign(records: str, body: Any) -> None:
    assert read_warnings(None, records, body) == []


def test_a_count_that_is_the_size_asked_for_is_no_total() -> None:
    body = {"elements": TWO, "paging": {"offset": 0, "count": 10}}
    assert read_warnings(OFFSET, "elements", body, {**body, "elements": []}) == []


def group(*lists: list[Any]) -> list[Any]:
    return [{"lines": lines} for lines in lists]


@pytest.mark.parametrize("end_on_status", [(), (404,)])
def test_a_total_may_count_the_records_that_rows_hold(end_on_status: tuple[int, ...]) -> None:
    paginate = PageNumberPaginator(size=2, end_on_status=end_on_status)
    full = {"items": group(ROWS[:3], ROWS[3:5]), "totalCount": 7}
    last = {"items": group(ROWS[5:6], ROWS[6:7]), "totalCount": 7}
    bodies = [full, last] if end_on_status else [full, last, {"items": [], "totalCount": 7}]
    assert read_warnings(paginate, LINES, *bodies) == []


def test_more_records_than_announced_rows_do_not_hide_a_loss() -> None:
    body = {"items": group(ROWS[:3], ROWS[3:6]), "totalCount": 5}
    (warning,) = read_warnings(PAGE, LINES, body, {"items": [], "totalCount": 5})
    assert "Reading ends after 2 records, and the API announced 5 records (totalCount)" in warning


def test_by_a_key_the_warning_says_that_rows_may_have_been_deleted() -> None:
    keyset = KeysetPaginator(key="id", param="after", size=2)
    last = {"items": ROWS[3:4], "total_count": 1}
    (warning,) = read_warnings(keyset, "items", {"items": TWO, "total_count": 5}, last)
    assert "If it is right and none were deleted meanwhile, records are missing" in warning
