"""docs/examples/notion.yaml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from tests.api.scripted import Asked, Reply
from tests.taskflow.examples.play import Play, Record, Simulator, at, iso, parse

DATABASE = "0f2a1b3c4d5e6f708192a3b4c5d6e7f8"


class Notion(Simulator):
    """Pages of at most ``most`` rows, whatever is asked; ``page-3`` is gone by the time its blocks are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.users = [{"id": f"user-{i}"} for i in range(7)]
        self.pages = [
            {"id": f"page-{i}", "last_edited_time": iso(at(2, 8, 58) + timedelta(minutes=i))}
            for i in range(7)
        ]
        self.limited = 1
        self.most = 4

    def routes(self) -> Mapping[str, Callable[[Asked], Any]]:
        return {
            "/users": self.list_users,
            f"/databases/{DATABASE}/query": self.query,
            "/blocks/": self.list_blocks,
        }

    def list_users(self, asked: Asked) -> Reply:
        if self.limited and "start_cursor" in asked.query:
            self.limited -= 1
            return Reply({"code": "rate_limited"}, 429, {"Retry-After": "0"})
        return self.page(asked, asked.query, self.users)

    def query(self, asked: Asked) -> Reply:
        body = asked.json
        if unknown := self.find_unknown(body, "filter", "sorts", "start_cursor", "page_size"):
            return self.refuse(asked, 400, f"body failed validation: {unknown}")
        since = parse(body["filter"]["last_edited_time"]["on_or_after"])
        found = [page for page in self.pages if parse(page["last_edited_time"]) >= since]
        return self.page(asked, body, found)

    def list_blocks(self, asked: Asked) -> Reply:
        page = asked.path.split("/")[2]
        if page == "page-3":
            return Reply({"code": "object_not_found"}, 404)
        return self.page(asked, asked.query, [{"id": f"{page}-block-{i}"} for i in range(2)])

    def page(self, asked: Asked, given: Mapping[str, Any], rows: list[Record]) -> Reply:
        """Cuts ``rows``; the page size is at most 100, and a cursor is opaque."""
        if asked.method == "GET" and (
            unknown := self.find_unknown(given, "start_cursor", "page_size")
        ):
            return self.refuse(asked, 400, unknown)
        size = int(given.get("page_size", 100))
        if not 1 <= size <= 100:
            return self.refuse(asked, 400, "page_size")
        size = min(size, self.most)
        begin = int(given["start_cursor"].removeprefix("cursor-")) if "start_cursor" in given else 0
        more = begin + size < len(rows)
        return Reply(
            {
                "object": "list",
                "results": rows[begin : begin + size],
                "next_cursor": f"cursor-{begin + size}" if more else None,
                "has_more": more,
            }
        )


def test_users_pages_and_their_blocks_are_complete(play_example: Play) -> None:
    notion = Notion()
    played = play_example(
        "notion",
        notion,
        since="2026-03-02T09:00:00Z",
        until="2026-03-02T10:00:00Z",
        params={"database": DATABASE},
    )
    assert not notion.refused
    assert played.ids("users") == [user["id"] for user in notion.users]
    # Two minutes before the hour: the lookback, because times are rounded down to the minute.
    assert played.ids("pages") == [page["id"] for page in notion.pages]
    blocks = [f"page-{i}-block-{j}" for i in range(7) if i != 3 for j in range(2)]
    assert played.ids("blocks") == blocks
    # No request is needless: one page of users comes twice, because it was limited.
    assert [played.count(path) for path in ("/users", "/databases/", "/blocks/")] == [2 + 1, 2, 7]
