"""Without paginate, a page that is as full as the request asks for may be the first of many."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.api.options import OffsetPaginator, SinglePage
from oauth_taskflow.api.request import ApiRequest
from tests.api.pull.offline import read_warnings

ROWS = [{"id": number} for number in range(20)]


def find_warnings(request: ApiRequest, *answers: Any, records: str | None = None) -> list[str]:
    return read_warnings(None, records, *answers, request=request)


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (ApiRequest("/rows?_limit=20"), "_limit"),
        (ApiRequest("/rows?%24top=20&a=b"), "$top"),
        (ApiRequest("/rows", params={"per_page": 20}), "per_page"),
        (ApiRequest("/rows", params={"page[size]": "20"}), "page[size]"),
        (ApiRequest("/rows", params={"filter[limit]": "20"}), "filter[limit]"),
        (ApiRequest("/rows", params={"max-results": ["20"]}), "max-results"),
        (ApiRequest("/rows", params={"filter": '{"order": "id", "limit": 20}'}), "limit"),
        (ApiRequest("/rows", params={"q": "select * from a LIMIT 20"}), "LIMIT"),
        (ApiRequest("/rows", json={"page": {"size": 20}}), "size"),
        (ApiRequest("/rows", json={"variables": {"first": 20}}), "first"),
        (ApiRequest("/rows", json={"query": "{ rows(first: 20, after: null) { id } }"}), "first"),
        (ApiRequest("/rows", json=[{"limit": 9}, {"maxResults": 20}]), "maxResults"),
        (ApiRequest("/rows", form={"rows": "20"}), "rows"),
    ],
)
def test_a_page_as_full_as_the_request_asks_for_is_a_warning(
    request_: ApiRequest, name: str
) -> None:
    (warning,) = find_warnings(request_, ROWS)
    assert warning.startswith(
        f"The answer is as full as the request asks for ({name}: 20), and one page is read at GET https://api.example.com/rows"
    )
    assert "write paginate" in warning


@pytest.mark.parametrize(
    "request_",
    [
        ApiRequest("/rows"),
        ApiRequest("/rows", params={"limit": 21}),
        ApiRequest("/rows", params={"q": "limit", "id": 20, "none": None, "limit": True}),
        ApiRequest("/rows", params={"day": "20", "q": "20 rows of limit 200, size 20kg, top 20.5"}),
        ApiRequest("/rows", params={"limit": "9" * 5_000, "[]": 20}),
        ApiRequest("/rows", json={"unlimit": 20, "limit": {"of": 20}}),
    ],
)
def test_a_full_page_without_its_size_in_the_request_gives_none(request_: ApiRequest) -> None:
    """Lists of 50 states, 100 posts or 250 countries are whole."""
    assert find_warnings(request_, ROWS) == []


SIZED = ApiRequest("/rows", params={"limit": 20})


@pytest.mark.parametrize(
    "answer",
    [
        ROWS[:19],
        (ROWS, {"X-Total-Count": "20"}),
        (ROWS, {"X-Next-Page": ""}),
        (ROWS, {"Link": "</rows?page=1>; rel=first"}),
    ],
)
def test_a_list_at_the_root_that_says_that_it_is_all_gives_none(answer: Any) -> None:
    assert find_warnings(SIZED, answer) == []


@pytest.mark.parametrize(
    ("body", "warns"),
    [
        ({}, True),
        ({"count": 20}, True),  # may be that of the page
        ({"total": 20}, False),
        ({"totalCount": 20}, False),
        ({"has_more": False}, False),
        ({"last": True}, False),
        ({"next": None}, False),
    ],
)
def test_fields_beside_the_list_may_say_that_it_is_all(
    body: dict[str, Any], *, warns: bool
) -> None:
    assert len(find_warnings(SIZED, {"items": ROWS, **body}, records="items")) == warns


def test_another_warning_about_the_page_is_enough() -> None:
    for sign in ({"has_more": True}, {"total": 90}):
        (warning,) = find_warnings(SIZED, {"items": ROWS, **sign}, records="items")
        assert "as full as" not in warning


def test_a_few_rows_are_what_was_asked_for() -> None:
    """The five best, or the newest one."""
    assert find_warnings(ApiRequest("/rows", params={"limit": 9}), ROWS[:9]) == []
    assert len(find_warnings(ApiRequest("/rows", params={"limit": 10}), ROWS[:10])) == 1


def test_rows_count_as_the_api_returns_them() -> None:
    body = {"items": [{"lines": [1, 2]} for _ in range(20)]}
    assert len(find_warnings(SIZED, body, records="items[].lines[]")) == 1
    assert len(find_warnings(SIZED, {"items": ROWS}, records="items[?id > `5`]")) == 1
    all_lines = {**body, "totalCount": 40}
    assert find_warnings(SIZED, all_lines, records="items[].lines[]") == []


def test_paginate_says_that_one_page_is_enough_or_reads_on() -> None:
    assert read_warnings(SinglePage(), None, ROWS, request=SIZED) == []
    assert read_warnings(OffsetPaginator(size=20), None, ROWS, [], request=SIZED) == []


CAPPED = [{"id": number} for number in range(100)]


def test_a_page_as_long_as_many_apis_allow_is_a_warning_where_more_is_asked_for() -> None:
    (warning,) = find_warnings(ApiRequest("/rows", params={"limit": 1_000}), CAPPED)
    assert warning.startswith(
        "The answer has 100 records, which many APIs allow at most, and the request asks for more (limit: 1,000), and one page is read"
    )


@pytest.mark.parametrize(
    ("size", "answer"),
    [
        (1_000, CAPPED[:99]),
        (1_000, CAPPED[:50]),  # states
        (99, CAPPED),
        (1_000, (CAPPED, {"X-Total-Count": "100"})),
        (1_000, (CAPPED, {"Link": "</rows?page=1>; rel=first"})),
    ],
)
def test_another_page_below_its_size_gives_none(size: int, answer: Any) -> None:
    assert find_warnings(ApiRequest("/rows", params={"limit": size}), answer) == []
