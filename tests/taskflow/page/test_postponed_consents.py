"""A consent that came back while something that its trade needs is away: its answer stays, and is traded later."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.sql.table import GRANTS
from tests.oauth.metadata import forget_metadata
from tests.taskflow.conftest import Connect
from tests.taskflow.page.consents import (
    agree,
    begin,
    come_back,
    finish,
    leave_kept_consent,
    post,
)
from tests.taskflow.page.stored_rows import read_audit
from tests.taskflow.page.test_store_outage import rename_table

if TYPE_CHECKING:
    from httpx import Response
    from starlette.testclient import TestClient

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("own_store", "at_loopback")]
METADATA = "/.well-known/*"


@pytest.fixture
def published(connect: Connect, oauth_server: OAuthTestServer) -> Iterator[None]:
    """The connection knows its endpoints from its issuer only."""
    connect(issuer=oauth_server.base_url, authorize_url=None, device_url=None, token_url=None)
    forget_metadata()
    yield
    forget_metadata()


def check_postponed(answer: Response, reason: str) -> None:
    assert answer.status_code == 200, answer.text
    assert answer.json()["wait"] == 5.0
    assert answer.json()["reason"].startswith(reason)


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (503, "The authorization server's metadata could not be read (HTTP 503)"),
        (404, "http://127.0.0.1:"),  # publishes no metadata
    ],
)
def test_metadata_that_are_away_postpone_the_trade(
    admin: TestClient, oauth_server: OAuthTestServer, status: int, reason: str
) -> None:
    place = come_back(admin, agree(begin(admin)))
    forget_metadata()  # another API server, which has none
    oauth_server.fault(METADATA, status=status, times=100)
    for _ in range(2):
        check_postponed(finish(admin, place), reason)
    oauth_server.faults.clear()
    assert finish(admin, place).json()["grant"]["state"] == "fresh"
    assert "This consent is over" in finish(admin, place).json()["detail"]
    assert oauth_server.counters.token_requests == 1


def test_metadata_that_only_the_trade_needs_postpone_it_too(
    connect: Connect, admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    connect(issuer=oauth_server.base_url, token_url=None)  # with authorize_url
    forget_metadata()
    place = come_back(admin, agree(begin(admin)))
    forget_metadata()
    oauth_server.fault(METADATA, status=404, times=100)
    check_postponed(finish(admin, place), oauth_server.base_url)
    oauth_server.faults.clear()
    assert finish(admin, place).json()["grant"]["state"] == "fresh"
    forget_metadata()


def test_a_token_store_that_is_away_postpones_the_trade(
    connect: Connect,
    admin: TestClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("oauth_taskflow.tokens.sql.transactions._ATTEMPTS", 1)
    connect()
    place = come_back(admin, agree(begin(admin)))
    leave_kept_consent()  # the store must take this one first
    url = f"sqlite:///{tmp_path}/tokens.db"
    rename_table(url, GRANTS.name, "away")
    check_postponed(finish(admin, place), "The token store failed (OperationalError")
    rename_table(url, "away", GRANTS.name)
    assert finish(admin, place).json()["grant"]["state"] == "fresh"


def test_a_connection_that_is_not_found_for_a_while_postpones_the_trade(
    connect: Connect, admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect()
    place = come_back(admin, agree(begin(admin)))
    found = os.environ["AIRFLOW_CONN_CRM"]
    monkeypatch.delenv("AIRFLOW_CONN_CRM")  # as when the secrets backend that holds it fails
    check_postponed(finish(admin, place), "There is no connection by the name 'crm'")
    monkeypatch.setenv("AIRFLOW_CONN_CRM", found)
    assert finish(admin, place).json()["grant"]["state"] == "fresh"


def test_an_answer_that_is_postponed_waits_five_minutes_from_then_on(
    connect: Connect, admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oauth_taskflow.consents import sql  # noqa: PLC0415 - next to what it changes

    connect()
    query = agree(begin(admin))
    monkeypatch.setattr(sql, "ANSWER_LIFETIME", 60.0)
    place = come_back(admin, query)
    found = os.environ["AIRFLOW_CONN_CRM"]
    monkeypatch.delenv("AIRFLOW_CONN_CRM")
    monkeypatch.setattr(sql, "ANSWER_LIFETIME", -6.0)  # with the pause: over a second ago
    check_postponed(finish(admin, place), "There is no connection")
    monkeypatch.setenv("AIRFLOW_CONN_CRM", found)
    assert "This consent is over" in finish(admin, place).json()["detail"]


def test_a_consent_that_has_become_too_old_meanwhile_says_so(
    connect: Connect, admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect()
    place = come_back(admin, agree(begin(admin)))
    monkeypatch.setattr("oauth_taskflow.taskflow.grants.served_consent.CONSENT_LIFETIME", 4.0)
    monkeypatch.delenv("AIRFLOW_CONN_CRM")
    answer = finish(admin, place).json()
    assert "There is no connection, and asks to wait 5 s" in answer["detail"]


def test_a_connection_that_became_wrong_ends_the_consent(
    connect: Connect, admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    connect()
    place = come_back(admin, agree(begin(admin)))
    connect(misspelled="x")
    assert finish(admin, place).json()["detail"] == "Unknown field"
    connect()
    assert "This consent is over" in finish(admin, place).json()["detail"]
    assert oauth_server.counters.token_requests == 0


def test_a_code_on_another_device_outlives_a_connection_that_is_not_found_for_a_while(
    connect: Connect, admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect()
    prompt = post(admin, way="device").json()
    found = os.environ["AIRFLOW_CONN_CRM"]
    monkeypatch.delenv("AIRFLOW_CONN_CRM")
    assert post(admin, "/ask", ticket=prompt["ticket"]).json() == {"wait": 5.0}
    assert read_audit()[-1][2]["outcome"] == "begun"
    unknown = post(admin, "/ask", ticket="x" * 43)
    assert unknown.json()["detail"] == "There is no connection"
    monkeypatch.setenv("AIRFLOW_CONN_CRM", found)
    assert "wait" in post(admin, "/ask", ticket=prompt["ticket"]).json()
