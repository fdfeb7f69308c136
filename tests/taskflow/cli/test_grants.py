"""``airflow oauth status | refresh | revoke | forget`` against a real server and store."""

from __future__ import annotations

import inspect
import json
from argparse import Namespace
from collections.abc import Callable
from datetime import timedelta
from pkgutil import resolve_name
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet
from msgspec.structs import replace

from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.iso8601 import parse_instant
from oauth_taskflow.oauth.endpoint.revocation import revoke as send_revocation
from oauth_taskflow.taskflow.cli.commands import get_cli_commands
from oauth_taskflow.taskflow.cli.grant_rows import status_row
from oauth_taskflow.taskflow.cli.grants import forget, refresh, revoke, status
from oauth_taskflow.taskflow.grants import revocation
from oauth_taskflow.taskflow.grants.actions import refresh_now
from oauth_taskflow.taskflow.sessions import open_session
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.authorization import TokenPolicy
from oauth_taskflow.tokens.state.consent import Consent
from oauth_taskflow.tokens.state.record import ClockSample, GrantRecord, GrantState
from tests.taskflow.conftest import SetConnection

Shown = Callable[..., list[dict[str, Any]]]
pytestmark = pytest.mark.usefixtures("own_store")


@pytest.fixture
def crm(oauth_server: OAuthTestServer, set_connection: SetConnection) -> str:
    """A connection whose refresh token works, and a revocation endpoint."""
    token = oauth_server.issue_refresh_token()
    revoke_url = f"{oauth_server.base_url}/oauth/revoke"
    extra = {"refresh_token": token, "revoke_url": revoke_url}
    return set_connection("crm", oauth_server.connection(**extra))


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Shown:
    """``shown(command, conn_id)`` runs a command and returns its rows."""

    def run(command: Callable[[Namespace], None], conn_id: str | None = "crm") -> Any:
        command(Namespace(conn_id=conn_id, output="json"))
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """``refused(command, conn_id)`` runs a command that must fail with status 1; what it says."""

    def run(command: Callable[[Namespace], None], conn_id: str = "crm") -> str:
        with pytest.raises(SystemExit) as caught:
            command(Namespace(conn_id=conn_id, output="json"))
        assert caught.value.code == 1
        return capsys.readouterr().err

    return run


def call_api(conn_id: str = "crm") -> int:
    with open_session(conn_id) as session:
        return session.get("/page/airports").status_code


def test_status_prints_the_state_and_no_secret(
    crm: str, oauth_server: OAuthTestServer, capsys: pytest.CaptureFixture[str]
) -> None:
    status(Namespace(conn_id=crm, output="json"))
    assert json.loads(capsys.readouterr().out)[0]["state"] == "empty"
    call_api()
    status(Namespace(conn_id=crm, output="json"))
    text = capsys.readouterr().out
    (row,) = json.loads(text)
    assert (row["conn_id"], row["state"]) == ("crm", "fresh")
    assert row["expires_at"] > row["refreshed_at"]
    assert row["expires_at"].endswith("Z")
    assert not [one for one in oauth_server.state.list_issued() if one in text]


def test_status_of_all_lists_what_is_stored(
    crm: str, shown: Shown, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    assert shown(status, None) == []
    set_connection("erp", oauth_server.connection())
    call_api("erp")
    call_api()
    assert [row["conn_id"] for row in shown(status, None)] == ["crm", "erp"]


def test_output_is_a_table_or_yaml_as_in_other_commands(
    crm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status(Namespace(conn_id=crm, output="table"))
    assert "conn_id | state" in capsys.readouterr().out
    status(Namespace(conn_id=crm, output="yaml"))
    assert yaml.safe_load(capsys.readouterr().out)[0]["state"] == "empty"


def test_status_names_the_failure_and_that_a_person_is_needed(
    crm: str, shown: Shown, oauth_server: OAuthTestServer
) -> None:
    oauth_server.fault("/oauth/token", status=400, body='{"error": "invalid_grant"}')
    with pytest.raises(OAuthTaskflowError):
        call_api()
    (row,) = shown(status)
    assert (row["state"], row["consent_due"]) == ("needs_consent", "now")
    assert row["problem"] == "Refresh token refused (invalid_grant, HTTP 400)"


def test_a_record_that_no_fernet_key_decrypts_is_listed_as_unreadable(
    crm: str, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_api()
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
    assert [row["state"] for row in shown(status, None)] == ["unreadable"]
    assert shown(status)[0]["conn_id"] == "crm"


@pytest.mark.parametrize(
    ("provider", "seconds", "days"),
    [
        ("box", 0, 60),  # unused, says the preset
        ("spotify", 0, 180),  # from the consent, says the preset
        ("linkedin", 10 * 86400, 10),  # counts down in the answers
    ],
)
def test_status_prints_when_the_next_consent_is_due(
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    shown: Shown,
    *,
    provider: str,
    seconds: int,
    days: int,
) -> None:
    set_connection("crm", oauth_server.connection(provider=provider, refresh_token="rt-0"))
    body = json.dumps(
        {"access_token": "at-1", "expires_in": 60, "refresh_token_expires_in": seconds}
    )
    json_type = {"Content-Type": "application/json"}
    oauth_server.fault("/oauth/token", status=200, headers=json_type, body=body)
    (row,) = shown(refresh)
    due, refreshed = (parse_instant(row[name]) for name in ("consent_due", "refreshed_at"))
    assert due is not None
    assert refreshed is not None
    assert (due - refreshed) / timedelta(days=1) == pytest.approx(days, abs=0.001)
    # The list of all grants reads the store only, not the preset.
    assert shown(status, None)[0]["consent_due"] == row["consent_due"]


def test_the_next_consent_is_printed_on_the_local_clock_and_unknown_without_a_date() -> None:
    consent = Consent(0.0, ends_at=3700.0)
    record = GrantRecord("k" * 64, consent=consent, read_at=ClockSample(100.0, 0.0, 0.0))
    assert status_row(record)["consent_due"] == "1970-01-01T01:00:00Z"
    assert status_row(replace(record, consent=Consent(0.0)))["consent_due"] is None
    assert status_row(replace(record, consent=None))["consent_due"] is None


def test_a_grant_that_was_never_used_says_so() -> None:
    record = GrantRecord("k" * 64, state=GrantState.ACTIVE, read_at=ClockSample(1, 1, 1))
    assert status_row(record)["state"] == "not_yet_used"


def test_refresh_fetches_the_next_token_although_the_old_one_is_good(
    crm: str, shown: Shown, oauth_server: OAuthTestServer
) -> None:
    assert shown(refresh)[0]["version"] == 2
    assert shown(refresh)[0]["version"] == 3
    assert oauth_server.counters.refreshes == 2
    assert oauth_server.counters.reuse_detected == 0


def test_introspect_url_supplies_the_expiry_of_a_token(
    shown: Shown, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    oauth_server.policy = TokenPolicy(names_lifetime=False)
    set_connection("crm", oauth_server.connection())
    assert shown(refresh)[0]["expires_at"] is None
    url = f"{oauth_server.base_url}/oauth/introspect"
    set_connection("crm", oauth_server.connection(introspect_url=url))
    assert shown(refresh)[0]["expires_at"] is not None


def test_revoke_ends_the_grant_at_the_server_and_in_the_store(
    crm: str, shown: Shown, refused: Callable[..., str], oauth_server: OAuthTestServer
) -> None:
    call_api()
    assert shown(revoke)[0]["state"] == "revoked"
    hints = [c.form["token_type_hint"] for c in oauth_server.requests if "revoke" in c.path]
    assert hints == ["refresh_token", "access_token"]
    assert oauth_server.counters.revoked_families == 1
    oauth_server.clear_log()
    with pytest.raises(OAuthTaskflowError, match="revoked by a person"):
        call_api()
    assert oauth_server.requests == []


def test_a_refresh_token_that_a_worker_gets_during_a_revocation_is_revoked_too(
    crm: str, shown: Shown, oauth_server: OAuthTestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers report success for the spent one (RFC 7009 §2.2)."""
    call_api()
    send, rotated = send_revocation, list[str | None]()

    def send_late(*arguments: Any, **options: Any) -> None:
        if not rotated:
            rotated.append(refresh_now(crm).manager.stored.read().refresh_token)
        send(*arguments, **options)

    monkeypatch.setattr(revocation, "revoke", send_late)
    assert shown(revoke)[0]["state"] == "revoked"
    sent = [call.form["token"] for call in oauth_server.requests if "revoke" in call.path]
    assert rotated[0] in sent


def test_a_refresh_token_that_was_never_used_is_revoked_too(
    crm: str, shown: Shown, oauth_server: OAuthTestServer
) -> None:
    assert shown(revoke)[0]["state"] == "revoked"
    assert oauth_server.counters.revoked_families == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"status": 503, "headers": {"Retry-After": "9"}}, "HTTP 503"),
        ({"drop": True}, "not reachable"),
        ({"status": 400, "body": '{"error": "unsupported_token_type"}'}, "unsupported_token_type"),
    ],
)
def test_a_failed_revocation_keeps_the_grant(
    crm: str,
    refused: Callable[..., str],
    oauth_server: OAuthTestServer,
    answer: dict[str, Any],
    reason: str,
) -> None:
    call_api()
    oauth_server.fault("/oauth/revoke", **answer)
    assert reason in refused(revoke)
    assert call_api() == 200


def test_a_refusal_of_the_request_says_that_the_grant_may_have_ended(
    crm: str, refused: Callable[..., str], oauth_server: OAuthTestServer
) -> None:
    call_api()
    oauth_server.fault("/oauth/revoke", status=400, body='{"error": "invalid_request"}')
    said = refused(revoke)
    assert "compare them with what the server's documentation asks for" in said
    assert "a token that has ended already" in said
    assert "airflow oauth forget crm" in said


def test_a_client_that_is_refused_at_the_second_token_keeps_the_grant(
    crm: str, refused: Callable[..., str], oauth_server: OAuthTestServer
) -> None:
    call_api()
    oauth_server.fault("/oauth/revoke", status=200)
    oauth_server.fault("/oauth/revoke", status=401, body='{"error": "invalid_client"}')
    assert "invalid_client" in refused(revoke)
    assert call_api() == 200


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param('{"error": "unsupported_token_type"}', id="it-revokes-refresh-tokens-only"),
        pytest.param('{"error": "invalid_request"}', id="both-tokens-ended-together"),
        pytest.param("{}", id="without-an-error-code"),
    ],
)
def test_revoke_succeeds_if_only_the_access_token_is_refused(
    crm: str, shown: Shown, oauth_server: OAuthTestServer, answer: str
) -> None:
    call_api()
    oauth_server.fault("/oauth/revoke", status=200)
    oauth_server.fault("/oauth/revoke", status=400, body=answer)
    assert shown(revoke)[0]["state"] == "revoked"
    assert len([one for one in oauth_server.requests if "revoke" in one.path]) == 2


def test_client_credentials_may_go_on_after_a_revocation(
    shown: Shown,
    refused: Callable[..., str],
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
) -> None:
    revoke_url = f"{oauth_server.base_url}/oauth/revoke"
    set_connection("crm", oauth_server.connection(revoke_url=revoke_url))
    assert "has no token that could be revoked" in refused(revoke)
    call_api()
    assert shown(revoke)[0]["state"] == "empty"
    assert call_api() == 200


def test_forget_works_without_a_revocation_endpoint(
    refused: Callable[..., str],
    shown: Shown,
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_connection("crm", oauth_server.connection())
    call_api()
    assert "field 'revoke_url'" in refused(revoke)
    monkeypatch.delenv("AIRFLOW_CONN_CRM")
    assert shown(forget) == [{"conn_id": "crm", "forgotten": 1}]
    assert shown(status, None) == []
    assert "Nothing is stored for connection 'crm'." in refused(forget)


def test_every_command_is_registered_and_can_be_imported() -> None:
    (group,) = get_cli_commands()
    commands = {command.name: command for command in group.subcommands}  # type: ignore[union-attr]  # a group
    assert {"login", "status", "refresh", "revoke", "forget"} <= set(commands)
    for name, command in commands.items():
        if name == "watermark":  # its own group
            continue
        path = inspect.getclosurevars(command.func).nonlocals["import_path"]
        assert path.rpartition(".")[2] == name
        assert callable(resolve_name(path))
