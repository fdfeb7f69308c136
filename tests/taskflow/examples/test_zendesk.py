"""docs/examples/zendesk.yaml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from tests.api.scripted import Asked, Reply
from tests.taskflow.examples.play import Play, Record, Simulator, at

EXPORTS = ("tickets", "users")


class Zendesk(Simulator):
    """An export is a log of changes: a ticket that changes again comes again. ``start_time`` with a cursor is refused."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[Record] = [{"id": i} for i in range(130)]
        self.logs: dict[str, list[Record]] = {name: [] for name in EXPORTS}
        self.limited = 1

    def change(self, name: str, *ids: int) -> None:
        """Appends changes to a log."""
        log = self.logs[name]
        first = at(2, 9)
        for each in ids:
            moment = first + timedelta(seconds=len(log))
            log.append(
                {"id": each, "change": len(log), "generated_timestamp": int(moment.timestamp())}
            )

    def routes(self) -> Mapping[str, Callable[[Asked], Any]]:
        return {
            "/groups.json": self.list_groups,
            "/incremental/tickets/cursor.json": lambda asked: self.export(asked, "tickets"),
            "/incremental/users/cursor.json": lambda asked: self.export(asked, "users"),
        }

    def list_groups(self, asked: Asked) -> Reply:
        if unknown := self.find_unknown(asked.query, "page[size]", "page[after]"):
            return self.refuse(asked, 400, unknown)
        begin, size = int(asked.query.get("page[after]", 0)), int(asked.query["page[size]"])
        end = begin + size
        meta = {"has_more": end < len(self.groups), "after_cursor": str(end)}
        return Reply({"groups": self.groups[begin:end], "meta": meta})

    def export(self, asked: Asked, name: str) -> Reply:
        query, log = asked.query, self.logs[name]
        if unknown := self.find_unknown(query, "per_page", "start_time", "cursor"):
            return self.refuse(asked, 400, unknown)
        if ("start_time" in query) == ("cursor" in query):
            return self.refuse(asked, 400, "either start_time or cursor")
        if self.limited and "cursor" in query:
            self.limited -= 1
            return Reply({"error": "rate limited"}, 429, {"Retry-After": "0"})
        since = int(query.get("start_time", 0))
        first = next(
            (i for i, row in enumerate(log) if row["generated_timestamp"] >= since), len(log)
        )
        begin = int(query["cursor"].removeprefix("after-")) if "cursor" in query else first
        end = min(begin + 100, len(log))  # Zendesk sends as many as it likes
        cursor = f"after-{end}"
        more = urlencode({"cursor": cursor, "per_page": query["per_page"]})
        return Reply(
            {
                name: log[begin:end],
                "after_cursor": cursor,
                "after_url": f"http://{asked.headers['Host']}{asked.path}?{more}",
                "end_of_stream": end == len(log),
            }
        )


def test_each_run_goes_on_at_the_cursor_of_the_run_before(play_example: Play) -> None:
    zendesk = Zendesk()
    zendesk.change("tickets", *range(250))
    first = play_example("zendesk", zendesk, run="first", moves=True)
    zendesk.change("tickets", 249, 3, 250)
    zendesk.change("users", 1)
    second = play_example("zendesk", zendesk, run="second", moves=True)
    third = play_example("zendesk", zendesk, run="third", moves=True)
    assert not zendesk.refused
    assert first.ids("groups") == list(range(130))
    assert first.ids("tickets") == list(range(250))
    assert [second.ids(name) for name in EXPORTS] == [[249, 3, 250], [1]]
    assert [third.ids(name) for name in EXPORTS] == [[], []]
    assert [run.count("/incremental/tickets") for run in (first, second, third)] == [3 + 1, 1, 1]
    begins = [asked.query.get("cursor") for asked in second.requests if "/tickets/" in asked.path]
    assert begins == ["after-250"]
