"""docs/examples/xero.yaml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from tests.api.scripted import Asked, Reply
from tests.taskflow.examples.play import Play, Record, Simulator, at


class Xero(Simulator):
    """Changes since ``If-Modified-Since``, in pages of 100; dates are those of .NET."""

    def __init__(self) -> None:
        super().__init__()
        self.invoices: list[Record] = [
            {
                "InvoiceID": f"invoice-{i}",
                "UpdatedDateUTC": dotnet(at(2, 9) + timedelta(seconds=20 * i, milliseconds=333)),
                "Date": "/Date(1518685950940+0000)/",
                "HasErrors": False,
            }
            for i in range(250)
        ]
        self.limited = 1

    def routes(self) -> Mapping[str, Callable[[Asked], Any]]:
        return {
            f"/api.xro/2.0/{name}": self.list_changes
            for name in ("Contacts", "Invoices", "Payments")
        }

    def list_changes(self, asked: Asked) -> Reply:
        query, name = asked.query, asked.path.rpartition("/")[2]
        if unknown := self.find_unknown(query, "page", "pageSize", "order", "includeArchived"):
            return self.refuse(asked, 400, unknown)
        if self.limited and query["page"] == "2":
            self.limited -= 1
            return Reply({}, 429, {"Retry-After": "0", "X-Rate-Limit-Problem": "Minute"})
        since = datetime.strptime(asked.headers["If-Modified-Since"], "%Y-%m-%dT%H:%M:%S%z")
        mine = self.invoices if name == "Invoices" else []
        rows = [row for row in mine if int(row["UpdatedDateUTC"][6:-7]) >= since.timestamp() * 1000]
        page, size = int(query["page"]), int(query["pageSize"])
        found = rows[(page - 1) * size : page * size]
        pages = -(-len(rows) // size)
        about = {"page": page, "pageSize": size, "pageCount": pages, "itemCount": len(rows)}
        return Reply({"pagination": about, name: found})


def dotnet(moment: datetime) -> str:
    """Returns an instant as .NET's JSON serialiser writes it."""
    return f"/Date({round(moment.timestamp() * 1000)}+0000)/"


def test_two_hours_of_changes_are_complete_and_none_comes_twice(play_example: Play) -> None:
    xero, rows = Xero(), []
    for hour in (9, 10):
        played = play_example(
            "xero",
            xero,
            run=f"run{hour}",
            since=f"2026-03-02T{hour:02}:00:00Z",
            until=f"2026-03-02T{hour + 1:02}:00:00Z",
        )
        rows += played.records["invoices"]
        assert played.records["contacts"] == played.records["payments"] == []
    assert not xero.refused
    assert [row["InvoiceID"] for row in rows] == [f"invoice-{i}" for i in range(250)]
    assert rows[3]["UpdatedDateUTC"] == "2026-03-02T09:01:00.333Z"
    assert rows[3]["Date"] == "2018-02-15T09:12:30.940Z"
    assert all(set(row) == {"InvoiceID", "UpdatedDateUTC", "Date"} for row in rows)
