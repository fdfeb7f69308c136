"""Runs of incremental endpoints against an API: which bounds it gets, and what the figures say."""

from __future__ import annotations

from pathlib import Path

from oauth_taskflow.specs.windows import Interval
from tests.engine.yaml_run import pull_yaml, utc


def test_a_post_body_carries_the_windows(tmp_path: Path) -> None:
    endpoint = """
    request:
      method: POST
      path: /search
      json: {filter: {from: "{{ window.start }}", to: "{{ window.end }}"}}
    records: data
    incremental: {field: t, format: epoch_ms, step: P1D}
    concurrency: 1
    """
    pulled = pull_yaml(
        endpoint, Interval(utc(2026, 1, 1), utc(2026, 1, 3)), lambda _: {"data": []}, tmp_path
    )
    assert [asked.json for asked in pulled.api.asked] == [
        {"filter": {"from": 1767225600000, "to": 1767312000000}},
        {"filter": {"from": 1767312000000, "to": 1767398400000}},
    ]


def test_until_moves_what_is_asked_for_and_what_the_figures_say(tmp_path: Path) -> None:
    endpoint = """
    request: {path: /items, params: {since: "{{ window.start }}", until: "{{ window.end }}"}}
    records: data
    incremental: {field: t, until: -PT10M}
    """
    hour = Interval(utc(2026, 1, 1, 6), utc(2026, 1, 1, 7))
    pulled = pull_yaml(endpoint, hour, lambda _: {"data": []}, tmp_path)
    assert [asked.query for asked in pulled.api.asked] == [
        {"since": "2026-01-01T05:50:00Z", "until": "2026-01-01T06:50:00Z"}
    ]
    assert pulled.summary.interval == ["2026-01-01T05:50:00+00:00", "2026-01-01T06:50:00+00:00"]


def test_a_rolling_start_counts_from_the_end_of_a_run_without_interval(tmp_path: Path) -> None:
    endpoint = """
    request: {path: /items, params: {since: "{{ window.start }}"}}
    records: data
    incremental: {field: t, start: -P90D, format: date}
    """
    open_ended = Interval(None, utc(2026, 4, 1, 6, 30), open_end=True)
    pulled = pull_yaml(endpoint, open_ended, lambda _: {"data": []}, tmp_path)
    assert [asked.query for asked in pulled.api.asked] == [{"since": "2026-01-01"}]
