"""More parents than may have a watermark each: integers and instants are read again rather than lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.engine.for_each import Slice
from oauth_taskflow.specs.model import Endpoint, ForEachOptions
from oauth_taskflow.specs.request import Request
from oauth_taskflow.specs.windows import Incremental
from oauth_taskflow.watermarks.state import WatermarkState
from oauth_taskflow.watermarks.store import WatermarkStore
from tests.api.scripted import Asked
from tests.engine.test_positions import IDENTITY, Bench, endpoint

PARENTS, MOST = 25, 20


class Messages:
    """Messages of each channel, with ids that grow over all of them."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {str(n): [] for n in range(PARENTS)}
        self.last = 0

    def add(self, *channels: int) -> None:
        for channel in channels:
            self.last += 1
            at = f"2026-01-01T11:{self.last // 60:02}:{self.last % 60:02}Z"
            self.rows[str(channel)].append({"id": self.last, "at": at})

    def __call__(self, asked: Asked) -> Any:
        since = asked.query.get("since", "")
        rows = self.rows[asked.path.rpartition("/")[2]]
        if since.isdecimal():
            return {"data": [row for row in rows if row["id"] > int(since)]}
        return {"data": [row for row in rows if row["at"] >= since]}


def of_parents(incremental: Incremental, since: str) -> Endpoint:
    return endpoint(
        incremental,
        for_each={"c": ForEachOptions(endpoint="parents")},
        request=Request(path="/{{ c.id }}", params={"since": since}),
        primary_key="id",
    )


BY_ID = of_parents(
    Incremental(by="watermark", field="id", field_format="integer"),
    "{{ watermark.value | default(0) }}",
)
BY_TIME = of_parents(
    Incremental(by="watermark", field="at", start="2026-01-01"), "{{ window.start }}"
)


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [BY_ID, BY_TIME], ids=["integers", "instants"])
def test_parents_beyond_the_limit_lose_no_record(wanted: Endpoint, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.store = WatermarkStore(f"sqlite:///{tmp_path}/t.db", most_partitions=MOST)
    parents = tmp_path / "parents.jsonl"
    parents.write_text("".join(f'{{"id": {n}}}\n' for n in range(PARENTS)))
    api, found = Messages(), list[int]()

    def run(run_id: str, take: int) -> list[str]:
        item = {"c": Slice(file=str(parents), take=take)}
        rows, summary = bench.run(run_id, wanted, api, item=item, map_index=0)
        found.extend(row["id"] for row in rows)
        return [text for text in summary.warnings if "share the lowest" in text]

    api.add(*range(PARENTS))
    assert run("a", MOST) == []
    assert len(bench.list_stored()) == MOST
    api.add(3, 24)
    assert len(run("b", PARENTS)) == 1
    assert len(bench.store.list_watermarks()) == 1  # bounded
    api.add(0, 7, 24)
    run("c", PARENTS)
    assert set(found) == {row["id"] for rows in api.rows.values() for row in rows}
    # A whole run moves what all share.
    reached = api.last if wanted is BY_ID else f"2026-01-01T11:00:{api.last}Z"
    assert bench.store.roll_up(IDENTITY, "c", WatermarkState(reached))
    run("d", PARENTS)
    shown = f"2026-01-01T11:00:{api.last}Z" if wanted is BY_TIME else str(api.last)
    assert {query["since"] for query in bench.asked} == {shown}
