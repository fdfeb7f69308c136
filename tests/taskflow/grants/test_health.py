"""The health of a connection, by what is known of it and of its grants."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.connections.summary import ConnectionSummary
from oauth_taskflow.taskflow.grants.grant_status import GrantStatus, Problem
from oauth_taskflow.taskflow.grants.health import HEALTH, judge_connection, judge_grant

FAILED = Problem("The token endpoint is away")


@pytest.mark.parametrize(
    ("state", "more", "health"),
    [
        ("fresh", {}, "healthy"),
        ("fresh", {"problem": FAILED}, "failing"),
        ("fresh", {"problem": FAILED, "asked_again_at": 5.0}, "cooling_down"),
        ("needs_consent", {"problem": FAILED}, "needs_consent"),
        ("expired", {}, "needs_consent"),
        ("expired", {"is_former": True}, "superseded"),
        ("empty", {}, "never_connected"),
    ],
)
def test_a_grant_is_as_well_as_its_last_refresh(state: str, more: Any, health: str) -> None:
    grant = GrantStatus(conn_id="crm", grant_key="k", state=state, **more)
    assert judge_grant(grant, asks_person=True) == health
    assert health in HEALTH


@pytest.mark.parametrize(
    ("summary", "health"),
    [
        (None, "never_connected"),
        (ConnectionSummary(auth_type="oauth2"), "unused"),
        (ConnectionSummary(auth_type="oauth2", asks_person=True), "never_connected"),
        (ConnectionSummary(auth_type="oauth2", asks_person=True, has_seed=True), "unused"),
        (ConnectionSummary(auth_type="basic"), "no_grant"),
        (ConnectionSummary(auth_type="basic", is_broken=True), "misconfigured"),
    ],
)
def test_a_connection_without_grants_is_judged_by_what_it_says(
    summary: ConnectionSummary | None, health: str
) -> None:
    assert judge_connection(summary, []) == health
