"""docs/examples/slack.yaml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from tests.api.scripted import Asked, Reply
from tests.taskflow.examples.play import Play, Record, Simulator, at

HOUR = int(at(2, 9).timestamp())


class Slack(Simulator):
    """Every answer has status 200 but that of a used-up limit; pages are short, the second page of a list is empty."""

    def __init__(self) -> None:
        super().__init__()
        self.users = [{"id": f"U{i}"} for i in range(5)]
        self.channels = [{"id": f"C{i}", "is_member": i != 2} for i in range(3)]
        # At the beginning of the hour, inside, at its very end, and after it.
        seconds = (
            "0.000000",
            "0.000200",
            "1800.500000",
            "3599.999999",
            "3600.000000",
            "3700.000100",
        )
        self.messages = {
            channel: [
                {"ts": _ts(HOUR, each), "text": each, **self.thread(HOUR, each)} for each in seconds
            ]
            for channel in ("C0", "C1")
        }
        self.limited = 1

    def thread(self, hour: int, second: str) -> Record:
        return {"thread_ts": _ts(hour, second), "reply_count": 2} if second == "1800.500000" else {}

    def routes(self) -> Mapping[str, Callable[[Asked], Any]]:
        return {
            "/users.list": lambda asked: self.page(asked, "members", self.users),
            "/conversations.list": lambda asked: self.page(asked, "channels", self.channels),
            "/conversations.history": self.list_history,
            "/conversations.replies": self.list_replies,
        }

    def list_history(self, asked: Asked) -> Reply:
        query = asked.query
        if self.limited:
            self.limited -= 1
            return Reply({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": "0"})
        if query["channel"] not in self.messages:
            return Reply({"ok": False, "error": "not_in_channel"})
        oldest, latest = Decimal(query["oldest"]), Decimal(query["latest"])
        if query.get("inclusive") != "true":
            return self.refuse(asked, 200, "this test asks with inclusive=true")
        rows = [
            row for row in self.messages[query["channel"]] if oldest <= Decimal(row["ts"]) <= latest
        ]
        return self.page(asked, "messages", rows[::-1])

    def list_replies(self, asked: Asked) -> Reply:
        query = asked.query
        first = next(row for row in self.messages[query["channel"]] if row["ts"] == query["ts"])
        replies = [
            {"ts": f"{query['ts']}{i}", "thread_ts": query["ts"], "text": f"reply {i}"}
            for i in range(first.get("reply_count", 0))
        ]
        return self.page(asked, "messages", [first, *replies])

    def page(self, asked: Asked, name: str, rows: list[Record]) -> Reply:
        """Two rows at a time; behind the first two comes a page without rows that has a cursor."""
        known = (
            "limit",
            "cursor",
            "types",
            "exclude_archived",
            "channel",
            "oldest",
            "latest",
            "inclusive",
            "ts",
        )
        if unknown := self.find_unknown(asked.query, *known):
            return self.refuse(asked, 200, unknown)
        at_row, _, kind = asked.query.get("cursor", "0:rows").partition(":")
        begin = int(at_row)
        if kind == "empty":
            return Reply(_body(name, [], f"{begin}:rows"))
        end = begin + 2
        following = "" if end >= len(rows) else f"{end}:{'empty' if begin == 0 else 'rows'}"
        return Reply(_body(name, rows[begin:end], following))


def _ts(hour: int, seconds: str) -> str:
    return f"{hour + Decimal(seconds):.6f}"


def _body(name: str, rows: list[Record], cursor: str) -> Record:
    return {"ok": True, name: rows, "response_metadata": {"next_cursor": cursor}}


def play_hours(play_example: Play, slack: Slack, *hours: int) -> list[Any]:
    return [
        play_example(
            "slack",
            slack,
            run=f"run{hour}",
            since=f"2026-03-02T{hour:02}:00:00Z",
            until=f"2026-03-02T{hour + 1:02}:00:00Z",
        )
        for hour in hours
    ]


def test_messages_and_replies_of_two_hours_are_complete_and_none_comes_twice(
    play_example: Play,
) -> None:
    slack = Slack()
    first, second = play_hours(play_example, slack, 9, 10)
    assert not slack.refused
    assert first.ids("users") == [user["id"] for user in slack.users]
    assert first.ids("channels") == ["C0", "C1", "C2"]
    seen = [
        (row["channel_id"], row["ts"]) for run in (first, second) for row in run.records["messages"]
    ]
    wanted = [(channel, row["ts"]) for channel, rows in slack.messages.items() for row in rows]
    assert sorted(seen) == sorted(wanted)
    assert len(first.records["messages"]) == 8
    threads = [(row["channel_id"], row["text"]) for row in first.records["replies"]]
    assert threads == [(channel, f"reply {i}") for channel in ("C0", "C1") for i in range(2)]
    # One request was refused for its rate, and came again.
    assert first.count("/conversations.history") == 2 * 4 + 1 + 1
