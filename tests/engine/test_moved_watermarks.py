"""Runs by stored watermark whose rows move while they are read: the watermark would pass those that are missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from oauth_taskflow.api.options import (
    CursorPaginator,
    NextUrlPaginator,
    PageNumberPaginator,
    Paginate,
)
from oauth_taskflow.errors import PagesCutShort
from tests.api.scripted import Asked, Reply
from tests.engine.test_resumed_watermarks import ChangingApi, new_bench

PAGES = PageNumberPaginator(param="at", start=0, size=2, size_param=None, total="total")


class MovingApi(ChangingApi):
    """``then`` is called after page one."""

    then: Callable[[], None] | None = None

    def __call__(self, asked: Asked) -> Any:
        reply = super().__call__(asked)
        if asked.query.get("at", "0") == "0" and self.then is not None:
            self.then()
            self.then = None
        return reply

    def move_first_row(self) -> None:
        """Changes the first row after page one: it goes to the end, and the third comes into page one, unread."""

        def change() -> None:
            rows = self.rows["ann"]
            rows.append({**rows.pop(0), "at": "2026-01-02T00:30:00Z"})

        self.then = change


class TotalApi(MovingApi):
    """Announces the number of rows as it was before they moved."""

    def __call__(self, asked: Asked) -> Any:
        rows = self.rows[asked.path.rpartition("/")[2]]
        total = sum(row["at"] >= asked.query.get("since", "") for row in rows)
        body = {**super().__call__(asked), "total": total}
        return Reply(json.dumps(body).encode())


def test_the_watermark_stays_until_a_run_has_read_all_rows() -> None:
    with new_bench("page", "instant", primary_key="id", paginate=PAGES, checks=None) as bench:
        api = bench.api = TotalApi("page")
        api.add("ann", 1, 2, 3, 4)
        api.move_first_row()
        with pytest.raises(PagesCutShort, match="held 3 different primary keys"):
            bench.attempt("run")
        assert [state for _, state in bench.stored()] == ["{}"]
        (manifest, contents), summary = bench.attempt("run")
        ids = [json.loads(line)["id"] for line in contents[0].splitlines()]
        assert (ids, summary.warnings) == (["ann-1", "ann-2", "ann-3", "ann-0"], [])
        assert manifest["watermark"] == "2026-01-02T00:30:00Z"


@pytest.mark.parametrize("cuts", [set[int](), {1}, {2}])
def test_without_a_total_rows_that_come_again_with_other_content_are_a_warning(
    cuts: set[int],
) -> None:
    """The watermark passes the third row, and nothing else shows it. The pull may be cut off at any page."""
    paginate = replace(PAGES, total=None)
    with new_bench("page", "instant", primary_key="id", paginate=paginate, checks=None) as bench:
        api = bench.api = MovingApi("page")
        api.add("ann", 1, 2, 3, 4)
        api.move_first_row()
        api.cuts = cuts
        _, contents, summary = bench.finish("run")
    assert [json.loads(line)["id"] for line in contents[0].splitlines()] == [
        "ann-0",
        "ann-1",
        "ann-3",
        "ann-0",
    ]
    (warning,) = summary.warnings
    assert warning.startswith("1 records came again on a later page with other content at https://")


@pytest.mark.parametrize(
    ("paginate", "style"),
    [
        (NextUrlPaginator(next="url"), "next url"),
        (CursorPaginator(next="next", param="at"), "cursor"),
    ],
)
@pytest.mark.parametrize("cuts", [set[int](), {1}, {2}, {3}])
def test_rows_move_behind_pointers_that_count_pages_as_behind_page_numbers(
    paginate: Paginate, style: str, cuts: set[int]
) -> None:
    with new_bench(style, "instant", primary_key="id", paginate=paginate, checks=None) as bench:
        api = bench.api = MovingApi(style)
        api.add("ann", *range(1, 8))
        api.move_first_row()
        api.cuts = cuts
        _, contents, summary = bench.finish("run")
    ids = [json.loads(line)["id"] for line in contents[0].splitlines()]
    assert ids == ["ann-0", "ann-1", "ann-3", "ann-4", "ann-5", "ann-6", "ann-0"]
    (warning,) = summary.warnings
    assert warning.startswith("1 records came again on a later page with other content at https://")
