"""The notifier as a callback of real tasks: many failures for one dead grant are one notice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from oauth_taskflow import OAuthNotifier, OAuthSession, oauth_task
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.taskflow.notices.delivery import list_channels
from oauth_taskflow.taskflow.notices.notifier import find_connections
from oauth_taskflow.testing import OAuthTestServer
from tests.support.grants import kill_grants
from tests.support.mail import MailServer
from tests.taskflow.conftest import RunDag, SetConnection
from tests.taskflow.notices.conftest import make_notifier
from tests.taskflow.notices.test_maintenance import consent_again
from tests.taskflow.test_metrics import Recorder, on_servers

__all__ = ["on_servers"]
pytestmark = [pytest.mark.slow, pytest.mark.airflow]
heard: list[Any] = []


def hear(context: Any) -> None:
    """A deployment's own function."""
    heard.append((context["notice"].kind, context["notice"].conn_id, context["ti"].task_id))


@pytest.fixture
def dead(oauth_server: OAuthTestServer, set_connection: SetConnection) -> str:
    """A connection whose refresh token the server refuses."""
    heard.clear()
    seed = oauth_server.issue_refresh_token()
    kill_grants(oauth_server)
    return set_connection("crm", oauth_server.connection(refresh_token=seed))


def make_dag(callback: Any, tasks: int = 3, name: str = "pulls") -> Any:
    from airflow.sdk import dag  # noqa: PLC0415 - Airflow needs its home first

    @dag(dag_id=name, schedule=None, default_args={"on_failure_callback": callback})
    def build() -> None:
        @oauth_task(conn_id="crm")
        def pull(number: int, session: OAuthSession) -> None:
            session.get("/airports")

        pull.expand(number=list(range(tasks)))

    return build()


def test_three_tasks_that_fail_for_one_dead_grant_send_one_mail(
    dead: str, mail: MailServer, base_url: str, run_dag: RunDag
) -> None:
    callback = OAuthNotifier([make_notifier(), hear, f"{__name__}.hear"])
    for _ in range(2):
        assert run_dag(make_dag(callback)).state == "failed"
    assert [one["Subject"] for one in mail.mails] == [
        "OAuth connection crm needs a person: tasks fail until it is authorized again"
    ]
    assert heard == [("needs_consent", "crm", "pull")] * 2  # two channels


def test_a_task_that_fails_for_another_reason_sends_nothing(
    oauth_server: OAuthTestServer, set_connection: SetConnection, mail: MailServer, run_dag: RunDag
) -> None:
    seed = oauth_server.issue_refresh_token()
    set_connection("crm", oauth_server.connection(refresh_token=seed))
    oauth_server.fault("/airports", status=418, times=9)
    run_dag(make_dag(OAuthNotifier([make_notifier()]), tasks=1))
    assert mail.mails == []


def test_the_same_notifier_serves_many_notices_and_its_templates_stay(
    dead: str, mail: MailServer, oauth_server: OAuthTestServer, airflow_home: Any
) -> None:
    from oauth_taskflow.taskflow.grants.managed_grant import load_managed_grant  # noqa: PLC0415 - needs its home first

    inner = make_notifier()
    callback = OAuthNotifier([inner], connections=["crm"])
    manager = load_managed_grant("crm").manager
    with pytest.raises(OAuthTaskflowError):
        manager.token()
    callback({})
    manager.stored.expect_consent().store(consent_again(oauth_server))
    callback({})
    assert [one["Subject"][-11:] for one in mail.mails] == ["rized again", "works again"]
    assert inner.subject == "{{ notice.title }}"


def test_a_connection_that_cannot_be_looked_at_does_not_hide_the_next(
    dead: str, mail: MailServer, airflow_home: Any
) -> None:
    callback = OAuthNotifier([make_notifier()], connections=["no_such", "crm"])
    with pytest.raises(OAuthTaskflowError, match="Not all notices") as caught:
        callback({})
    assert "There is no connection" in caught.value.where
    assert caught.value.retryable


def test_each_notice_is_logged_and_counted_once(
    dead: str, caplog: pytest.LogCaptureFixture, on_servers: Recorder, airflow_home: Any
) -> None:
    for _ in range(2):
        OAuthNotifier(connections=["crm"])({})
    loud = [one for one in caplog.records if one.name == "oauth_taskflow.notices"]
    (warning,) = [one.getMessage() for one in loud if one.levelname != "INFO"]
    assert warning.startswith("OAuth connection crm needs a person")
    counted = [one for one in on_servers.reported if one[1] == "oauth_taskflow.notice"]
    tags = {"conn_id": "crm", "kind": "needs_consent"}
    assert counted == [("counter", "oauth_taskflow.notice", 1, tags)]


def test_channels_have_names_that_last_from_parse_to_parse(airflow_home: Any) -> None:
    notifiers = [make_notifier(), make_notifier(), hear, "my.alerts.Notifier", OAuthNotifier]
    names = [one.name for one in list_channels(notifiers, "pulls")]
    assert names == [
        "pulls: log",
        "pulls: SmtpNotifier",
        "pulls: SmtpNotifier 2",
        "pulls: hear",
        "pulls: my.alerts.Notifier",
        "pulls: OAuthNotifier",
    ]
    long = [one.name for one in list_channels([hear, print], "d" * 250)]
    assert len(set(long)) == 3
    assert max(map(len, long)) <= 250


@pytest.mark.parametrize(
    ("task", "found"),
    [
        (SimpleNamespace(conn_id="crm"), ["crm"]),
        (SimpleNamespace(conn_id="", http_conn_id="crm"), ["crm"]),
        (SimpleNamespace(conn_id={"one": "b", "two": "a", "three": "a"}), ["a", "b"]),
        (SimpleNamespace(conn_id=None), []),
        (SimpleNamespace(), []),
        (None, []),
    ],
)
def test_the_connections_of_a_task_are_those_that_it_names(task: Any, found: list[str]) -> None:
    assert find_connections({"task": task}) == found
    assert find_connections({"ti": SimpleNamespace(task=task)}) == found
