"""docs/examples/klaviyo.yaml."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from tests.api.scripted import Asked, Reply
from tests.taskflow.examples.play import Play, Record, Simulator, at, iso, parse

_BOUNDS = re.compile(r"greater-or-equal\((\w+),([^)]+)\),less-than\(\1,([^)]+)\)")


class Klaviyo(Simulator):
    """JSON:API; the next link carries a cursor and everything that was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.profiles = self.make("profile", "updated", 250)
        self.events = self.make("event", "datetime", 1500)
        self.campaigns = {
            channel: [
                {"type": "campaign", "id": f"{channel}-{i}", "attributes": {}} for i in range(30)
            ]
            for channel in ("email", "sms")
        }

    def make(self, kind: str, field: str, count: int) -> list[Record]:
        step = timedelta(hours=1) / count
        return [
            {"type": kind, "id": f"{kind}-{i}", "attributes": {field: iso(at(2, 9) + i * step)}}
            for i in range(count)
        ]

    def routes(self) -> Mapping[str, Callable[[Asked], Any]]:
        return {
            "/profiles": lambda asked: self.list_between(asked, self.profiles, 100),
            "/events": lambda asked: self.list_between(asked, self.events, 1000),
            "/campaigns": self.list_campaigns,
        }

    def list_between(self, asked: Asked, rows: list[Record], most: int) -> Reply:
        if unknown := self.find_unknown(
            asked.query, "filter", "sort", "page[size]", "page[cursor]"
        ):
            return self.refuse(asked, 400, unknown)
        bounds = _BOUNDS.fullmatch(asked.query["filter"])
        if bounds is None or bounds[1] != asked.query["sort"]:
            return self.refuse(asked, 400, "filter")
        since, until = parse(bounds[2]), parse(bounds[3])
        found = [row for row in rows if since <= parse(row["attributes"][bounds[1]]) < until]
        return self.page(asked, found, min(int(asked.query.get("page[size]", 20)), most))

    def list_campaigns(self, asked: Asked) -> Reply:
        channel = re.fullmatch(
            r"equals\(messages\.channel,'(\w+)'\)", asked.query.get("filter", "")
        )
        if channel is None:  # Klaviyo asks for the channel
            return self.refuse(asked, 400, "A channel filter is required")
        return self.page(asked, self.campaigns[channel[1]], 10)

    def page(self, asked: Asked, rows: list[Record], size: int) -> Reply:
        begin = int(asked.query.get("page[cursor]", 0))
        more = {**asked.query, "page[cursor]": str(begin + size)}
        link = f"http://{asked.headers['Host']}{asked.path}?{urlencode(more)}"
        following = link if begin + size < len(rows) else None
        return Reply(
            {"data": rows[begin : begin + size], "links": {"self": "x", "next": following}}
        )


def test_profiles_events_and_campaigns_are_complete(play_example: Play) -> None:
    klaviyo = Klaviyo()
    played = play_example(
        "klaviyo", klaviyo, since="2026-03-02T09:00:00Z", until="2026-03-02T10:00:00Z"
    )
    assert not klaviyo.refused
    assert played.ids("profiles") == [row["id"] for row in klaviyo.profiles]
    assert played.ids("events") == [row["id"] for row in klaviyo.events]
    campaigns = [row["id"] for rows in klaviyo.campaigns.values() for row in rows]
    assert played.ids("campaigns") == campaigns
    assert [played.count(f"/{name}") for name in ("profiles", "events", "campaigns")] == [3, 2, 6]


def test_hours_that_follow_each_other_share_no_event(play_example: Play) -> None:
    klaviyo, ids = Klaviyo(), []
    hours = ["2026-03-02T09:00:00Z", "2026-03-02T09:20:00Z", "2026-03-02T10:00:00Z"]
    for number, (since, until) in enumerate(itertools.pairwise(hours)):
        played = play_example("klaviyo", klaviyo, run=f"run{number}", since=since, until=until)
        ids += played.ids("events")
    assert ids == [row["id"] for row in klaviyo.events]
