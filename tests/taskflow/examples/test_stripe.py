"""docs/examples/stripe.yaml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.api.scripted import Asked, Reply
from tests.taskflow.examples.play import Play, Record, Simulator, at

NEW_YEAR = int(at(1, month=1).timestamp())
HOUR = int(at(2, 9).timestamp())


class Stripe(Simulator):
    """Lists, newest first; a cursor that is not an id of the list is refused, and so is ``types[]`` at a list of objects."""

    def __init__(self) -> None:
        super().__init__()
        self.charges: list[Record] = [
            {"id": f"ch_{i}", "object": "charge", "created": NEW_YEAR + i, "amount": i}
            for i in range(250)
        ]
        self.customers: list[Record] = [
            {"id": f"cus_{i}", "object": "customer", "created": NEW_YEAR + i} for i in range(3)
        ]
        # In this hour every charge was refunded, and the first thirty changed once more after that.
        changes = [*range(250), *range(30)]
        self.events: list[Record] = [
            {
                "id": f"evt_{number}",
                "type": "charge.refunded" if number < 250 else "charge.updated",
                "created": HOUR + number,
                "data": {"object": {**self.charges[i], "refunded": True, "change": number}},
            }
            for number, i in enumerate(changes)
        ]
        self.limited = 1

    def routes(self) -> Mapping[str, Callable[[Asked], Any]]:
        return {
            "/v1/charges": lambda asked: self.page(asked, self.charges),
            "/v1/customers": lambda asked: self.page(asked, self.customers),
            "/v1/events": self.list_events,
        }

    def list_events(self, asked: Asked) -> Reply:
        types = parse_qs(urlsplit(asked.target).query)["types[]"]
        return self.page(
            asked, [event for event in self.events if event["type"] in types], "types[]"
        )

    def page(self, asked: Asked, rows: list[Record], *more: str) -> Reply:
        query = asked.query
        if unknown := self.find_unknown(
            query, "limit", "created[gte]", "created[lt]", "starting_after", *more
        ):
            return self.refuse(asked, 400, unknown)
        if self.limited and "starting_after" in query:
            self.limited -= 1
            return Reply({"error": {"code": "rate_limit"}}, 429, {"Retry-After": "0"})
        since, until = int(query["created[gte]"]), int(query["created[lt]"])
        found = [row for row in rows if since <= row["created"] < until][::-1]
        ids = [row["id"] for row in found]
        after = query.get("starting_after")
        if after is not None and after not in ids:
            return self.refuse(asked, 400, f"No such object: {after}")
        begin = ids.index(after) + 1 if after is not None else 0
        end = begin + min(int(query["limit"]), 100)
        return Reply({"object": "list", "data": found[begin:end], "has_more": end < len(found)})


def test_the_first_run_reads_the_lists(play_example: Play) -> None:
    stripe = Stripe()
    played = play_example("stripe", stripe, until="2026-03-02T09:00:00Z")
    assert not stripe.refused
    assert sorted(played.ids("charges")) == sorted(row["id"] for row in stripe.charges)
    assert sorted(played.ids("customers")) == ["cus_0", "cus_1", "cus_2"]
    assert [played.count(path) for path in ("/v1/charges", "/v1/customers", "/v1/events")] == [
        3 + 1,
        1,
        0,
    ]


def test_a_later_run_reads_each_object_that_changed_as_it_is_now(play_example: Play) -> None:
    stripe = Stripe()
    played = play_example(
        "stripe", stripe, since="2026-03-02T09:00:00Z", until="2026-03-02T10:00:00Z"
    )
    assert not stripe.refused
    changes = {row["id"]: row["change"] for row in played.records["charges"]}
    assert changes == {f"ch_{i}": 250 + i if i < 30 else i for i in range(250)}
    assert len(played.records["charges"]) == 250
    assert played.records["customers"] == []
    assert [played.count(path) for path in ("/v1/charges", "/v1/customers")] == [0, 0]
