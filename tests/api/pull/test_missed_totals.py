"""A total that no answer has at the place that the spec names: it is a warning, and counts as not written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import pytest

from oauth_taskflow.api.options import (
    CursorPaginator,
    KeysetPaginator,
    NextUrlPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginate,
    Records,
    SinglePage,
    TotalRows,
)
from oauth_taskflow.api.pull.caps.past_cap import pull_records
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.pull.page_warnings import PageEnds, PageWarnings, judge_ends
from oauth_taskflow.api.request import ApiRequest
from tests.api.pull.offline import Offline, first_page

SIZE = 50
MISSED = (
    "No answer had a total at 'meta.total', so that nothing was compared with it. Correct total in paginate, or remove it if the "
    "API sends none; records may be missing from this output."
)
OFFSET = OffsetPaginator(size=SIZE, total="meta.total")
NEXT_URL = NextUrlPaginator(next="next", total="meta.total")
HEADER = TotalRows(header="X-Totl")


@dataclass
class Listing:
    """250 rows in pages of 50; ``change`` changes them after page one. Each page announces their number, and ``more`` if any."""

    change: Callable[[list[int]], list[int]] = list
    more: int = 0
    meta: dict[str, Any] = field(default_factory=dict)
    rows: list[int] = field(default_factory=lambda: list(range(250)))

    def __call__(self, asked: ApiRequest) -> Any:
        query = dict(parse_qsl(asked.path.partition("?")[2]))
        start = int({**query, **asked.params}.get("offset", 0))
        rows, count = self.rows[start : start + SIZE], len(self.rows) + self.more
        if start == 0:
            self.rows = self.change(self.rows)
        end = start + SIZE
        following = f"/rows?offset={end}" if end < len(self.rows) else None
        meta = {"total_count": count, **self.meta}
        return {"items": [{"id": row} for row in rows], "meta": meta, "next": following}


def move_to_front(rows: list[int]) -> list[int]:
    return [*rows[100:120], *rows[:100], *rows[120:]]


def delete_first(rows: list[int]) -> list[int]:
    return rows[20:]


def read(
    api: Callable[[ApiRequest], Any], paginate: Paginate, caplog: pytest.LogCaptureFixture
) -> tuple[int, list[str]]:
    """Returns the number of records that came, and the warnings."""
    options: dict[str, Any] = {"records": Records(path="items"), "primary_key": "id", "ahead": 0}
    came = list(pull_records(Offline(api), first_page, paginate=paginate, **options))
    return len(came), [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("paginate", [OFFSET, NEXT_URL])
@pytest.mark.parametrize("meta", [{}, {"total": None}])
def test_a_total_that_no_answer_has_is_a_warning(
    paginate: Paginate, meta: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert read(Listing(meta=meta), paginate, caplog) == (250, [MISSED])


def test_the_warning_names_a_header_too(caplog: pytest.LogCaptureFixture) -> None:
    paginate = OffsetPaginator(size=SIZE, total=HEADER)
    _, (warning,) = read(Listing(), paginate, caplog)
    assert warning.startswith("No answer had a total in the header 'X-Totl', so that")


@pytest.mark.parametrize("total", ["meta.total", HEADER, TotalRows(path="at", approximate=True)])
@pytest.mark.parametrize(
    ("listing", "came", "sign"),
    [
        (
            {"more": 50},
            250,
            "after 250 records, and the API announced 300 records (meta.total_count)",
        ),
        ({"change": move_to_front}, 230, "The API announced 250 rows (meta.total_count), and its"),
        ({"change": delete_first}, 230, "The total fell from 250 to 230 while pages were read"),
    ],
)
def test_a_number_that_is_found_counts_as_if_no_total_were_written(
    total: Any,
    listing: dict[str, Any],
    came: int,
    sign: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows, warnings = read(Listing(**listing), OffsetPaginator(size=SIZE, total=total), caplog)
    caplog.clear()
    assert rows == came
    assert sign in "\n".join(warnings)
    bare = read(Listing(**listing), OffsetPaginator(size=SIZE), caplog)[1]
    assert [text for text in warnings if not text.startswith("No answer had a total")] == bare


def test_rows_that_moved_behind_next_urls_are_found_too(caplog: pytest.LogCaptureFixture) -> None:
    rows, warnings = read(Listing(move_to_front), NEXT_URL, caplog)
    assert rows == 230
    assert any("changed their place while pages were read" in text for text in warnings)


@pytest.mark.parametrize("total", ["all", TotalRows(path="all", approximate=True)])
def test_rows_out_of_their_place_are_found_without_any_number(
    total: Any, caplog: pytest.LogCaptureFixture
) -> None:
    pages = iter([[1, 2, 3], [4, 5, 2], [7]])
    paginate = PageNumberPaginator(size=3, total=total)
    _, warnings = read(lambda _: {"items": [{"id": row} for row in next(pages)]}, paginate, caplog)
    assert any("came again on a later page, out of their place" in text for text in warnings)


def find_ends(paginate: Paginate, *answers: Any) -> PageEnds:
    left = iter([*answers, {"items": []}])
    warnings = PageWarnings(paginate)
    warnings.begin_sequence()
    options: dict[str, Any] = {"records": Records(path="items"), "warn": lambda _: None}
    for page in pull(Offline(lambda _: next(left)), first_page, paginate=paginate, **options):
        warnings.add_page(page)
    warnings.end_sequence()
    return warnings.ends()


ONE: dict[str, Any] = {"items": [{"id": 1}]}
TWO: dict[str, Any] = {"items": [{"id": 2}]}


@pytest.mark.parametrize(
    ("answers", "warns"),
    [
        ([ONE, TWO], True),
        ([{**ONE, "total": 2}, TWO], False),  # on page one alone
        ([ONE, {**TWO, "total": 2}], False),
        ([{"items": []}], False),
        ([{**ONE, "total": -1}], True),  # unknown in all answers
    ],
)
@pytest.mark.parametrize(
    "paginate",
    [
        PageNumberPaginator(size=1, total="total"),
        KeysetPaginator(key="id", param="after", total="total"),
        PageNumberPaginator(total=TotalRows(path="total", approximate=True)),
    ],
)
def test_one_answer_with_the_total_is_enough(
    paginate: Paginate, answers: list[Any], *, warns: bool
) -> None:
    warnings = list(judge_ends([find_ends(paginate, *answers)]))
    assert len(warnings) == warns


@pytest.mark.parametrize(
    "paginate", [SinglePage(total="all"), CursorPaginator(next="next", param="after", total="all")]
)
def test_the_total_of_another_task_shows_that_its_place_is_right(paginate: Paginate) -> None:
    without, found = find_ends(paginate, ONE), find_ends(paginate, {**ONE, "all": 1})
    (warning,) = judge_ends([without, without])
    assert warning.startswith("No answer had a total at 'all'")
    assert list(judge_ends([without, found])) == []


def test_a_total_of_the_last_page_alone_outweighs_a_number_that_the_spec_does_not_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers = iter([{**ONE, "total_count": 9}, {**TWO, "all": 2}])
    paginate = PageNumberPaginator(size=1, total="all")
    assert read(lambda _: next(answers), paginate, caplog) == (2, [])
