"""The first run by list, later ones by events: each record once, whichever run brings it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.engine.run import count_sequences
from oauth_taskflow.specs.windows import Interval
from tests.api.scripted import Asked
from tests.engine.yaml_run import Pulled, pull_yaml, read_endpoint, utc

ENDPOINT = """
request:
  path: /v1/events
  params: {type: charge.*, "created[gte]": "{{ window.start }}", "created[lt]": "{{ window.end }}"}
records: data[].data.object
primary_key: id
paginate: {type: cursor, last_record: id, param: starting_after, more: has_more}
incremental:
  field: created
  format: epoch
  start: 2024-01-01
  step: P7D
  lookback: P1D
  first_run:
    request:
      path: /v1/charges
      params: {type: null, "created[gte]": null, "created[lt]": null}
    records: data
"""


class Stripe:
    """Charges, and the events of each; lists are paged by the id of the last row."""

    def __init__(self) -> None:
        begin = int(utc(2024, 1, 1).timestamp())
        self.charges: list[dict[str, Any]] = [
            {"id": f"ch_{n:03}", "created": begin + n * 86_400} for n in range(40)
        ]

    def __call__(self, asked: Asked) -> Any:
        query = asked.query
        after = query.get("starting_after", "")
        if asked.path == "/v1/charges":
            rows: list[Any] = self.charges
        else:
            low, high = int(query["created[gte]"]), int(query["created[lt]"])
            rows = [
                {"id": charge["id"], "data": {"object": charge}}
                for charge in self.charges
                if low <= charge["created"] < high
            ]
        rows = [row for row in rows if row["id"] > after]
        return {"data": rows[:10], "has_more": len(rows) > 10}


def pull(interval: Interval, folder: Path) -> Pulled:
    return pull_yaml(ENDPOINT, interval, Stripe(), folder)


def test_a_run_without_an_interval_reads_the_list_once_whatever_the_step(tmp_path: Path) -> None:
    run = Interval(None, utc(2024, 2, 10), open_end=True)
    pulled = pull(run, tmp_path)
    assert len(pulled.ids) == len(set(pulled.ids)) == 40
    assert [asked.path for asked in pulled.api.asked] == ["/v1/charges"] * 4
    assert pulled.api.asked[0].query == {}
    assert pulled.manifest["first_run"] is True
    assert pulled.summary.sequences == count_sequences(read_endpoint(ENDPOINT), {}, run) == 1


def test_a_backfill_reads_the_list_in_its_first_run_and_events_in_all_later_ones(
    tmp_path: Path,
) -> None:
    days = [utc(2024, 1, day) for day in range(1, 12)]
    runs = [pull(Interval(a, b), tmp_path / f"{a:%d}") for a, b in pairwise(days)]
    assert [{asked.path for asked in run.api.asked} for run in runs] == [
        {"/v1/charges"},
        *[{"/v1/events"}] * 9,
    ]
    assert ["first_run" in run.manifest for run in runs] == [True, *[False] * 9]
    assert runs[1].ids == ["ch_000", "ch_001"]  # lookback reads the first day again, by events


@pytest.mark.parametrize("start", [utc(2023, 12, 31), utc(2024, 1, 1)])
def test_the_interval_that_holds_start_is_the_first(tmp_path: Path, start: Any) -> None:
    pulled = pull(Interval(start, utc(2024, 1, 3)), tmp_path)
    assert {asked.path for asked in pulled.api.asked} == {"/v1/charges"}


def test_an_interval_before_start_asks_for_nothing(tmp_path: Path) -> None:
    pulled = pull(Interval(utc(2023, 12, 30), utc(2023, 12, 31)), tmp_path)
    assert (pulled.ids, pulled.api.asked) == ([], [])
