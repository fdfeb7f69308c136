"""Ends whose page says that more follow: a sign that paginate stops too early."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.api.options import (
    CursorPaginator,
    KeysetPaginator,
    LinkHeaderPaginator,
    NextUrlPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginate,
    SinglePage,
    TotalRows,
)
from oauth_taskflow.api.paginators.cursor import LastRecord
from tests.api.pull.offline import read_warnings
from tests.api.pull.styles import custom

ROWS = [{"id": number} for number in range(6)]
PAGE = PageNumberPaginator(size=2)


HEADERS = {"Link", "X-Total-Count", "X-WP-Total", "Content-Range"}


def find_warnings(paginate: Paginate | None, *pages: tuple[int, Any]) -> list[str]:
    """Returns the warnings of a pull of pages, each a number of rows and what else is in it; ``HEADERS`` are headers."""
    answers, start = [], 0
    for count, more in pages:
        headers = {name: text for name, text in more.items() if name in HEADERS}
        answers.append(({"items": ROWS[start : start + count], **more}, headers))
        start += count
    return read_warnings(paginate, "items", *answers, {"items": []})


def test_an_end_whose_page_says_that_more_follow_gives_a_warning() -> None:
    """A page came with a row less, because the API leaves out what the user may not see."""
    assert find_warnings(PAGE, (2, {"has_more": True}), (1, {"has_more": True})) == [
        "Reading ends at page 2, and its answer says that more pages follow (has_more) at GET https://api.example.com/rows. If it "
        "is right, records are missing from this output: correct paginate, or write more."
    ]


LINK = {"Link": "</rows?page=3>; rel=next"}


@pytest.mark.parametrize(
    ("paginate", "last", "sign"),
    [
        (PAGE, LINK, "a Link header with rel=next"),
        (PAGE, {"truncated": True}, "truncated"),
        (OffsetPaginator(size=2), {"IsTruncated": True}, "IsTruncated"),
        (OffsetPaginator(size=2), {"links": {"next": "/rows?page=3"}}, "links.next"),
        (KeysetPaginator(key="id", param="after", size=2), {"next_page": 3}, "next_page"),
        (PageNumberPaginator(total_pages="pages"), {"pages": 2, "hasMore": True}, "hasMore"),
        (CursorPaginator(next="nxt", param="after"), {"next_cursor": "c"}, "next_cursor"),
        (CursorPaginator(header="X-Nxt", param="after"), LINK, "a Link header with rel=next"),
        (NextUrlPaginator(next="nextt"), {"next": "/rows?page=3"}, "next"),
        (LinkHeaderPaginator(), {"nextPageToken": "c"}, "nextPageToken"),
    ],
)
def test_the_sign_is_named(paginate: Paginate, last: Any, sign: str) -> None:
    pages = [(2, {"nxt": "a", "nextt": "?page=2", "pages": 2}), (1, last)]
    if paginate.ends_by == "pointer":
        pages = pages[1:]
    (warning,) = find_warnings(paginate, *pages)
    assert f"says that more pages follow ({sign}) at GET" in warning


def test_a_total_of_the_first_page_alone_is_found_by_its_next_link() -> None:
    paginate = PageNumberPaginator(size=100, total="count")
    (warning,) = find_warnings(paginate, (2, {"count": 2, "links": {"next": "/rows?page=2"}}))
    assert warning.startswith("Reading ends at page 1, and its answer says that more pages follow")


@pytest.mark.parametrize(
    ("paginate", "last"),
    [
        (PAGE, {}),
        (PAGE, {"has_more": False, "next_cursor": None, "links": {"next": None}}),
        (PageNumberPaginator(size=2, total="total"), {"total": 3, "next_page": 3}),
        (PageNumberPaginator(size=2, last="end"), {"end": True, "next_page": 3}),
        (OffsetPaginator(size=2, more="more"), {"more": False, "next_page": 3}),
        (CursorPaginator(next="next_cursor", param="a", end_values=("-1",)), {"next_cursor": "-1"}),
        (
            LinkHeaderPaginator(require={"results": "true"}),
            {"Link": '</rows?c=1>; rel=next; results="false"'},
        ),
        (SinglePage(), LINK),
        (custom(), LINK),
    ],
)
def test_an_end_that_the_api_or_the_author_says_gives_none(paginate: Paginate, last: Any) -> None:
    first = {"total": 3, "end": False, "more": True}
    pages = [(2, first), (1, last)] if paginate.ends_by == "count" else [(1, last)]
    assert find_warnings(paginate, *pages) == []


@pytest.mark.parametrize(
    "paginate",
    [
        PageNumberPaginator(),
        CursorPaginator(next="next", param="after", empty_page="end"),
        CursorPaginator(last_record=LastRecord(path="id"), param="after"),
    ],
)
def test_an_empty_page_is_the_end_whatever_it_says(paginate: Paginate) -> None:
    assert find_warnings(paginate, (2, {"next": "a"}), (0, {"next": "/rows?page=9"})) == []


@pytest.mark.parametrize(
    ("paginate", "announces", "place"),
    [
        (None, {"total_entries": 9}, "total_entries"),
        (None, {"@odata.count": 9}, "@odata.count"),
        (None, {"total": 9, "limit": 2, "skip": 0}, "total"),
        (None, {"count": 9, "next": None, "previous": None}, "count"),
        (None, {"page": {"size": 2, "totalElements": 9, "number": 0}}, "page.totalElements"),
        (None, {"meta": {"pagination": {"page": 1, "total": 9}}}, "meta.pagination.total"),
        (None, {"meta": {"total_count": 20, "filter_count": 9}}, "meta.filter_count"),
        (PAGE, {"totalCount": 9}, "totalCount"),
        (OffsetPaginator(size=2), {"_meta": {"total": 9}}, "_meta.total"),
        (KeysetPaginator(key="id", param="after", size=2), {"total_items": 9}, "total_items"),
        (None, {"total_entries": "9"}, "total_entries"),
        (PAGE, {"meta": {"total": "9"}}, "meta.total"),
    ],
)
def test_a_total_that_the_spec_does_not_name_is_a_sign(
    paginate: Paginate | None, announces: Any, place: str
) -> None:
    pages = [(2, announces)] if paginate is None else [(2, announces), (1, announces)]
    end = "one page with 2 is read" if paginate is None else "Reading ends after 3 records"
    (warning,) = find_warnings(paginate, *pages)
    assert f" 9 records ({place})" in warning
    assert end in warning


@pytest.mark.parametrize("paginate", [None, PAGE])
def test_an_empty_page_that_announces_records_is_a_sign(paginate: Paginate | None) -> None:
    pages = [(0, {"total_count": 9})] if paginate is None else [(2, {}), (0, {"total_count": 9})]
    (warning,) = find_warnings(paginate, *pages)
    assert " 9 records (total_count)" in warning


@pytest.mark.parametrize(
    ("header", "text"), [("X-Total-Count", "9"), ("X-WP-Total", "9"), ("Content-Range", "0-1/9")]
)
def test_a_total_in_a_header_is_a_sign(header: str, text: str) -> None:
    (warning,) = find_warnings(None, (2, {header: text}))
    assert f"announces 9 records ({header})" in warning


KEYSET = KeysetPaginator(key="id", param="after", size=2)


def test_by_a_key_the_total_of_the_first_page_counts() -> None:
    """Each page may announce what is left; a server that compares keys as texts answers an empty page too early."""
    left = [(2, {"total_count": 5}), (2, {"total_count": 3}), (1, {"total_count": 1})]
    assert find_warnings(KEYSET, *left) == []
    (warning,) = find_warnings(KEYSET, (2, {"total_count": 5}), (0, {"total_count": 0}))
    assert "ends after 2 records, and the API announced 5 records (total_count)" in warning


def test_rows_that_are_deleted_while_pages_are_read_may_hide_others() -> None:
    """Those behind them move into pages that were read before. The deleted ones themselves are not missing."""
    pages = [(2, {"total_count": 5}), (2, {"total_count": 4}), (0, {"total_count": 4})]
    (warning,) = find_warnings(PAGE, *pages)
    assert warning.startswith("The total fell from 5 to 4 while pages were read: rows were deleted")


@pytest.mark.parametrize(
    "totals",
    [
        [{"total_count": 2}, {"total_count": 1}],  # of each page
        [{"total_count": 9}, {}],
        [{"total_count": 3}, {"total_items": 2}],
    ],
)
def test_numbers_that_are_no_total_of_all_pages_do_not_fall(totals: list[Any]) -> None:
    warnings = find_warnings(PAGE, (2, totals[0]), (1, totals[1]))
    assert not any("fell" in warning for warning in warnings)


def test_an_estimate_beside_pointers_may_fall() -> None:
    paginate = CursorPaginator(next="nxt", param="after")
    pages = [(2, {"nxt": "a", "total_count": 9}), (1, {"total_count": 3})]
    assert find_warnings(paginate, *pages) == []


def test_a_total_of_page_one_counts_where_a_status_ends_the_pages() -> None:
    paginate = PageNumberPaginator(size=2, end_on_status=(404,))
    (warning,) = read_warnings(paginate, "items", {"items": ROWS[:2], "total_count": 9})
    assert "ends after 2 records, and the API announced 9 records (total_count)" in warning


@pytest.mark.parametrize(
    ("paginate", "last"),
    [
        (None, {"total_entries": 2}),
        (None, {"total": 900, "count": 9}),  # an amount of money
        (None, {"Content-Range": "0-1/*"}),
        (None, {"X-Total-Count": "9" * 5_000}),
        (None, {"Content-Range": "bytes 0-1/900"}),
        (None, {"total_count": "9.00", "total_items": True, "totalCount": None}),
        (None, {"total_count": "9" * 5_000, "total_items": "\u0669", "totalCount": "all"}),
        (SinglePage(), {"total_entries": 9}),
        (PageNumberPaginator(size=9, total="all"), {"all": 2, "total_count": 9}),
        (PageNumberPaginator(size=9, last="end"), {"end": True, "total_count": 9}),
        (CursorPaginator(next="nxt", param="a"), {"nxt": None, "total_count": 9}),
        (CursorPaginator(next="nxt", param="a"), {"has_more": False, "total_count": 9}),
        (CursorPaginator(next="nxt", param="a"), {"next_cursor": "", "total_count": 9}),
        (CursorPaginator(next="nxt", param="a", total="all"), {"all": 2, "total_count": 9}),
        (LinkHeaderPaginator(), {"Link": "</rows?page=1>; rel=first", "total_count": 9}),
        (custom(), {"total_count": 9}),
    ],
)
def test_a_total_that_denies_no_end_is_no_sign(paginate: Paginate | None, last: Any) -> None:
    assert find_warnings(paginate, (2, last)) == []


@pytest.mark.parametrize(
    "paginate",
    [
        CursorPaginator(next="meta.continuation", param="after"),
        NextUrlPaginator(next="more_at"),
        LinkHeaderPaginator(),
    ],
)
def test_a_total_beyond_the_first_page_is_a_sign_where_no_pointer_was_found(
    paginate: Paginate,
) -> None:
    """The pointer is under another name, which no list of names knows."""
    (warning,) = find_warnings(paginate, (3, {"weiter": "/rows?seite=2", "total_count": 9}))
    assert "ends after 3 records, and the API announced 9 records (total_count)" in warning
    assert "deleted meanwhile" not in warning


def test_an_estimate_beyond_the_last_page_is_no_sign_where_pointers_were_found() -> None:
    paginate = CursorPaginator(next="nxt", param="after")
    pages = [(2, {"nxt": "a", "total_count": 900}), (1, {"total_count": 900})]
    assert find_warnings(paginate, *pages) == []


FULL = 10


def find_lost_pages(paginate: Paginate, *ends: dict[str, Any]) -> list[str]:
    """Returns the warnings of a pull of three full pages, where the last one has what is in ``ends``."""
    pages = [
        {"items": [{"id": number * FULL + row} for row in range(FULL)], "total": 47}
        for number in range(3)
    ]
    leads_on = [
        ({**page, "nxt": f"/rows?at=c{number}"}, {"Link": f"</rows?at=c{number}>; rel=next"})
        for number, page in enumerate(pages[:2], start=2)
    ]
    body = {key: value for end in ends for key, value in end.items()}
    headers = {name: body.pop(name) for name in HEADERS & body.keys()}
    return read_warnings(paginate, "items", *leads_on, ({**pages[2], **body}, headers))


POINTER_STYLES: list[Paginate] = [
    CursorPaginator(next="nxt", param="after"),
    NextUrlPaginator(next="nxt"),
    LinkHeaderPaginator(),
]


@pytest.mark.parametrize("paginate", POINTER_STYLES)
@pytest.mark.parametrize(
    "end",
    [
        {},
        {"nxt": None},
        {"nxt": ""},
        {"links": {"next": None}},
        {"Link": "</rows?page=1>; rel=first"},
    ],
)
def test_a_pointer_that_is_lost_behind_a_full_page_is_a_sign_beside_a_total(
    paginate: Paginate, end: dict[str, Any]
) -> None:
    (warning,) = find_lost_pages(paginate, end)
    assert warning.startswith(
        "Reading ends after 30 records, and the API announced 47 records (total) at GET"
    )


@pytest.mark.parametrize("paginate", POINTER_STYLES)
@pytest.mark.parametrize(
    ("end", "total", "warns"), [({}, 30, 1), ({"nxt": None}, 31, 1), ({}, 29, 0)]
)
def test_an_empty_page_with_a_total_that_lacks_a_full_page_is_a_sign(
    paginate: Paginate, end: dict[str, Any], total: int, warns: int
) -> None:
    """A cache or a server that could not answer: an API that hides rows which it counts lacks fewer."""
    totals = {"total": total}
    pages = [
        (
            {
                "items": [{"id": n * FULL + row} for row in range(FULL)],
                "nxt": f"/rows?at=c{n}",
                **totals,
            },
            {"Link": f"</rows?at=c{n}>; rel=next"},
        )
        for n in range(2)
    ]
    for last in (totals, {}):  # the empty page need not repeat it
        found = read_warnings(paginate, "items", *pages, {"items": [], **last, **end})
        assert len(found) == warns


def test_a_few_rows_that_are_missing_are_a_sign_where_nothing_names_the_end() -> None:
    """Next to an empty pointer they may be rows that the API counts and hides."""
    cursor = POINTER_STYLES[0]
    pages = [
        {"items": [{"id": n * FULL + row} for row in range(FULL)], "total": 23, "nxt": f"c{n}"}
        for n in range(2)
    ]
    for end, count in (({"nxt": None}, 0), ({}, 1)):
        last = {key: value for key, value in pages[1].items() if key != "nxt"}
        assert len(read_warnings(cursor, "items", pages[0], {**last, **end})) == count


@pytest.mark.parametrize("paginate", POINTER_STYLES)
@pytest.mark.parametrize(
    "end",
    [
        {"items": ROWS[:5]},  # a page that is not full
        {"total": 46},  # an estimate
        {"total": None},
        {"has_more": False},  # the API's word
        {"isLast": True},
        {"total": 30},
    ],
)
def test_what_tells_an_estimate_or_names_the_end_behind_pointers_is_no_sign(
    paginate: Paginate, end: dict[str, Any]
) -> None:
    assert find_lost_pages(paginate, {"nxt": None}, end) == []


@pytest.mark.parametrize(("total", "warns"), [(1_000, 0), (1_001, 1)])
@pytest.mark.parametrize(("rows", "is_full"), [(10, True), (9, False)])
def test_a_round_total_is_an_estimate_and_a_few_rows_are_no_full_page(
    total: int, warns: int, rows: int, *, is_full: bool
) -> None:
    """YouTube's searches announce 1,000,000."""
    pages = [
        {"items": [{"id": n * rows + row} for row in range(rows)], "total": total, "nxt": f"c{n}"}
        for n in range(2)
    ]
    del pages[1]["nxt"]
    assert len(read_warnings(POINTER_STYLES[0], "items", *pages)) == (warns and is_full)


def test_an_end_value_or_flag_of_the_spec_decides_about_a_lost_pointer() -> None:
    assert (
        find_lost_pages(CursorPaginator(next="nxt", param="a", end_values=("0",)), {"nxt": "0"})
        == []
    )
    by_status = CursorPaginator(next="nxt", param="a", end_on_status=(404,))
    assert find_lost_pages(by_status, {"nxt": "more"}) == []
    named = CursorPaginator(next="nxt", param="a", total=TotalRows(path="total", approximate=True))
    (warning,) = find_lost_pages(named)
    assert "total is approximate" in warning


def test_the_total_of_a_single_record_is_its_own() -> None:
    assert find_warnings(None, (1, {"total_items": 9})) == []


def test_an_announced_number_of_records_within_the_rows_is_reached_by_them() -> None:
    """The API returns orders, counts their lines, and the path makes a record of each line."""
    order = {"lines": [{"id": 1}, {"id": 2}]}
    pages = [{"orders": [order] * rows, "total_count": 6} for rows in (2, 1)]
    assert read_warnings(PAGE, "orders[].lines[]", *pages) == []


@pytest.mark.parametrize("name", ["count", "next", "total_count"])
def test_a_number_that_python_does_not_read_is_no_sign(name: str) -> None:
    body = b'{"items": [1, 2], "limit": 2, "%s": %s}' % (name.encode(), b"9" * 5_000)
    assert read_warnings(None, "items", body) == []
