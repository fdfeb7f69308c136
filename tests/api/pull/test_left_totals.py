"""Totals that count what is left, from each page on or behind it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.api.options import NextUrlPaginator, Records
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.errors import ApiError, PagesCutShort
from oauth_taskflow.specs.windows import Interval
from tests.api.pull.offline import Offline, answer, first_page, read_warnings
from tests.api.pull.test_marks import state_after
from tests.api.scripted import Asked
from tests.engine.yaml_run import pull_yaml, utc

NEXT = NextUrlPaginator(next="nxt", total="total")
FALL = "The total fell from {} to {} while pages were read: rows were deleted, and if the pointer"


def answers(rows: Sequence[int], totals: Sequence[int | None]) -> list[Any]:
    """Pages of so many ``rows``, with opaque pointers."""
    bodies = []
    for index, (count, total) in enumerate(zip(rows, totals, strict=True)):
        start = sum(rows[:index])
        body: dict[str, Any] = {"items": [{"id": f"r{start + row}"} for row in range(count)]}
        body |= {} if total is None else {"total": total}
        bodies.append(body | ({"nxt": f"/rows?at=c{index}"} if index < len(rows) - 1 else {}))
    return bodies


@pytest.mark.parametrize(
    ("rows", "totals"),
    [
        ([10, 10, 10, 7], [37, 27, 17, 7]),
        ([10, 10, 10, 7], [27, 17, 7, 0]),
        ([10, 10, 10, 10], [40, 30, 20, 10]),
        ([10, 10, 10, 10], [30, 20, 10, 0]),
        ([10, 4], [14, 4]),
        ([10, 4], [4, 0]),
        ([10, 3, 10, 7], [30, 20, 17, 7]),
        ([10, 10, 10, 10, 2], [40, 30, 20, 12, 2]),  # two rows were added
        ([10, 10, 10, 0], [30, 20, 10, 0]),
    ],
)
def test_totals_of_what_is_left_are_no_sign_of_deleted_rows(
    rows: list[int], totals: list[int]
) -> None:
    assert read_warnings(NEXT, "items", *answers(rows, totals)) == []


@pytest.mark.parametrize(
    ("rows", "totals"),
    [([10, 10, 10], [37, 27, 17]), ([10, 10, 10], [27, 17, 7]), ([10, 10], [37, 27])],
)
def test_an_end_before_nothing_is_left_fails(rows: list[int], totals: list[int]) -> None:
    with pytest.raises(PagesCutShort, match="but the API announced"):
        read_warnings(NEXT, "items", *answers(rows, totals))


@pytest.mark.parametrize(
    ("rows", "totals", "fall"),
    [
        ([10, 10, 7], [37, 27, 27], (37, 27)),  # as many were deleted as a page holds
        ([10, 7], [27, 17], (27, 17)),
        ([10, 10, 10, 5], [37, 35, 35, 35], (37, 35)),
        ([10, 10, 10, 7], [37, 27, None, None], (37, 27)),
    ],
)
def test_other_falls_are_a_warning(
    rows: list[int], totals: list[int | None], fall: tuple[int, int]
) -> None:
    (warning,) = read_warnings(NEXT, "items", *answers(rows, totals))
    assert warning.startswith(FALL.format(*fall))


def test_a_fall_is_a_warning_although_a_pull_was_cut_off_before_the_page_that_explains_it() -> None:
    bodies = answers([10, 10, 7], [37, 27, 27])
    options: Any = {"paginate": NEXT, "records": Records(path="items")}
    warnings, left, before = list[str](), iter(bodies[:2]), list[Page]()
    cut_off = Offline(lambda _: next(left, answer({}, status=500)))
    with pytest.raises(ApiError):
        before.extend(pull(cut_off, first_page, warn=warnings.append, **options))
    assert (len(before), warnings) == (2, [])
    rest = Offline(lambda _: bodies[2])
    list(pull(rest, first_page, warn=warnings.append, resume=state_after(before), **options))
    (warning,) = warnings
    assert warning.startswith(FALL.format(37, 27))


def test_what_is_left_counts_moved_rows_once_more_and_none_is_missing(tmp_path: Path) -> None:
    """Row r0 is changed after page three and goes to the end, behind the key from which the pointer goes on."""
    ids = [["r0", "r1"], ["r2", "r3"], ["r4", "r5"], ["r6", "r7"], ["r0"]]
    left = iter([8, 6, 4, 3, 1])

    def route(asked: Asked) -> Any:
        at = int(asked.query.get("at", "c0")[1:])
        body = {"items": [{"id": one} for one in ids[at]], "total": next(left)}
        return body | ({"nxt": f"/rows?at=c{at + 1}"} if at < 4 else {})

    spec = "{request: {path: /rows}, records: items, primary_key: id, paginate: {type: next_url, next: nxt, total: total}}"
    done = pull_yaml(spec, Interval(None, utc(2026, 1, 1)), route, tmp_path)
    assert (done.summary.rows, done.summary.warnings) == (8, [])
