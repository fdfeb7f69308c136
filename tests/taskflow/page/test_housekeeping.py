"""An API server ends what a killed one left, by itself: a consent whose tokens came, and the outcome of an action."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import Connect
from tests.taskflow.page.consents import leave_kept_consent
from tests.taskflow.page.test_abandoned_actions import outcomes, write_begun
from tests.taskflow.page.test_preparation import start_server

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("no_connections", "own_store")]
# The first starts the second.
THREADS = ("oauth-page-housekeeping", "oauth-kept-consents")


@pytest.fixture(autouse=True)
def look_at_once(root_app: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from oauth_taskflow.taskflow.page import audit  # noqa: PLC0415 - Airflow needs its home first

    monkeypatch.setattr(audit._Look, "next", 0.0)
    yield
    join()  # before the settings of this test go


def join() -> None:
    for name in THREADS:
        for thread in threading.enumerate():
            if thread.name == name:
                thread.join()


def test_a_server_that_starts_stores_the_consent_and_writes_the_outcome_that_a_killed_one_left(
    root_app: Any, admin: TestClient, connect: Connect, oauth_server: OAuthTestServer
) -> None:
    connect()
    leave_kept_consent()
    write_begun("", age=timedelta(days=1))
    start_server(root_app)
    join()
    assert outcomes() == ["unknown: the server ended before the action did"]
    rows = admin.get("/oauth/api/connections").json()["connections"]
    (row,) = (row for row in rows if row["conn_id"] == "crm")  # other tests left DAGs
    assert (row["health"], row["grants"][0]["consented_by"]) == ("healthy", "ann")
    assert oauth_server.counters.token_requests == 0


def test_looks_go_on_although_one_fails_and_each_failure_is_named_once(
    root_app: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from oauth_taskflow.taskflow.page import housekeeping  # noqa: PLC0415 - as above

    failures: list[Exception | None] = [ValueError("a secret")] * 2 + [None, KeyError("a secret")]

    def look() -> None:
        failure = failures.pop(0) if failures else None
        if failure is not None:
            raise failure

    monkeypatch.setattr(housekeeping, "begin_if_any_waits", look)
    found = housekeeping.Housekeeping(period=0.0)
    found.begin()
    while failures:
        time.sleep(0.001)
    found.end()
    join()
    said = [one.message for one in caplog.records if one.name == housekeeping.__name__]
    start = "What a killed server left cannot be looked for: "
    assert said == [f"{start}ValueError", f"{start}KeyError"]
