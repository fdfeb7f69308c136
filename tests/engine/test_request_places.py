"""``concurrency`` of an endpoint: how many requests a task has in flight, over pages, windows and parents."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.api.options import CursorPaginator, PageNumberPaginator, Paginate, RateLimit
from oauth_taskflow.api.pull.in_flight import places, prefetch
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.engine.for_each import Slice
from oauth_taskflow.engine.request_places import endpoint_places
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.engine.summary import EndpointSummary
from oauth_taskflow.errors import ApiRequestFailed
from oauth_taskflow.specs.model import Endpoint, Request
from oauth_taskflow.specs.windows import Interval
from tests.api.scripted import Asked, Reply, scripted
from tests.engine.test_run import NEW_YEAR, rows
from tests.support.auth import bearer_auth


class BusyApi:
    """Pages of ten rows, of 60 for each parent; counts requests at once and refuses more than ``most``."""

    def __init__(
        self, *, rows: int = 60, most: int = 1_000, latency: float = 0.02, status: int = 429
    ) -> None:
        self.rows, self.most, self.latency, self.status = rows, most, latency, status
        self.running = self.peak = self.refused = self.count = 0
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Any:
        with self._lock:
            self.running += 1
            self.count += 1
            running = self.running
            self.peak = max(self.peak, running)
        try:
            time.sleep(self.latency)
            if running > self.most:
                self.refused += 1
                return Reply({}, self.status)
            start = (int(asked.query.get("page", 1)) - 1) * 10
            found = range(start, min(start + 10, self.rows))
            return {"data": [{"id": f"{asked.path}/{n}"} for n in found], "total": self.rows}
        finally:
            with self._lock:
                self.running -= 1


COUNTED = PageNumberPaginator(size=10, size_param="limit", total="total")
PAGES = PageNumberPaginator(size=10, size_param="limit")


def run(
    folder: Path, api: BusyApi, *, parents: int = 1, on_page: Any = None, **options: Any
) -> tuple[EndpointSummary, list[str]]:
    source = folder / "parents.jsonl"
    source.write_text("".join(json.dumps({"id": n}) + "\n" for n in range(parents)))
    endpoint = Endpoint(
        request=Request(path="/p{{ p.id }}"),
        records="data",
        for_each={"p": "parents"},
        destination=FileDestination(path=str(folder / "out")),
        **{"paginate": PAGES, **options},
    )
    with (
        scripted(api) as server,
        OAuthSession(server.url, bearer_auth("t"), conn_id="crm") as session,
    ):
        task = EndpointRun(
            name="x",
            endpoint=endpoint,
            run_id="r",
            template_context={"endpoint": "x"},
            interval=Interval(None, NEW_YEAR),
            access=StoreAccess(lambda path, _conn_id: Path(path)),
            item={"p": Slice(file=str(source), take=parents)},
        )
        summary = run_endpoint(task, session, on_page=on_page)
    return summary, [row["id"] for row in rows(summary)]


def expect_paths(parents: int, count: int = 60) -> list[str]:
    return [f"/p{parent}/{n}" for parent in range(parents) for n in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("parents", [1, 30])
def test_auto_reads_several_at_once_in_order(
    tmp_path: Path, parents: int, caplog: pytest.LogCaptureFixture
) -> None:
    api = BusyApi(rows=600 if parents == 1 else 20)
    with caplog.at_level(logging.INFO):
        _, found = run(tmp_path, api, parents=parents)
    assert found == expect_paths(parents, api.rows)
    assert 2 <= api.peak <= 8
    (line,) = [r.getMessage() for r in caplog.records if "in flight" in r.getMessage()]
    said = re.fullmatch(r"Settled on \d \S.* of at most 8\b.*\) over (\d+) requests", line)
    assert said is not None
    # A guessed page that became needless may have had its place already, and was not sent.
    assert api.count <= int(said[1]) <= api.count + 8


def test_a_number_bounds_pages_windows_and_parents_together(tmp_path: Path) -> None:
    api = BusyApi()
    _, found = run(tmp_path, api, parents=6, concurrency=3)
    assert found == expect_paths(6)
    assert api.peak == 3


def test_one_means_one_after_the_other(tmp_path: Path) -> None:
    api = BusyApi()
    _, found = run(tmp_path, api, parents=3, concurrency=1)
    assert found == expect_paths(3)
    assert (api.peak, api.count) == (1, 21)


@pytest.mark.slow
def test_auto_finds_what_the_api_bears(tmp_path: Path) -> None:
    api = BusyApi(rows=800, most=3, latency=0.05)
    _, found = run(tmp_path, api)
    assert found == expect_paths(1, 800)
    assert 1 <= api.refused <= 8


def test_an_error_ends_all_threads_and_leaves_no_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (places, prefetch):  # they have ended, however busy the machine is
        monkeypatch.setattr(module, "_JOIN_SECONDS", 120.0)

    class Broken(BusyApi):
        def __call__(self, asked: Asked) -> Any:
            return Reply({}, 400) if asked.path == "/p2" else super().__call__(asked)

    with pytest.raises(ApiRequestFailed, match="400"):
        run(tmp_path, Broken(), parents=20, concurrency=8)
    assert [t.name for t in threading.enumerate() if t.name.startswith("oauth-taskflow-")] == []
    assert list((tmp_path / "out").rglob("part-*")) == []


@pytest.mark.parametrize(
    ("concurrency", "paginate", "limits"),
    [
        ("auto", None, (1, 8)),
        ("auto", CursorPaginator(next="n", param="a"), (1, 8)),
        ("auto", PageNumberPaginator(prefetch=4), (4, 8)),
        ("auto", PageNumberPaginator(prefetch=16), (16, 16)),
        (1, PageNumberPaginator(prefetch=4), None),
        (4, None, (4, 4)),
        (4, PageNumberPaginator(prefetch=3), (12, 12)),
    ],
)
def test_a_number_of_concurrency_means_the_same_as_before(
    concurrency: Any, paginate: Paginate | None, limits: tuple[int, int] | None
) -> None:
    places = endpoint_places(Endpoint(concurrency=concurrency, paginate=paginate))
    assert (None if places is None else (places.limit, places.most)) == limits


@pytest.mark.slow
@pytest.mark.parametrize(("concurrency", "parents"), [(4, 1), (4, 12), ("auto", 1), ("auto", 12)])
def test_a_slow_destination_bounds_the_pages_in_memory(
    tmp_path: Path, concurrency: Any, parents: int
) -> None:
    api = BusyApi(rows=200, latency=0)
    written = 0
    most = 0

    def count(_: object) -> None:
        nonlocal written, most
        written += 1
        most = max(most, api.count - written)
        time.sleep(0.003)

    # With a total, no page is thrown away that the count would miss.
    options = {"parents": parents, "concurrency": concurrency, "paginate": COUNTED}
    _, found = run(tmp_path, api, on_page=count, **options)
    assert found == expect_paths(parents, 200)
    # Two for each sequence that is read, and those guessed for the one that is written.
    width = 8 if concurrency == "auto" else 4
    assert most <= 3 * width + 1


@pytest.mark.slow
def test_auto_keeps_to_the_budget(tmp_path: Path) -> None:
    api = BusyApi(rows=300, latency=0.02)
    began = time.time()
    _, found = run(tmp_path, api, rate_limit=RateLimit(requests=10, per="PT0.5S"))
    assert found == expect_paths(1, 300)
    # The 31st request starts three periods after the first at the earliest.
    assert time.time() - began >= 1.5


@pytest.mark.slow
@pytest.mark.parametrize("status", [429, 503])
def test_an_api_that_bears_two_at_once_is_read_completely(tmp_path: Path, status: int) -> None:
    api = BusyApi(rows=500, most=2, status=status)
    _, found = run(tmp_path, api, parents=1, concurrency="auto")
    assert found == expect_paths(1, 500)
    assert api.refused <= 10


@pytest.mark.slow
def test_a_fixed_number_above_what_the_api_bears_is_read_completely(tmp_path: Path) -> None:
    api = BusyApi(rows=100, most=4)
    _, found = run(tmp_path, api, parents=5, concurrency=6)
    assert found == expect_paths(5, 100)
