from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from oauth_taskflow.api.options import (
    CursorPaginator,
    LinkHeaderPaginator,
    NextUrlPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginate,
    Records,
    TotalRows,
)
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.pull.page_warnings import PageWarnings, judge_ends
from tests.api.pull.both_sessions import read_by_both
from tests.api.pull.offline import Offline, first_page

CURSOR = CursorPaginator(next="paging.after", param="after")


def find_warning(paginate: Paginate | None, *ended: tuple[int, int], **params: Any) -> str | None:
    firsts = PageWarnings(paginate, params=params)
    for pages, first_rows in ended:
        firsts.add_sequence(pages, first_rows)
    return next(firsts.warnings(), None)


@pytest.mark.parametrize(
    ("paginate", "pointer"),
    [
        (CURSOR, "a cursor at 'paging.after'"),
        (CursorPaginator(header="X-Next", param="after"), "a header 'X-Next'"),
        (NextUrlPaginator(next="links.nxt"), "a next URL at 'links.nxt'"),
        (NextUrlPaginator(), "a next URL at 'next'"),
        (LinkHeaderPaginator(), "a Link header with rel=next"),
    ],
)
def test_a_full_first_page_without_a_next_one_gives_a_warning(
    paginate: Paginate, pointer: str
) -> None:
    assert find_warning(paginate, (1, 3), (1, 100), limit=100) == (
        "No second page was ever found, although a first page was full (100 rows): no answer had "
        f"{pointer}. If there are more records, correct paginate; they are missing from this output."
    )


@pytest.mark.parametrize("ended", [((1, 99),), ((1, 0),), ((1, 100), (2, 100)), ()])
def test_a_short_first_page_or_a_second_page_gives_no_warning(
    ended: tuple[tuple[int, int], ...],
) -> None:
    assert find_warning(CURSOR, *ended, limit="100") is None


@pytest.mark.parametrize(("rows", "expected"), [(20, True), (25, True), (5, False), (37, False)])
def test_without_a_size_a_round_number_is_taken_for_a_full_page(
    rows: int, *, expected: bool
) -> None:
    assert (find_warning(CURSOR, (1, rows)) is not None) is expected


def test_the_size_of_the_paginator_is_the_size() -> None:
    sized = CursorPaginator(next="after", param="after", size=7)
    assert find_warning(sized, (1, 7)) is not None
    assert find_warning(sized, (1, 100)) is None


@pytest.mark.parametrize(
    "paginate",
    [
        None,
        PageNumberPaginator(),
        CursorPaginator(next="after", param="after", more="more"),
        NextUrlPaginator(next="next", last="last"),
        CursorPaginator(last_record="id", param="after"),
    ],
)
def test_paging_with_another_end_marker_gives_no_warning(paginate: Paginate | None) -> None:
    assert find_warning(paginate, (1, 100)) is None


@pytest.mark.parametrize(
    ("paginate", "count"),
    [
        (PageNumberPaginator(size=50, total="count"), "total (count)"),
        (PageNumberPaginator(size=50, total_pages="page"), "total_pages (page)"),
        (OffsetPaginator(size=50, total=TotalRows(header="X-Count")), "total (X-Count)"),
    ],
)
def test_a_count_that_ends_after_a_full_first_page_gives_a_warning(
    paginate: Paginate, count: str
) -> None:
    """It may count what is in the page, or be the page's own number."""
    warning = find_warning(paginate, (1, 50))
    assert warning is not None
    assert f"a first page was full (50 rows): {count} marked it as the last one" in warning
    assert find_warning(paginate, (1, 49)) is None
    assert find_warning(paginate, (1, 50), (2, 50)) is None


def test_pages_without_the_records_path_give_a_warning() -> None:
    firsts = PageWarnings(None, "itmes")
    firsts.add_sequence(1, 0, found=False, missed=True)
    (warning,) = firsts.warnings()
    assert warning.startswith("No answer had records at 'itmes', and were read as empty pages.")
    assert "records.absent: empty" in warning
    firsts.add_sequence(2, 50)
    assert next(firsts.warnings()).startswith("Some answers had no records at 'itmes'")


@pytest.mark.parametrize(
    ("paginate", "ended", "warns"),
    [
        (PageNumberPaginator(start=0, total_pages="meta.pages"), [(3, 50, 50)], True),
        (PageNumberPaginator(start=0, total_pages="meta.pages"), [(3, 50, 50), (2, 50, 7)], False),
        (PageNumberPaginator(start=0, total_pages="meta.pages"), [(3, 50, 50), (1, 7, 7)], False),
        (PageNumberPaginator(start=0, total_pages="meta.pages"), [(3, 2, 2)], False),
        (PageNumberPaginator(start=1, total_pages="meta.pages"), [(3, 50, 50)], False),
        (PageNumberPaginator(start=0, total="total"), [(3, 50, 50)], False),
        (None, [(1, 50, 50)], False),
    ],
)
def test_a_number_of_pages_that_may_count_from_zero_gives_a_warning(
    paginate: Paginate | None, ended: list[tuple[int, int, int]], *, warns: bool
) -> None:
    """The last page would never be read, and the one before it is always full."""
    firsts = PageWarnings(paginate)
    for pages, first, last in ended:
        firsts.add_sequence(pages, first, last)
    expected = (
        "The last page by total_pages (meta.pages) was as full as the first one (50 rows), and page numbers count from 0. If the "
        "number of pages does too, the last page is missing from this output: correct paginate."
    )
    assert list(firsts.warnings()) == [expected] * warns


def test_a_sessions_pull_logs_what_no_single_page_shows(caplog: pytest.LogCaptureFixture) -> None:
    def answer(asked: Any) -> Any:
        return {"more": False} if "/lost" in asked.path else {"items": [{}] * 50}

    cursor = CursorPaginator(next="after", param="after", size=50)
    read_by_both(answer, records="items", paginate=cursor)
    texts = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text.partition(":")[0] for text in texts] == [
        "No second page was ever found, although a first page was full (50 rows)"
    ] * 2
    caplog.clear()
    lost = {"records": "items", "paginate": PageNumberPaginator(more="more")}
    assert read_by_both(answer, path="/lost", **lost)[0] == []
    assert "No answer had records at 'items'" in caplog.text


@pytest.mark.parametrize(
    ("body", "warns"),
    [({}, 1), ({"links": None}, 1), ({"links": {}}, 1)]
    + [({"links": {"next": end}}, 0) for end in (None, "")],
)
@pytest.mark.parametrize(
    "paginate", [CursorPaginator(next="links.next", param="c"), NextUrlPaginator(next="links.next")]
)
def test_an_empty_next_pointer_in_its_place_is_an_end_without_doubt(
    caplog: pytest.LogCaptureFixture, paginate: Paginate, body: dict[str, Any], warns: int
) -> None:
    read_by_both(lambda _: {"items": [{}] * 50, **body}, records="items", paginate=paginate)
    assert caplog.text.count("No second page was ever found") == warns * 2


ROWS = [{"id": number} for number in range(50)]
SIZED = CursorPaginator(next="weiter", param="after", size=50)
NUMBERED = PageNumberPaginator(size=50, total_pages="pages")


def end_with(
    paginate: Paginate,
    body: dict[str, Any],
    headers: dict[str, str] | None = None,
    path: str = "items",
) -> list[str]:
    """The warnings about a pull whose only page has the rows that are in ``body``, or fifty."""
    end: dict[str, Any] = {"paginate": paginate, "records": Records(path=path)}
    offline = Offline(lambda _: ({"items": ROWS, **body}, headers or {}))
    warnings = PageWarnings(paginate)
    warnings.begin_sequence()
    for page in pull(offline, first_page, warn=lambda _: None, **end):
        warnings.add_page(page)
    warnings.end_sequence()
    return list(warnings.warnings())


@pytest.mark.parametrize(
    ("paginate", "body", "headers"),
    [
        (SIZED, {}, {"X-Total-Count": "50"}),
        (SIZED, {"totalCount": 50}, {}),
        (SIZED, {"total": "50"}, {}),
        (SIZED, {"meta": {"total": 50, "count": 50}}, {}),
        (SIZED, {"hits": 0, "total": {"value": 50, "relation": "eq"}}, {}),
        (LinkHeaderPaginator(), {}, {"Content-Range": "0-49/50"}),
        (CursorPaginator(next="weiter", param="after", total="count", size=50), {"count": 50}, {}),
        (NUMBERED, {"pages": 1, "total": 50}, {}),
        (PageNumberPaginator(size=50, total="totalItems"), {"totalItems": 50}, {}),
        (
            OffsetPaginator(size=50, total=TotalRows(header="X-Total-Count")),
            {},
            {"X-Total-Count": "50"},
        ),
    ],
)
def test_a_full_first_page_with_all_that_is_announced_is_the_end(
    paginate: Paginate, body: dict[str, Any], headers: dict[str, str]
) -> None:
    assert end_with(paginate, body, headers) == []


@pytest.mark.parametrize(
    ("paginate", "body"),
    [
        (SIZED, {}),
        (SIZED, {"count": 50}),  # that of the page, as well as not
        (SIZED, {"totalCount": 49}),
        (SIZED, {"hits": 0, "total": {"value": 50, "relation": "gte"}}),  # a lower bound
        (NUMBERED, {"pages": 1}),
        (NUMBERED, {"pages": 1, "count": 50}),
        (PageNumberPaginator(size=50, total="total"), {"total": 50}),
        (PageNumberPaginator(size=50, total="meta.count"), {"meta": {"count": 50}}),
    ],
)
def test_a_full_first_page_beside_a_number_that_may_be_its_own_is_in_doubt(
    paginate: Paginate, body: dict[str, Any]
) -> None:
    (warning,) = end_with(paginate, body)
    assert warning.startswith("No second page was ever")


def test_a_number_of_the_records_that_rows_hold_is_reached_too() -> None:
    body = {"items": [{"lines": [1, 2]}] * 50, "totalCount": 100}
    assert end_with(SIZED, body, path="items[].lines[]") == []


def judge_tasks(
    paginate: Paginate, *tasks: Sequence[tuple[int, int, int]], **params: Any
) -> list[str]:
    """The warnings about tasks of one endpoint: each has ended sequences of pages, first rows and last rows."""
    ends = []
    for task in tasks:
        found = PageWarnings(paginate, params=params)
        for pages, first_rows, last_rows in task:
            found.add_sequence(pages, first_rows, last_rows)
        ends.append(found.ends())
    return list(judge_ends(ends))


def test_full_first_pages_of_several_tasks_give_one_warning_with_the_most_rows() -> None:
    (warning,) = judge_tasks(CURSOR, [(1, 50, 50)], [(1, 100, 100)], [(1, 3, 3)], [])
    assert warning.startswith("No second page was ever found, although a first page was full (100")


def test_a_second_page_of_another_task_shows_that_paging_works() -> None:
    assert judge_tasks(CURSOR, [(1, 50, 50)], [(2, 50, 7)], limit=50) == []


def test_a_second_page_by_other_paging_shows_nothing() -> None:
    ends = []
    for paginate, pages in ((CURSOR, 1), (NextUrlPaginator(), 2)):
        found = PageWarnings(paginate)
        found.add_sequence(pages, 100, 100)
        ends.append(found.ends())
    (warning,) = judge_ends(ends)
    assert "a cursor at 'paging.after'" in warning


def test_a_full_last_page_warns_once_unless_another_task_ended_with_a_short_one() -> None:
    paginate = PageNumberPaginator(param="p", start=0, total_pages="pages")
    full, short = [(2, 50, 50)], [(3, 50, 7)]
    (warning,) = judge_tasks(paginate, full, full)
    assert warning.startswith(
        "The last page by total_pages (pages) was as full as the first one (50"
    )
    assert judge_tasks(paginate, full, short) == []
