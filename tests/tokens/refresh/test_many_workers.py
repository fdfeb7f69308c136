"""Processes with four threads each on one rotating grant: what used to kill the grant at its first expiry."""

from __future__ import annotations

import math
import time

import pytest
import requests

from oauth_taskflow.testing import OAuthTestServer
from tests.tokens.conftest import KEY
from tests.tokens.worker import API_PATH, Plan, Report, call_api, start

_LIFETIME = 2.0
_EXPIRIES = 4
# A few hundred of them at most bring an expired token.
_REQUESTS = 100  # of a process
_LONGEST = 240.0


@pytest.mark.slow
@pytest.mark.postgres
def test_eight_processes_with_four_threads_share_one_rotating_grant(real_store_url: str) -> None:
    share_grant(real_store_url, processes=8)


@pytest.mark.slow
def test_two_processes_with_four_threads_share_one_rotating_grant_by_a_pooler(
    pooled_url: str,
) -> None:
    share_grant(pooled_url, processes=2)


def share_grant(store_url: str, processes: int) -> None:
    """Lets so many processes call the API while its token expires four times."""
    with OAuthTestServer(token_lifetime=_LIFETIME, grace=0) as server:
        requests.get(server.base_url + API_PATH, timeout=20)  # the server reads its data once
        plan = Plan.for_server(server, store_url, KEY, seconds=_LONGEST)
        workers = [start(call_api, plan) for _ in range(processes)]
        for _, pipe in workers:
            assert pipe.recv() == "ready"
        began = time.monotonic()
        for _, pipe in workers:
            pipe.send("go")
        while (
            server.counters.token_requests <= _EXPIRIES
            or len(server.requests) < _REQUESTS * processes
        ):
            assert time.monotonic() - began < _LONGEST
            time.sleep(0.2)
        for _, pipe in workers:
            pipe.send("enough")
        reports: list[Report] = [pipe.recv() for _, pipe in workers]
        passed, counters = time.monotonic() - began, server.counters
    assert "\n".join(report.trouble for report in reports).strip() == ""
    assert sum(report.failed for report in reports) == 0
    assert sum(report.good for report in reports) > 63 * processes
    assert counters.reuse_detected == 0
    # A token is refreshed when 90 % of its life are over at the earliest; the first one comes on top.
    assert counters.token_requests <= math.ceil(passed / (0.9 * _LIFETIME)) + 1
