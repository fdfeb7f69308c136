"""Counts refreshes for summaries, and reports token events to Airflow's metrics.

Refreshes, failures, waiting and due consents go to StatsD, Datadog or OpenTelemetry (``[metrics]``):
https://airflow.apache.org/docs/apache-airflow/stable/administration-and-deployment/logging-monitoring/metrics.html
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import Any

from oauth_taskflow.taskflow.processes import in_task, in_triggerer
from oauth_taskflow.tokens.events import Event, Step

REFRESH = "oauth_taskflow.token_refresh"
REFRESH_FAILED = "oauth_taskflow.token_refresh_failed"
REFRESH_DURATION = "oauth_taskflow.token_refresh_duration"
REFRESH_WAIT = "oauth_taskflow.token_refresh_wait"
CONSENT_DUE = "oauth_taskflow.consent_due"
NOTICE = "oauth_taskflow.notice"


_counts: Counter[str] = Counter()
_lock = threading.Lock()


def observe(event: Event) -> None:
    """Counts and reports ``event``; an observer of token managers. Never raises: a metric is not worth a failed refresh."""
    _count(event)
    with suppress(Exception):
        _report(event, {"conn_id": event.conn_id})


def count_notice(conn_id: str, kind: str) -> None:
    """Counts one notice about the Connection ``conn_id``. Never raises: a metric is not worth a failed task."""
    with suppress(Exception):
        _stats().incr(NOTICE, tags={"conn_id": conn_id, "kind": kind})


def refreshes(conn_id: str) -> int:
    """Returns how many tokens this process has fetched for the Connection ``conn_id``."""
    with _lock:
        return _counts[conn_id]


def _count(event: Event) -> None:
    if event.step is Step.PERSISTED:
        with _lock:
            _counts[event.conn_id] += 1


def _report(event: Event, tags: dict[str, str]) -> None:
    took = timedelta(seconds=event.seconds)
    if event.step is Step.WAITED:
        _stats().timing(REFRESH_WAIT, took, tags=tags)
        return
    if event.step not in {Step.PERSISTED, Step.FAILED, Step.RESCUED}:
        return
    stats = _stats()
    if event.step is Step.PERSISTED:
        stats.incr(REFRESH, tags=tags)
        stats.timing(REFRESH_DURATION, took, tags=tags)
    else:
        stats.incr(REFRESH_FAILED, tags={**tags, "error": event.outcome})
    if event.consent_due is not None:
        stats.gauge(CONSENT_DUE, round(event.consent_due), tags=tags)


def _stats() -> Any:
    """Returns Airflow's metrics of this process: tasks set up the SDK's copy, servers the core's."""
    from airflow.observability import stats as core  # noqa: PLC0415 - only when a token was fetched
    from airflow.sdk.observability import stats as sdk  # noqa: PLC0415 - as above

    return sdk if in_task() and not in_triggerer() else core
