"""The rows of ``airflow oauth status``: token state, cool-down, and texts printed unchanged."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest
from msgspec.structs import replace

from oauth_taskflow.errors import TokenEndpointUnavailable
from oauth_taskflow.iso8601 import instant_text
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.taskflow.cli.grant_rows import group_by_connection, status_row
from oauth_taskflow.taskflow.cli.grants import refresh, status
from oauth_taskflow.taskflow.cli.output import Row, print_rows
from oauth_taskflow.taskflow.grants import grant_status
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.state.record import ClockSample, GrantRecord, GrantState, LastFailure
from tests.taskflow.conftest import SetConnection

RECORD = GrantRecord("k" * 64, state=GrantState.ACTIVE, read_at=ClockSample(100.0, 100.0, 0.0))


@pytest.mark.parametrize(
    ("left", "leeway", "state"),
    [(50.0, 60.0, "stale"), (50.0, 40.0, "fresh"), (70.0, 60.0, "fresh"), (-1.0, 60.0, "idle")],
)
def test_fresh_stale_and_idle_are_distinguished(
    left: float, leeway: float, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        def now(self) -> float:
            return 100.0

    monkeypatch.setattr(grant_status, "SYSTEM_CLOCK", Clock())
    token = Token("secret-token", 100.0 - 3600.0, 100.0 + left)
    row = status_row(replace(RECORD, token=token), leeway)
    assert row["state"] == state
    assert "secret-token" not in str(row)


SPENT = Token("secret-token", 1.0, 2.0)


@pytest.mark.parametrize(
    ("record", "state"),
    [
        (replace(RECORD, token=SPENT), "idle"),  # the client's own
        (replace(RECORD, token=SPENT, consent_fence=1, refresh_token="rt"), "idle"),
        (
            replace(RECORD, token=SPENT, consent_fence=1),
            "expired",
        ),  # the server gave no refresh token
        (
            replace(
                RECORD,
                token=SPENT,
                last_failure=LastFailure.from_error(TokenEndpointUnavailable("away"), "", 160.0, 1),
            ),
            "expired",
        ),
        (replace(RECORD, token=SPENT, state=GrantState.NEEDS_CONSENT), "needs_consent"),
    ],
)
def test_a_healthy_unused_grant_is_idle(record: GrantRecord, state: str) -> None:
    assert status_row(record)["state"] == state


def test_an_ended_token_without_a_refresh_token_says_how_to_get_one() -> None:
    row = status_row(replace(RECORD, conn_id="crm", token=SPENT, consent_fence=1))
    assert row["problem"] == (
        "The server gave no refresh token: many servers want the scope offline_access, or authorize_params such as "
        "access_type=offline"
    )
    fresh = replace(SPENT, expires_at=None)
    assert not status_row(replace(RECORD, token=fresh, consent_fence=1))["problem"]


def _row(conn_id: str, refreshed_at: str | None, grant: str) -> Row:
    return {"conn_id": conn_id, "refreshed_at": refreshed_at, "grant": grant}


def test_grants_are_grouped_by_connection_the_last_refreshed_first() -> None:
    rows = [
        _row("erp", None, "e"),
        _row("crm", "2026-01-01", "old"),
        _row("crm", None, "never"),
        _row("crm", "2026-02-01", "new"),
    ]
    assert [row["grant"] for row in group_by_connection(rows, "json")] == [
        "new",
        "old",
        "never",
        "e",
    ]
    assert [row["conn_id"] for row in group_by_connection(rows, "json")] == [
        "crm",
        "crm",
        "crm",
        "erp",
    ]
    assert [row["conn_id"] for row in group_by_connection(rows, "table")] == ["crm", "", "", "erp"]


def test_a_cool_down_says_when_it_ends_on_our_clock() -> None:
    down = TokenEndpointUnavailable("Token endpoint unavailable (HTTP 503)")
    cooling = replace(
        RECORD,
        last_failure=LastFailure.from_error(down, "", 160.0, 1),
        read_at=ClockSample(100.0, 90.0, 0.0),
    )
    row = status_row(cooling)
    assert row["asked_again_at"] == instant_text(150.0)
    assert row["problem"] == "Token endpoint unavailable (HTTP 503)"
    over = replace(cooling, read_at=ClockSample(160.0, 150.0, 0.0))
    assert status_row(over)["asked_again_at"] is None


def test_a_wait_imposed_by_the_server_is_shown_in_status(
    own_store: None,
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert own_store is None
    set_connection("crm", oauth_server.connection())
    oauth_server.fault("/oauth/token", status=503, headers={"Retry-After": "300"}, times=4)
    with pytest.raises(SystemExit):
        refresh(Namespace(conn_id="crm", output="json"))
    capsys.readouterr()
    status(Namespace(conn_id="crm", output="json"))
    (row,) = json.loads(capsys.readouterr().out)
    assert row["asked_again_at"].endswith("Z")


def test_a_table_prints_text_that_looks_like_markup_unchanged(
    capsys: pytest.CaptureFixture[str], airflow_home: Path
) -> None:
    assert airflow_home.is_dir()
    problem = "Put it into [core] fernet_key, said [/bold] the server :smile:"
    print_rows([{"conn_id": "crm", "problem": problem}], "table")
    assert problem in capsys.readouterr().out


def test_a_long_problem_is_cut_at_a_word_with_an_ellipsis() -> None:
    long = TokenEndpointUnavailable("It is down " * 30)
    problem = status_row(replace(RECORD, last_failure=LastFailure.from_error(long, "", None, 1)))[
        "problem"
    ]
    assert isinstance(problem, str)
    assert len(problem) <= 200
    assert problem.endswith((" It …", " is …", " down …"))
