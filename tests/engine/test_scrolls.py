"""A server that keeps its place itself, as Elasticsearch's scroll does: no page comes twice, and none may be missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.api.options import CursorPaginator
from oauth_taskflow.errors import ApiRequestFailed, PagesCutShort
from tests.api.scripted import Asked, Reply
from tests.engine.cut_off import build_endpoint, pull, read_output

ROWS = [{"id": number} for number in range(12)]
SCROLL = CursorPaginator(next="scroll", param="scroll", empty_page="end", total="total")


@dataclass
class ScrollServer:
    """Three rows a page behind one cursor; ``cuts`` are the numbers of the requests that fail after the server moved on."""

    cuts: set[int]
    start: int | None = None
    count: int = 0
    begun: int = field(default=0)

    def __call__(self, asked: Asked) -> Any:
        number, self.count = self.count, self.count + 1
        if "scroll" not in asked.query:
            self.start, self.begun = 0, self.begun + 1
        if self.start is None:
            return Reply({"error": "search_context_missing"}, 404)
        rows, self.start = ROWS[self.start : self.start + 3], self.start + 3
        if number in self.cuts:
            return Reply({}, 503)
        return {"items": rows, "scroll": "s", "total": len(ROWS)}


def read_ids(lines: bytes) -> list[int]:
    return [int(line.partition(b":")[2].partition(b"}")[0]) for line in lines.splitlines()]


def test_a_pull_that_loses_a_page_on_the_way_starts_over(tmp_path: Path) -> None:
    server = ScrollServer(cuts={2})
    endpoint = build_endpoint(tmp_path, "cursor", paginate=SCROLL, primary_key=None)
    with pytest.raises(ApiRequestFailed):
        pull(tmp_path, server, endpoint, ["ann"])
    with pytest.raises(PagesCutShort, match="after 9 records, but the API announced 12"):
        pull(tmp_path, server, endpoint, ["ann"])
    assert server.begun == 1, "the second attempt went on"
    _, [lines] = read_output(pull(tmp_path, server, endpoint, ["ann"]))
    assert read_ids(lines) == list(range(12))
    assert server.begun == 2


def test_a_scroll_that_died_meanwhile_starts_over(tmp_path: Path) -> None:
    server = ScrollServer(cuts={2})
    endpoint = build_endpoint(tmp_path, "cursor", paginate=SCROLL, primary_key=None)
    with pytest.raises(ApiRequestFailed):
        pull(tmp_path, server, endpoint, ["ann"])
    server.start = None
    _, [lines] = read_output(pull(tmp_path, server, endpoint, ["ann"]))
    assert read_ids(lines) == list(range(12))
