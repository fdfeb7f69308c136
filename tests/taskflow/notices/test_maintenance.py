"""The maintenance DAG in real runs: idle grants stay alive, and people hear of each event once."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow import load_maintenance
from oauth_taskflow.errors import ConsentRequired, InvalidClient, OAuthTaskflowError
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.taskflow.grants.managed_grant import load_managed_grant
from oauth_taskflow.testing import OAuthTestServer
from tests.support.grants import kill_grants
from tests.support.mail import MailServer, body_of
from tests.taskflow.conftest import RunDag, SetConnection
from tests.taskflow.notices.conftest import make_notifier

pytestmark = [pytest.mark.slow, pytest.mark.airflow]


@pytest.fixture
def crm(oauth_server: OAuthTestServer, set_connection: SetConnection) -> str:
    """A connection with a grant that a task has used."""
    return _consent(oauth_server, set_connection, "crm")


def _consent(
    server: OAuthTestServer, set_connection: SetConnection, conn_id: str, **extra: str
) -> str:
    seed = server.issue_refresh_token()
    set_connection(conn_id, server.connection(refresh_token=seed, **extra))
    use(conn_id)
    return conn_id


def consent_again(server: OAuthTestServer) -> Granted:
    """The answer that a login gets."""
    now = time.time()
    return Granted(Token("new", now, now + 3600), server.issue_refresh_token())


def use(conn_id: str) -> None:
    """A task needs a token."""
    load_managed_grant(conn_id).manager.token()


def fail_to_use(conn_id: str) -> None:
    """A task that already has a token gets another one, in vain."""
    manager = load_managed_grant(conn_id).manager
    with pytest.raises(OAuthTaskflowError):
        manager.replace_refused(manager.token().access_token)


@pytest.fixture
def dag(mail: MailServer, base_url: str, airflow_home: Any) -> Any:
    namespace: dict[str, Any] = {}
    load_maintenance(
        namespace,
        ["crm"],
        notifiers=[make_notifier()],
        failing_for=timedelta(seconds=1e-6),
        # A run in a test waits for the delay of a retry.
        default_args={"retries": 0},
    )
    return namespace["dag_oauth_maintenance"]


def test_a_healthy_grant_is_neither_used_nor_spoken_of(
    crm: str, dag: Any, mail: MailServer, run_dag: RunDag, oauth_server: OAuthTestServer
) -> None:
    before = oauth_server.counters.token_requests
    run = run_dag(dag)
    assert run.state == "success"
    assert run.result("keep_alive", map_index=0) == {
        "conn_id": "crm",
        "troubles": [],
        "used": False,
        "sent": [],
    }
    assert (oauth_server.counters.token_requests, mail.mails) == (before, [])


def test_people_hear_once_of_a_dead_grant_and_once_of_its_recovery(
    crm: str,
    dag: Any,
    mail: MailServer,
    run_dag: RunDag,
    oauth_server: OAuthTestServer,
) -> None:
    kill_grants(oauth_server)
    fail_to_use("crm")
    for _ in range(3):
        run = run_dag(dag)
        assert run.state == "success"
        assert run.result("keep_alive", map_index=0)["troubles"] == ["needs_consent"]
    (bad,) = mail.mails
    assert bad["Subject"] == (
        "OAuth connection crm needs a person: tasks fail until it is authorized again"
    )
    assert 'href="https://flow.example.com/air/plugin/oauth/connect/crm"' in body_of(bad)
    assert "Refresh token refused (invalid_grant, HTTP 400)" in body_of(bad)
    assert "authorize?" not in body_of(bad)

    load_managed_grant("crm").manager.stored.expect_consent().store(consent_again(oauth_server))
    for _ in range(2):
        assert run_dag(dag).state == "success"
    assert [mail["Subject"] for mail in mail.mails[1:]] == ["OAuth connection crm works again"]
    assert "It is authorized again." in body_of(mail.mails[1])


def test_a_failing_token_endpoint_is_told_and_tried_again_by_the_dag_itself(
    dag: Any,
    mail: MailServer,
    run_dag: RunDag,
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
) -> None:
    oauth_server.policy = replace(oauth_server.policy, lifetime=1.0)
    _consent(oauth_server, set_connection, "crm")
    oauth_server.fault("/oauth/token", status=400, body='{"error":"invalid_client"}', times=99)
    _wait_for_expiry("crm")
    with pytest.raises(InvalidClient):
        use("crm")
    for _ in range(2):
        run_dag(dag)
    assert [one["Subject"].split(" since ")[0] for one in mail.mails] == [
        "OAuth connection crm: refreshes fail"
    ]
    oauth_server.faults.clear()
    stored = load_managed_grant("crm").manager.stored
    failure = stored.read().last_failure
    assert failure is not None
    assert failure.until is not None
    stored.write(_end_cooldown)
    run_dag(dag)
    assert [one["Subject"] for one in mail.mails[1:]] == ["OAuth connection crm works again"]
    assert stored.read().last_failure is None


def _end_cooldown(record: Any) -> Any:
    from msgspec.structs import replace as change  # noqa: PLC0415 - next to that of dataclasses

    return change(record, last_failure=change(record.last_failure, until=0.0))


def _wait_for_expiry(conn_id: str) -> None:
    stored = load_managed_grant(conn_id).manager.stored
    while True:
        record = stored.read()
        assert record.token is not None
        if not record.is_usable(record.read_at.store, None):
            return
        time.sleep(0.1)


def test_a_mail_server_that_refuses_fails_the_task_and_gets_the_notice_later(
    crm: str, dag: Any, mail: MailServer, run_dag: RunDag, oauth_server: OAuthTestServer
) -> None:
    kill_grants(oauth_server)
    fail_to_use("crm")
    mail.refuses = True
    assert run_dag(dag).task_state("keep_alive", 0) == "failed"
    mail.refuses = False
    assert run_dag(dag).state == "success"
    assert len(mail.mails) == 1


IDLE = 32.0


@pytest.fixture
def brief(
    oauth_server: OAuthTestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The extra of a provider whose refresh tokens die unused after 32 seconds; access tokens live for one."""
    oauth_server.policy = replace(oauth_server.policy, idle=IDLE, lifetime=1.0)
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__PRESETS_FOLDER", str(tmp_path))
    preset = {
        "title": "Brief",
        "token_url": "https://id.example/t",
        "base_url": "https://a.example",
    }
    text = json.dumps({**preset, "refresh": {"idle_lifetime_s": int(IDLE)}})
    (tmp_path / "brief.yaml").write_text(text)
    return {"provider": "brief"}


def test_a_grant_lives_on_beyond_its_idle_limit_and_one_without_the_dag_dies(
    brief: dict[str, str],
    dag: Any,
    run_dag: RunDag,
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
) -> None:
    for name in ("crm", "forgotten"):
        _consent(oauth_server, set_connection, name, **brief)
    began, used = time.monotonic(), 0
    while time.monotonic() - began < 1.5 * IDLE:
        used += run_dag(dag).result("keep_alive", map_index=0)["used"]
        time.sleep(2.0)
    assert 1 <= used <= 4
    use("crm")
    with pytest.raises(ConsentRequired):
        use("forgotten")


def test_all_stored_grants_are_looked_after_and_one_that_fails_hides_no_other(
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    run_dag: RunDag,
    airflow_home: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("bad", "broken", "gone", "good"):
        _consent(oauth_server, set_connection, name)
    for name in ("AIRFLOW_CONN_BROKEN", "AIRFLOW_CONN_GONE"):
        monkeypatch.delenv(name)
    # Fails for "broken", which is therefore not called gone.
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "tests.taskflow.grants.vault.Vault")
    set_connection("bad", {"conn_type": "oauth2", "host": "http://a", "extra": {"nonsense": 1}})
    dag = load_maintenance({}, default_args={"retries": 0})
    run = run_dag(dag)
    assert run.result("list_grants") == ["bad", "broken", "gone", "good"]
    states = [run.task_state("keep_alive", number) for number in range(4)]
    assert states == ["failed", "failed", "skipped", "success"]


def test_a_grant_that_no_key_opens_fails_its_own_task_alone(
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    run_dag: RunDag,
    airflow_home: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _consent(oauth_server, set_connection, "crm")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
    _consent(oauth_server, set_connection, "good")
    run = run_dag(load_maintenance({}, default_args={"retries": 0}))
    assert [run.task_state("keep_alive", number) for number in range(2)] == ["failed", "success"]


HOSTILE = (
    "<script>x</script> {{ 7*7 }} https://id.example.com/authorize?client_id=x&state=NOT-TO-BE-SEEN \r\nBcc: all@example.com "
    "refresh_token=NOT-TO-BE-SEEN"
)


def test_the_text_of_a_hostile_server_does_no_harm_in_a_mail(
    crm: str, dag: Any, mail: MailServer, run_dag: RunDag, oauth_server: OAuthTestServer
) -> None:
    answer = {"error": "invalid_scope", "error_description": HOSTILE}
    oauth_server.fault("/oauth/token", status=400, body=json.dumps(answer))
    fail_to_use("crm")
    run_dag(dag)
    (reported,) = mail.mails
    assert "NOT-TO-BE-SEEN" not in reported.as_string() + body_of(reported)
    assert "&lt;script&gt;x&lt;/script&gt; {{ 7*7 }} https://id.example.com/authorize" in body_of(
        reported
    )
    assert reported["Bcc"] is None


def test_without_notifiers_the_task_of_a_grant_in_trouble_fails(
    crm: str, oauth_server: OAuthTestServer, run_dag: RunDag
) -> None:
    from oauth_taskflow.taskflow.notices.maintenance import KeepAliveOperator  # noqa: PLC0415

    kill_grants(oauth_server)
    fail_to_use("crm")
    dag = load_maintenance({}, ["crm"])
    run = run_dag(dag)
    assert run.task_state("keep_alive", 0) == "failed"
    assert run.tries("keep_alive", 0) == 1
    alone = KeepAliveOperator(conn_id="crm", task_id="alone", dag=dag)
    with pytest.raises(OAuthTaskflowError) as failed:
        alone.execute({})
    assert str(failed.value).startswith("OAuth connection crm needs a person: tasks fail until ")
    assert str(failed.value).endswith(
        "The old refresh token cannot come back. Without notifiers this task is the notice: it fails until the "
        "connection works."
    )


def test_more_grants_than_airflow_maps_over_are_refused_and_none_is_a_warning(
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    airflow_home: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from oauth_taskflow.taskflow.notices.maintenance import ListGrantsOperator  # noqa: PLC0415

    listing = ListGrantsOperator(task_id="list_grants")
    assert listing.execute({}) == []
    for name in ("crm", "erp"):
        _consent(oauth_server, set_connection, name)
    assert listing.execute({}) == ["crm", "erp"]
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "1")
    with pytest.raises(OAuthTaskflowError, match="2 connections have a grant") as refused:
        listing.execute({})
    assert "max_map_length is 1" in str(refused.value)


def test_the_serialised_dag_is_the_same_at_every_parse_and_holds_no_notifier(
    dag: Any, airflow_home: Any
) -> None:
    from airflow.serialization.serialized_objects import DagSerialization  # noqa: PLC0415 - needs its home first

    texts = [
        str(DagSerialization.to_dict(load_maintenance({}, ["crm"], notifiers=[make_notifier()])))
        for _ in range(2)
    ]
    assert texts[0] == texts[1]
    assert "SmtpNotifier" not in texts[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"connections": "crm"}, "Give a list of connection ids"),
        ({"connections": []}, "Give a list of connection ids"),
        ({"failing_for": timedelta(0)}, "failing_for is 0:00:00, and must be longer than 0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    arguments: dict[str, Any], message: str, airflow_home: Any
) -> None:
    with pytest.raises(ValueError, match=message):
        load_maintenance({}, **arguments)
