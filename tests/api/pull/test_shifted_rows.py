"""Rows that come again on a later page: shifted by rows that were added in front, or out of their place."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.api.options import (
    CursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Records,
)
from oauth_taskflow.api.paginators import Paginate
from oauth_taskflow.api.pull.caps.past_cap import pull_records
from oauth_taskflow.api.pull.keys.seen_keys import SeenKeys, digest_key
from oauth_taskflow.api.request import ApiRequest
from tests.api.pull.offline import Offline, first_page


def count_out_of_place(*pages: list[int]) -> int:
    seen = SeenKeys()
    for page in pages:
        seen.begin_page()
        for key in page:
            seen.add(digest_key((key,)))
    return seen.shifted.out_of_place


@pytest.mark.parametrize(
    "pages",
    [
        ([1, 2, 3], [4, 5, 6], [7, 8]),
        ([1, 2, 3], [3, 4, 5], [5, 6, 7]),
        ([1, 2, 3], [4, 5, 6], [2, 3, 4], [5, 6, 7]),  # more rows were added than a page holds
        ([1, 2, 3], [4, 5, 6], [2, 3, 4], [3, 4, 5], [6, 7, 8]),  # twice
        ([1, 2, 3], [4, 5, 6], [4, 5, 6]),
        ([1, 2, 3], [1, 4, 5], [1, 6, 7]),  # a row that is pinned to the top of each page
    ],
)
def test_rows_that_others_shift_to_later_pages_are_in_their_place(
    pages: tuple[list[int], ...],
) -> None:
    assert count_out_of_place(*pages) == 0


@pytest.mark.parametrize(
    ("pages", "count"),
    [
        (([1, 2, 3], [4, 2, 5], [6, 7]), 1),
        (([1, 2, 3], [4, 5, 6], [7, 8, 1]), 1),
        (([1, 2, 3], [4, 5, 6], [1, 2, 3], [7, 8]), 3),  # the page of another number
        (([1, 2, 3], [4, 5, 6], [5, 2, 7]), 1),
    ],
)
def test_other_rows_that_come_again_are_out_of_their_place(
    pages: tuple[list[int], ...], count: int
) -> None:
    assert count_out_of_place(*pages) == count


def test_the_count_is_one_of_a_sequence_and_outlives_the_process() -> None:
    seen = SeenKeys()
    for page in ([1, 2], [3, 1]):
        seen.begin_page()
        for key in page:
            seen.add(digest_key((key,)))
    again = SeenKeys()
    again.restore(seen.save())
    assert again.shifted.out_of_place == 1
    again.restore(seen.save()[:4])  # as release 0.1 wrote it
    assert again.shifted.out_of_place == 0
    seen.begin_sequence()
    assert seen.shifted.out_of_place == 0


@pytest.mark.parametrize(
    ("paginate", "warns"),
    [
        (OffsetPaginator(size=3), True),
        (PageNumberPaginator(size=3), True),
        (OffsetPaginator(size=3, total="all"), False),  # the total decides
        (CursorPaginator(next="next", param="after"), False),
    ],
)
def test_rows_out_of_their_place_are_a_warning_where_pages_shift(
    paginate: Paginate, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The database sorts by a field that several rows share: each page may show these in another order."""
    pages = iter([[1, 2, 3], [4, 5, 2], [7]])
    cursors = iter(["x", "q", None])

    def answer(asked: ApiRequest) -> dict[str, object]:
        rows = [{"id": row} for row in next(pages)]
        return {"items": rows, "all": 5, "next": next(cursors)}

    options: Any = {"records": Records(path="items"), "primary_key": "id", "ahead": 0}
    came = list(pull_records(Offline(answer), first_page, paginate=paginate, **options))
    assert [record["id"] for record in came] == [1, 2, 3, 4, 5, 7]
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == warns
    assert all(
        "1 records came again on a later page, out of their place at" in text for text in texts
    )
