"""Rows that change their place while numbered pages are read: as many come as were announced, and some are missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.errors import ApiRequestFailed
from tests.api.scripted import Reply
from tests.engine.cut_off import pull
from tests.engine.yaml_run import read_endpoint

# Row 1 is changed after page one and goes to the end: row 3 moves into page one, unread.
MOVED = [[1, 2], [4, 1]]
WARNING = (
    "The API announced 4 rows, and its pages held 3 different primary keys: rows changed their place while pages were read, "
    "and others may be missing. Sort by something that does not change, or read by keyset or cursor. If several rows have one "
    "key, correct primary_key."
)
PAGES = "paginate: {type: page, size: 2, total: total}"


def find_warnings(
    folder: Path, pages: list[list[int]], totals: list[int], paginate: str, refused: int = 0
) -> list[str]:
    def answer(asked: Any) -> Any:
        number = int(asked.query.get("page", 0)) or int(asked.query["offset"]) // 2 + 1
        if number == refused:
            return Reply(status=403)
        found = pages[number - 1] if number <= len(pages) else []
        rows = [{"id": row, "on": row != 9} for row in found]
        return {"data": rows, "total": totals[min(number, len(totals)) - 1]}

    spec = f"{{request: {{path: /x}}, records: data, primary_key: id, concurrency: 1, {paginate}}}"
    out = str(folder / "out")
    return pull(folder, answer, read_endpoint(spec), [], item={}, location=out).warnings


@pytest.mark.parametrize("paginate", [PAGES, "paginate: {type: offset, size: 2, total: total}"])
def test_rows_that_move_between_pages_give_a_warning(tmp_path: Path, paginate: str) -> None:
    assert find_warnings(tmp_path, MOVED, [4, 4], paginate) == [WARNING]


def test_rows_that_move_between_two_attempts_give_a_warning(tmp_path: Path) -> None:
    with pytest.raises(ApiRequestFailed):
        find_warnings(tmp_path, MOVED, [4, 4], PAGES, refused=2)
    # Page one is not asked for again, so what it would hold by now does not matter.
    assert find_warnings(tmp_path, MOVED, [4, 4], PAGES, refused=1) == [WARNING]


@pytest.mark.parametrize(
    ("pages", "totals", "paginate"),
    [
        ([[1, 2], [3, 4]], [4, 4], PAGES),
        ([[1, 2], [2, 3], [4]], [4, 5, 5], PAGES),
        (MOVED, [4, 4], "paginate: {type: page, size: 2, total: {path: total, approximate: true}}"),
        ([[1, 2], [9, 4]], [4, 4], f"where: on, {PAGES}"),
    ],
    ids=["in place", "a row added in front", "an estimate", "a row left out"],
)
def test_rows_that_stay_or_come_in_front_give_none(
    tmp_path: Path, pages: list[list[int]], totals: list[int], paginate: str
) -> None:
    assert find_warnings(tmp_path, pages, totals, paginate) == []
