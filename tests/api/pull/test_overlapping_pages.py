"""Numbered pages that overlap: a warning, or a failure where paginate steps by too little."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from oauth_taskflow.api.options import (
    CursorPaginator,
    KeysetPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginate,
    Records,
)
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.pull.marks import Marks, PageMark
from oauth_taskflow.errors import PagesCutShort, PaginationLoop
from tests.api.pull.both_sessions import read_by_both
from tests.api.pull.offline import Offline, first_page

CURSOR = CursorPaginator(next="next", param="after")


def find_overlap(
    paginate: Paginate, *pages: list[Any], decode: bool = True, **options: Any
) -> list[str]:
    """Returns the warnings of a pull of ``pages``, which come one after the other whatever is asked for."""
    number, warnings = count(1), list[str]()

    def answer(_: Any) -> Any:
        at = next(number)
        return {
            "items": pages[at - 1],
            "more": at < len(pages),
            "next": at if at < len(pages) else "",
        }

    list(
        pull(
            Offline(answer),
            first_page,
            paginate=paginate,
            records=Records(path="items"),
            decode=decode,
            warn=warnings.append,
            **options,
        )
    )
    return warnings


ROWS = [{"id": number} for number in range(9)]
OVERLAP = [
    "The last record of page 1 came again on page 2, so records are in this output twice. If paginate steps by less than a "
    "page, correct param, start or unit; if records were added while pages were read, write primary_key, which drops repeats."
]
OFFSET, PAGE = OffsetPaginator(size=4, more="more"), PageNumberPaginator(size=4, more="more")


@pytest.mark.parametrize("paginate", [OFFSET, PAGE])
def test_numbered_pages_that_overlap_give_a_warning(paginate: Paginate) -> None:
    assert find_overlap(paginate, ROWS[:3], ROWS[2:5], ROWS[4:6]) == OVERLAP
    assert find_overlap(paginate, ROWS[:3], ROWS[2:5], decode=False) == OVERLAP


@pytest.mark.parametrize(
    ("paginate", "pages", "has_key"),
    [
        (OFFSET, [ROWS[:3], ROWS[3:6]], False),
        (OFFSET, [ROWS[:3], ROWS[2:5]], True),
        (CURSOR, [ROWS[:3], ROWS[2:5]], True),
        (KeysetPaginator(key="id", param="after"), [ROWS[:3], ROWS[3:5], []], False),
        (OFFSET, [[{"on": 1}] * 3, [{"on": 1}] * 2], False),
        (OFFSET, [[{"on": 1}], [{"on": 1}]], False),
        (PAGE, [ROWS[:3], [], ROWS[2:5]], False),
    ],
    ids=[
        "joined",
        "with a primary key",
        "a cursor and a key",
        "keyset",
        "equal records",
        "lone records",
        "a gap",
    ],
)
def test_pages_without_an_overlap_or_whose_repeats_are_harmless_give_none(
    paginate: Paginate, pages: list[list[Any]], *, has_key: bool
) -> None:
    assert find_overlap(paginate, *pages, drops_repeats=has_key) == []


def test_cursors_whose_pages_overlap_give_another_warning_and_never_fail() -> None:
    pointer = [
        OVERLAP[0].partition(" If ")[0]
        + " If the API begins a page with records of the page before, write primary_key, which drops repeats."
    ]
    assert find_overlap(CURSOR, ROWS[:3], ROWS[2:5], ROWS[4:6]) == pointer
    assert find_overlap(CURSOR, *STEPS) == pointer


@pytest.mark.parametrize("has_key", [True, False])
def test_a_page_that_comes_again_under_another_cursor_gives_a_warning(*, has_key: bool) -> None:
    again = (
        "Page 3 has as many records as an earlier page, and the same first and last ones, under another page cursor or URL: "
        "records came twice, and others may be missing. Check paginate and the request's parameters."
    )
    pages = [ROWS[:3], ROWS[3:6], ROWS[:3], ROWS[6:9]]
    assert find_overlap(CURSOR, *pages, drops_repeats=has_key) == [again]
    assert find_overlap(CURSOR, ROWS[:1], ROWS[1:4], ROWS[:1], drops_repeats=has_key) == []
    equal = [[{"on": 1}] * 3, ROWS[:3], [{"on": 1}] * 3]
    assert find_overlap(CURSOR, *equal, drops_repeats=has_key) == []


STEPS = [ROWS[first : first + 4] for first in range(5)]
DEEP = "Each of 3 pages in a row began with more than half of the page before, the last of them page 4 at GET https://api"


def test_numbered_pages_that_step_by_one_row_fail() -> None:
    with pytest.raises(PaginationLoop, match=DEEP) as caught:
        find_overlap(PAGE, *STEPS)
    assert not caught.value.retryable
    assert find_overlap(PAGE, *STEPS, drops_repeats=True) == []
    assert find_overlap(PAGE, *STEPS[:3]) == OVERLAP


def test_pages_that_end_with_one_record_are_not_taken_for_pages_that_step_by_one_row() -> None:
    pages = [
        [{"hour": hour, "events": day if hour < 3 else 0} for hour in range(4)] for day in range(9)
    ]
    assert find_overlap(PAGE, *pages) == OVERLAP


def test_a_pull_that_goes_on_warns_no_second_time() -> None:
    def answer(asked: Any) -> Any:
        at = asked.params["page"]
        return {"items": STEPS[at - 1][at == 3 :], "more": at < 3}

    warnings, marks = list[str](), Marks()
    options: dict[str, Any] = {
        "paginate": PAGE,
        "records": Records(path="items"),
        "decode": True,
        "warn": warnings.append,
    }
    pages = list(pull(Offline(answer), first_page, **options))
    for page in pages[:2]:
        assert isinstance(page.mark, PageMark)
        marks.add(page.mark)
    assert warnings == OVERLAP
    list(pull(Offline(answer), first_page, resume=marks.state(), **options))
    assert warnings == OVERLAP


@pytest.mark.parametrize("primary_key", [None, "id", ["id", "n"]])
def test_sessions_compare_pages_too(primary_key: Any) -> None:
    """``paginate`` of a session drops repeats only where it knows the key."""

    def answer(asked: Any) -> Any:
        at = int(asked.query["page"])
        rows = [{**row, "n": 0} for row in STEPS[at - 1]]
        return {"items": rows, "more": at < len(STEPS)}

    options = {"records": "items", "paginate": PAGE, "primary_key": primary_key}
    if primary_key is None:
        with pytest.raises(PaginationLoop, match="Each of 3 pages in a row"):
            read_by_both(answer, **options)
    else:
        records, asked = read_by_both(answer, **options)
        assert [record["id"] for record in records] == list(range(8))
        assert len(asked) == 5


def test_sessions_find_rows_that_moved() -> None:
    """Row 1 is changed after page one and goes to the end: row 3 moves into page one, unread."""
    pages = [[1, 2], [4, 1]]

    def answer(asked: Any) -> Any:
        return {"items": [{"id": row} for row in pages[int(asked.query["page"]) - 1]], "total": 4}

    paginate = PageNumberPaginator(size=2, total="total")
    options = {"records": "items", "paginate": paginate}
    with pytest.raises(
        PagesCutShort, match="announced 4 rows, and its pages held 3 different"
    ) as caught:
        read_by_both(answer, primary_key="id", **options)
    assert caught.value.retryable
    assert len(read_by_both(answer, **options)[0]) == 4
    pages[1] = [3, 4]
    assert len(read_by_both(answer, primary_key="id", **options)[0]) == 4
