"""The waits of a run's requests in its summary, and the sequences that it announces."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.api.rate_limit import RateLimit
from oauth_taskflow.engine.resume import PullSuspended
from oauth_taskflow.engine.sequence_view import SequenceView
from oauth_taskflow.engine.summary import EndpointSummary, add_up
from oauth_taskflow.errors import ApiError
from oauth_taskflow.waits import BUDGET, Waits, describe_waits, note_wait
from tests.engine.cut_off import PagedApi, build_endpoint, pull
from tests.engine.test_long_waits import Bench

NAMES = ["ann", "bob", "cy"]
PAGES = dict.fromkeys(NAMES, 2)


def test_waits_are_collected_by_reason_and_by_the_blocks_around() -> None:
    note_wait("HTTP 429", 1.0)
    with Waits() as outer:
        note_wait("HTTP 503", 1.0)
        with Waits() as inner:
            note_wait("HTTP 429", 2.0)
            note_wait("HTTP 429", 0.5)
            note_wait(BUDGET, 0.0)
        note_wait("HTTP 503", 4.0)
    assert inner.seconds() == {"HTTP 429": 2.5}
    assert outer.seconds() == {"HTTP 503": 5.0, "HTTP 429": 2.5}
    assert describe_waits(outer.seconds()) == "waited 7.5 s (HTTP 503 5.0 s, HTTP 429 2.5 s)"
    assert describe_waits({}) == ""


def test_a_block_that_fails_collects_no_more() -> None:
    with Waits() as outer:
        with pytest.raises(KeyError), Waits() as inner:
            raise KeyError
        note_wait("HTTP 429", 1.0)
    assert not inner
    assert outer.seconds() == {"HTTP 429": 1.0}


def test_the_waits_for_a_budget_are_in_the_summary(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.limits = (RateLimit(requests=2, per="PT5S"),)
    summary = bench.attempt()
    assert summary.pages == 4
    assert summary.waits == {BUDGET: pytest.approx(5.0, abs=1.5)}


def test_the_waits_of_attempts_that_were_cut_off_are_in_the_summary(tmp_path: Path) -> None:
    bench = Bench(tmp_path, busy=(3,))
    bench.limits = (RateLimit(requests=2, per="PT5S"),)
    summary, suspended = bench.finish()
    assert (summary.pages, summary.resumed, suspended) == (4, 1, 1)
    assert summary.waits == {BUDGET: pytest.approx(5.0, abs=1.5)}


def test_the_waits_of_records_that_are_read_anew_do_not_count(tmp_path: Path) -> None:
    bench = Bench(tmp_path, busy=(3,))
    bench.limits = (RateLimit(requests=2, per="PT5S"),)
    with pytest.raises(PullSuspended):
        bench.attempt()
    bench.clock.advance(2 * 86_400.0)  # too old to go on
    summary = bench.attempt()
    assert (summary.pages, summary.resumed) == (4, 0)
    assert summary.waits == {BUDGET: pytest.approx(5.0, abs=1.5)}


def summarize(**figures: Any) -> EndpointSummary:
    known: dict[str, Any] = {"rows": 1, "pages": 1, "sequences": 1, "bytes": 1, "received_bytes": 1}
    return EndpointSummary("a", **known, seconds=1.0, files=[], manifest="m", **figures)


def test_the_waits_of_mapped_instances_add_up() -> None:
    both = [summarize(waits={"HTTP 429": 1.0}), summarize(waits={"HTTP 429": 2.0, BUDGET: 0.5})]
    assert add_up("a", both).waits == {"HTTP 429": 3.0, BUDGET: 0.5}
    assert "waits" not in summarize().as_dict()


@pytest.mark.parametrize("concurrency", [1, 4, "auto"])
def test_each_sequence_is_announced_with_number_parent_and_window(
    tmp_path: Path, concurrency: Any
) -> None:
    views: list[SequenceView] = []
    endpoint = build_endpoint(tmp_path, "cursor", windows=True, concurrency=concurrency)
    pull(tmp_path, PagedApi("cursor", PAGES), endpoint, NAMES, on_sequence=views.append)
    assert [view.number for view in views] == list(range(1, 10))
    assert Counter(view.parent for view in views) == {0: 3, 1: 3, 2: 3}
    starts = [view.window.start for view in views if view.window is not None]
    assert starts[:3] == starts[3:6]
    assert len(set(starts)) == 3


def test_an_attempt_that_goes_on_counts_on(tmp_path: Path) -> None:
    views: list[SequenceView] = []
    api = PagedApi("cursor", PAGES, cuts={3})
    endpoint = build_endpoint(tmp_path, "cursor")
    with pytest.raises(ApiError):
        pull(tmp_path, api, endpoint, NAMES, on_sequence=views.append)
    assert [(view.number, view.parent) for view in views] == [(1, 0), (2, 1)]
    views.clear()
    assert pull(tmp_path, api, endpoint, NAMES, on_sequence=views.append).resumed == 1
    assert [(view.number, view.parent) for view in views] == [(2, 1), (3, 2)]
