"""Fields that describe the paging, in the spellings of public APIs; what only looks like one is none."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.api.options import CursorPaginator, PageNumberPaginator, Paginate
from oauth_taskflow.api.request import ApiRequest
from tests.api.pull.offline import read_warnings

ROWS = [{"id": number} for number in range(20)]
TWENTY = {"items": ROWS}
PAGED = {"limit": 20}
PAGE = PageNumberPaginator(size=20)


def find_warnings(
    body: dict[str, Any], headers: dict[str, str] | None = None, paginate: Paginate | None = None
) -> list[str]:
    """Returns the warnings of a pull of twenty items with the rest of a body; a second page is empty."""
    answers = [({**TWENTY, **body}, headers or {}), {"items": []}]
    return read_warnings(paginate, "items", *answers)


@pytest.mark.parametrize(
    "body",
    [
        {"isLast": False},  # Jira
        {"truncated": False, "next_page": 2},
        {"has_more": False, "isLast": False},
        {"is_last": False},
        {"isLastPage": False},  # Bitbucket Server
        {"is_last_page": 0},
        {"lastPage": False},
        {"last": False, "first": True, "number": 0, "extra": 1},  # Spring's slice
        {"last": False, **PAGED},
        {"pageInfo": {"isLastPage": False}},  # NocoDB
        {"hasMoreItems": True},
        {"more": True},
        {"more": True, "extra": 1, **PAGED},  # PagerDuty
        {"meta": {"more": True}},
        {"has-more": True},
        {"has_more": 1},
        {"hasMore": "true"},
        {"Has_More": "1"},
        {"info": {"more_records": True}},  # Zoho
        {"exceededTransferLimit": True},  # ArcGIS
        {"hydra:view": {"@id": "/a?page=1", "hydra:next": "/a?page=2"}},
        {"view": {"@id": "/a?page=1", "next": "/a?page=2"}},  # API Platform
        {"metadata": {"continue": "abc"}},  # Kubernetes
        {"continue": {"apcontinue": "B"}},  # MediaWiki
        {"NextToken": "abc"},
        {"NextMarker": "abc"},
        {"NextContinuationToken": "abc"},
        {"pagination": {"next_uri": "/v2?after=b"}},  # Coinbase
        {"nextPageLink": "https://a.example/b"},
        {"nextPageUri": "/a"},
        {"next_batch": "t2"},  # Matrix
        {"odata.nextLink": "https://a.example/b"},
    ],
)
def test_a_field_that_says_that_more_follow_is_found_in_any_spelling(body: Any) -> None:
    (warning,) = find_warnings(body)
    assert warning.startswith("The answer says that more pages follow (")


@pytest.mark.parametrize(
    "body", [{"pageInfo": {"isLastPage": False}}, {"hydra:view": {"hydra:next": "/b"}}]
)
def test_the_place_is_spelled_as_the_api_does(body: Any) -> None:
    ((place, fields),) = body.items()
    (warning,) = find_warnings(body)
    assert f"({place}.{next(iter(fields))})" in warning


@pytest.mark.parametrize(
    "body",
    [
        {"isLast": True},
        {"last": True, **PAGED},
        {"last": False, "name": "Smith"},  # a record may have a list and a field of this name
        {"last_page": 0, **PAGED},  # a number of pages that counts from 0
        {"last_page": 1, **PAGED},
        {"last": 0, **PAGED},
        {"more": "details", **PAGED},
        {"more": True, "title": "An article"},
        {"more": False},
        {"has_more": 0},
        {"hasMore": 2},
        {"hasMore": "maybe"},
        {"continue": "yes"},
        {"metadata": {"continue": ""}},
        {"view": {"next": "grid"}},
        {"truncated": False},
        {"first": "Ann", "last": False},  # names
        # Zendesk's lists have links on their last page too.
        {"meta": {"has_more": False}, "links": {"next": "/rows?after=b"}},
        {"next_page": "/rows?start_time=9", "end_of_stream": True},
        # The token for what changes later: Plaid's sync.
        {"has_more": False, "next_cursor": "abc"},
        {"hasMore": False, "nextToken": "abc"},
    ],
)
def test_what_is_no_flag_or_denies_more_gives_no_warning(body: Any) -> None:
    assert find_warnings(body) == []


@pytest.mark.parametrize(
    "header",
    ["X-Next-Page", "x-ms-continuationtoken", "Next-Page", "x-ms-continuation-NextRowKey"],
)
@pytest.mark.parametrize(("text", "warns"), [("2", 1), ("", 0), ("0", 0)])
def test_a_pointer_in_a_header_is_a_sign_unless_it_is_empty(
    header: str, text: str, warns: int
) -> None:
    """GitLab's last page has the header with nothing in it."""
    warnings = find_warnings({}, {header: text})
    assert len(warnings) == warns
    assert all(f"({header})" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"totalDocs": 90}, "totalDocs"),
        ({"pageInfo": {"totalRows": 90}}, "pageInfo.totalRows"),
        ({"totalRowCount": 90}, "totalRowCount"),
        ({"recordsTotal": 90, "draw": 1}, "recordsTotal"),
        ({"recordsTotal": 99, "recordsFiltered": 90}, "recordsFiltered"),
        ({"total_rows": 90, "offset": 0}, "total_rows"),
        ({"numberMatched": 90, "numberReturned": 20}, "numberMatched"),
        ({"__count": "90"}, "__count"),
        ({"meta": {"record-count": 90, "page-count": 5}}, "meta.record-count"),
        ({"hydra:totalItems": 90}, "hydra:totalItems"),
        ({"Total-Count": 90}, "Total-Count"),
        ({"result_info": {"page": 1, "count": 20, "total": 90}}, "result_info.total"),
        ({"info": {"count": 90, "pages": 5, "next": None}}, "info.count"),
        ({"items_aggregate": {"aggregate": {"count": 90}}}, "items_aggregate.aggregate.count"),
    ],
)
def test_a_total_is_found_in_any_spelling(body: Any, place: str) -> None:
    (warning,) = find_warnings(body)
    assert f"The answer announces 90 records ({place}), and one page with 20 is read" in warning


def test_the_header_total_is_one_of_records() -> None:
    (warning,) = find_warnings({}, {"Total": "90"})
    assert "announces 90 records (Total)" in warning


@pytest.mark.parametrize(
    "body",
    [
        {"numberMatched": "unknown"},
        {"totalItems": -1},  # PocketBase with skipTotal
        {"recordsTotal": 90, "recordsFiltered": 20},
        {"recordCount": 90, "status_text": "ok"},  # of something else than the list
        {"totalCount": 20, "recordCount": 90},  # of the page
        {"info": {"total": 900, "id": 7}},  # an amount of money
        {"metadata": {"total": 900, "currency": "EUR"}},
        {"users_aggregate": {"aggregate": {"count": 90}}},
        {"items_aggregate": {"aggregate": {"sum": {"price": 90}}}},
        {"items_aggregate": None},
    ],
)
def test_a_number_that_does_not_count_the_list_is_none(body: Any) -> None:
    assert find_warnings(body) == []


@pytest.mark.parametrize(
    ("request_of_part", "is_part"),
    [
        (ApiRequest("/rows", params={"startkey": '"a"'}), True),
        (ApiRequest("/rows?end_key=9"), True),
        (ApiRequest("/rows", method="POST", json={"keys": ["a"]}), True),
        (ApiRequest("/rows?include_docs=true", params={"limit": 50}, json=["keys"]), False),
    ],
)
def test_total_rows_of_couchdb_counts_the_whole_view(
    request_of_part: ApiRequest, *, is_part: bool
) -> None:
    body = {"items": ROWS, "total_rows": 90, "offset": 3}
    assert len(read_warnings(None, "items", body, request=request_of_part)) == (not is_part)


@pytest.mark.parametrize(
    ("body", "headers", "denied"),
    [
        ({"isLast": True}, {}, True),
        ({"last": True}, {}, True),
        ({"NextToken": None}, {}, True),
        ({}, {"X-Next-Page": ""}, True),
        ({"number": 1}, {}, False),
        ({"truncated": False}, {}, False),
    ],
)
def test_the_end_is_denied_in_any_spelling_where_no_pointer_was_found(
    body: Any, headers: dict[str, str], *, denied: bool
) -> None:
    cursor = CursorPaginator(next="weiter", param="after", size=99)
    assert len(find_warnings({**body, "totalDocs": 90}, headers, cursor)) == (not denied)


def test_the_signs_count_where_paginate_ends_too() -> None:
    short = {"items": ROWS[:1], "isLast": False}
    (warning,) = read_warnings(PAGE, "items", TWENTY, short)
    assert "Reading ends at page 2, and its answer says that more pages follow (isLast)" in warning
    (warning,) = find_warnings({"totalDocs": 90}, paginate=PAGE)
    assert "Reading ends after 20 records, and the API announced 90 records (totalDocs)" in warning


def test_keys_of_any_length_and_number_are_read() -> None:
    many = {f"{'key' * 400}{number}": number for number in range(2_000)}
    (warning,) = find_warnings({**many, "totalDocs": 90})
    assert "(totalDocs)" in warning


@pytest.mark.parametrize(
    ("body", "headers", "place"),
    [
        ({"totalPages": 13}, {}, "totalPages"),
        ({"page": 1, "pages": "13"}, {}, "pages"),
        ({"current_page": 1, "last_page": 13}, {}, "last_page"),  # Laravel
        ({"meta": {"page-count": 13}}, {}, "meta.page-count"),
        ({"page": {"number": 0, "totalPages": 13}}, {}, "page.totalPages"),  # Spring
        ({}, {"X-WP-TotalPages": "13"}, "X-WP-TotalPages"),
        ({}, {"X-Pages": "13"}, "X-Pages"),
        ({}, {"X-Pagination": '{"CurrentPage": 1, "TotalPages": 13}'}, "X-Pagination.TotalPages"),
    ],
)
def test_a_number_of_pages_without_paginate_is_a_sign(body: Any, headers: Any, place: str) -> None:
    (warning,) = find_warnings(body, headers)
    assert warning.startswith(f"The answer announces 13 pages ({place}), and one is read at GET")
    assert "Write paginate, or paginate: {type: none}" in warning


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"totalPages": 1}, {}),
        ({"totalPages": 0}, {}),
        ({"title": "A book with chapters", "pages": 300}, {}),
        ({"title": "A book", "last": 300}, {}),
        ({"totalPages": 13, "has_more": False}, {}),
        ({"totalPages": 13, "next": None}, {}),
        ({"totalPages": 13, "total": 20}, {}),
        ({"totalPages": 13, "page": 13}, {}),  # asked for
        ({"totalPages": 13.5}, {}),
        ({"totalPages": {"of": 3}}, {}),
        ({}, {"X-Total-Pages": "1"}),
        ({}, {"X-Total-Pages": "many"}),
        ({}, {"X-Pagination": '{"TotalPages": 1, "TotalCount": 20, "HasNext": false}'}),
        ({}, {"X-Pagination": "13"}),
        ({}, {"X-Pagination": '{"TotalPages": 13'}),
        ({}, {"X-Pagination": "\u00ff"}),
    ],
)
def test_no_number_of_further_pages_gives_no_warning(body: Any, headers: Any) -> None:
    assert find_warnings(body, headers) == []


def test_one_record_may_have_a_number_of_pages_itself() -> None:
    body = {"items": ROWS[:1], "pageCount": 300}
    assert read_warnings(None, "items", body) == []


def test_a_header_with_an_object_has_the_signs_of_a_body() -> None:
    """ASP.NET."""
    (warning,) = find_warnings({}, {"X-Pagination": '{"TotalCount": 90, "PageSize": 20}'})
    assert "announces 90 records (X-Pagination.TotalCount)" in warning
    (warning,) = find_warnings({}, {"X-Pagination": '{"HasNext": true}'})
    assert "more pages follow (X-Pagination.HasNext)" in warning
