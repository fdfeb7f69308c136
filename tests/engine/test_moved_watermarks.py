"""Runs by stored watermark whose rows move while they are read: the watermark would pass those that are missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from oauth_taskflow.api.options import PageNumberPaginator
from oauth_taskflow.errors import PagesCutShort
from tests.api.scripted import Asked, Reply
from tests.engine.test_resumed_watermarks import ChangingApi, new_bench

PAGES = PageNumberPaginator(param="at", start=0, size=2, size_param=None, total="total")


class TotalApi(ChangingApi):
    """Announces the number of rows; ``then`` is called after page one."""

    then: Callable[[], None] | None = None

    def __call__(self, asked: Asked) -> Any:
        reply = super().__call__(asked)
        rows = self.rows[asked.path.rpartition("/")[2]]
        body = {**reply, "total": sum(row["at"] >= asked.query.get("since", "") for row in rows)}
        if asked.query["at"] == "0" and self.then is not None:
            self.then()
            self.then = None
        return Reply(json.dumps(body).encode())


def test_the_watermark_stays_until_a_run_has_read_all_rows() -> None:
    """The first row changes after page one, and goes to the end: the third comes into page one, unread."""
    with new_bench("page", "instant", primary_key="id", paginate=PAGES, checks=None) as bench:
        api = bench.api = TotalApi("page")
        api.add("ann", 1, 2, 3, 4)

        def change() -> None:
            rows = api.rows["ann"]
            rows.append({**rows.pop(0), "at": "2026-01-02T00:30:00Z"})

        api.then = change
        with pytest.raises(PagesCutShort, match="held 3 different primary keys"):
            bench.attempt("run")
        assert [state for _, state in bench.stored()] == ["{}"]
        (manifest, contents), summary = bench.attempt("run")
        ids = [json.loads(line)["id"] for line in contents[0].splitlines()]
        assert (ids, summary.warnings) == (["ann-1", "ann-2", "ann-3", "ann-0"], [])
        assert manifest["watermark"] == "2026-01-02T00:30:00Z"
