"""docs/examples/hubspot.yaml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from tests.api.scripted import Asked, Reply
from tests.taskflow.examples.play import Play, Record, Simulator, at, iso

CAP = 10_000


class HubSpot(Simulator):
    """Searches end at 10,000 rows: a later ``after`` is refused. Both bounds of BETWEEN are included."""

    def __init__(self, contacts: int) -> None:
        super().__init__()
        self.owners: list[Record] = [{"id": str(i)} for i in range(130)]
        step = timedelta(hours=1) / contacts
        self.contacts = self.make("lastmodifieddate", contacts, step)
        self.deals = self.make("hs_lastmodifieddate", 30, timedelta(minutes=1))
        for number, deal in enumerate(self.deals):
            deal["properties"]["amount"] = "12345678901234567.89" if number else ""

    def make(self, field: str, count: int, step: timedelta) -> list[Record]:
        return [
            {"id": str(i), "properties": {field: iso(at(2, 9) + i * step)}, "archived": False}
            for i in range(count)
        ]

    def routes(self) -> Mapping[str, Callable[[Asked], Any]]:
        return {
            "/crm/v3/owners": self.list_owners,
            "/crm/v3/objects/contacts/search": lambda asked: self.search(asked, self.contacts),
            "/crm/v3/objects/deals/search": lambda asked: self.search(asked, self.deals),
        }

    def list_owners(self, asked: Asked) -> Reply:
        if unknown := self.find_unknown(asked.query, "limit", "after"):
            return self.refuse(asked, 400, unknown)
        return Reply(
            self.page(self.owners, int(asked.query.get("after", 0)), int(asked.query["limit"]))
        )

    def search(self, asked: Asked, rows: list[Record]) -> Reply:
        body = asked.json
        if unknown := self.find_unknown(
            body, "limit", "after", "properties", "sorts", "filterGroups"
        ):
            return self.refuse(asked, 400, unknown)
        [[between]] = [group["filters"] for group in body["filterGroups"]]
        since, until = (_moment(between[name]) for name in ("value", "highValue"))
        field, begin, size = between["propertyName"], int(body.get("after", 0)), body["limit"]
        if begin + size > CAP:
            return self.refuse(asked, 400, "ten thousand rows are all that a search shows")
        found = [row for row in rows if since <= _read_update(row, field) <= until]
        return Reply({"total": len(found), **self.page(found, begin, size)})

    def page(self, rows: list[Record], begin: int, size: int) -> Record:
        end = begin + size
        paging = {"paging": {"next": {"after": str(end)}}} if end < len(rows) else {}
        return {"results": rows[begin:end], **paging}


def _moment(epoch_ms: str | int) -> datetime:
    return datetime.fromtimestamp(int(epoch_ms) / 1000, tz=timezone.utc)


def _read_update(row: Record, field: str) -> datetime:
    # HubSpot keeps milliseconds.
    moment = datetime.fromisoformat(row["properties"][field].replace("Z", "+00:00"))
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def play_hour(play_example: Play, hubspot: HubSpot) -> Any:
    return play_example(
        "hubspot", hubspot, since="2026-03-02T09:00:00Z", until="2026-03-02T10:00:00Z"
    )


def test_owners_contacts_and_deals_are_complete(play_example: Play) -> None:
    hubspot = HubSpot(contacts=500)
    played = play_hour(play_example, hubspot)
    assert not hubspot.refused
    assert played.ids("owners") == [row["id"] for row in hubspot.owners]
    assert played.ids("contacts") == [row["id"] for row in hubspot.contacts]
    assert [row["amount"] for row in played.records["deals"]][:2] == [
        None,
        Decimal("12345678901234567.89"),
    ]
    assert [
        played.count(f"/crm/v3/{path}") for path in ("owners", "objects/contacts", "objects/deals")
    ] == [2, 3, 1]


@pytest.mark.slow
def test_more_contacts_than_a_search_shows_are_complete_and_come_once(play_example: Play) -> None:
    hubspot = HubSpot(contacts=CAP + 2_000)
    played = play_hour(play_example, hubspot)
    assert not hubspot.refused
    assert sorted(map(int, played.ids("contacts"))) == list(range(CAP + 2_000))
