"""Notices through Airflow's Slack provider, by webhook and by API, to a server that keeps what it gets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from oauth_taskflow import OAuthNotifier, load_maintenance
from oauth_taskflow.taskflow.grants.managed_grant import load_managed_grant
from oauth_taskflow.testing import OAuthTestServer
from tests.api.scripted import Reply
from tests.support.grants import kill_grants
from tests.support.slack import API_TOKEN, WEBHOOK_TOKEN, Slack, slack_server
from tests.taskflow.conftest import RunDag, SetConnection
from tests.taskflow.notices.test_maintenance import HOSTILE, consent_again, fail_to_use, use

pytestmark = [pytest.mark.slow, pytest.mark.airflow]
LINK = "https://flow.example.com/air/plugin/oauth/connect/crm"


@pytest.fixture
def slack(set_connection: SetConnection) -> Iterator[Slack]:
    """Slack, which ``slack_alerts`` and ``slack_api_default`` name."""
    with slack_server() as server:
        set_connection("slack_alerts", server.webhook_connection())
        set_connection("slack_api_default", server.api_connection())
        yield server


@pytest.fixture
def notifiers(airflow_home: Any) -> list[Any]:
    """Both notifiers of the provider, with the template of the docs."""
    from airflow.providers.slack.notifications.slack import SlackNotifier  # noqa: PLC0415 - Airflow needs its home first
    from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier  # noqa: PLC0415 - as above

    return [
        SlackWebhookNotifier(slack_webhook_conn_id="slack_alerts", text="{{ notice.slack }}"),
        SlackNotifier(channel="#data", text="{{ notice.slack }}"),
    ]


@pytest.fixture
def crm(oauth_server: OAuthTestServer, set_connection: SetConnection) -> str:
    """A connection with a grant that a task has used."""
    seed = oauth_server.issue_refresh_token()
    set_connection("crm", oauth_server.connection(refresh_token=seed))
    use("crm")
    return "crm"


@pytest.fixture
def dead(crm: str, oauth_server: OAuthTestServer) -> str:
    """The connection, once its grant was revoked and a task met that."""
    kill_grants(oauth_server)
    fail_to_use(crm)
    return crm


@pytest.fixture
def dag(notifiers: list[Any], base_url: str) -> Any:
    """The maintenance DAG of ``crm``, whose tasks are not tried again by themselves."""
    return load_maintenance(
        {},
        ["crm"],
        notifiers=notifiers,
        failing_for=timedelta(seconds=1e-6),
        default_args={"retries": 0},
    )


@pytest.mark.usefixtures("dead")
def test_slack_gets_a_notice_once_by_each_way_and_again_at_recovery(
    dag: Any, slack: Slack, run_dag: RunDag, oauth_server: OAuthTestServer
) -> None:
    for _ in range(2):
        assert run_dag(dag).state == "success"
    by_webhook, by_api = slack.messages
    assert by_webhook["text"] == by_api["text"]
    assert by_api["channel"] == "#data"
    title, problem, link = by_api["text"].split("\n")
    assert title == "OAuth connection crm needs a person: tasks fail until it is authorized again"
    assert "Refresh token refused (invalid_grant, HTTP 400)" in problem
    assert link == LINK

    load_managed_grant("crm").manager.stored.expect_consent().store(consent_again(oauth_server))
    for _ in range(2):
        assert run_dag(dag).state == "success"
    assert [one["text"].split("\n")[0] for one in slack.messages[2:]] == [
        "OAuth connection crm works again"
    ] * 2


@pytest.mark.parametrize(
    "trouble",
    [
        Reply(b"server_error", status=500),
        Reply({"ok": False, "error": "channel_is_archived"}, status=410),
        Reply(drop=True),
    ],
    ids=["fails", "refuses", "hangs up"],
)
@pytest.mark.usefixtures("dead")
def test_a_slack_that_does_not_take_a_notice_gets_it_later_and_the_task_says_so(
    trouble: Reply, dag: Any, slack: Slack, run_dag: RunDag, capfd: pytest.CaptureFixture[str]
) -> None:
    slack.trouble = trouble
    assert run_dag(dag).task_state("keep_alive", 0) == "failed"
    log = capfd.readouterr().out
    (line,) = [one for one in log.splitlines() if one.startswith("oauth_taskflow.errors.")]
    assert "Not all notices about OAuth connections were sent" in line
    assert "oauth_maintenance: SlackWebhookNotifier (" in line
    assert "oauth_maintenance: SlackNotifier (" in line
    # slack_sdk logs the webhook's address; Airflow masks nothing of a dag.test() run.
    assert WEBHOOK_TOKEN not in log
    assert API_TOKEN not in log
    assert slack.messages == []

    slack.trouble = None
    assert [run_dag(dag).state for _ in range(2)] == ["success", "success"]
    assert [one["text"].partition("\n")[2].partition("\n")[2] for one in slack.messages] == [
        LINK
    ] * 2


def test_the_text_of_a_hostile_server_does_no_harm_in_slack(
    crm: str, dag: Any, slack: Slack, run_dag: RunDag, oauth_server: OAuthTestServer
) -> None:
    text = f"<!channel> <https://evil.example/a?b=c|Authorize> {HOSTILE}"
    answer = {"error": "invalid_scope", "error_description": text}
    oauth_server.fault("/oauth/token", status=400, body=json.dumps(answer))
    fail_to_use("crm")
    run_dag(dag)
    for message in slack.messages:
        assert "NOT-TO-BE-SEEN" not in json.dumps(message)
        assert "&lt;!channel&gt; &lt;https://evil.example/a" in message["text"]
        assert "<" not in message["text"]
        assert message["text"].endswith("\nhttps://flow.example.com/air/plugin/oauth?q=crm")
    assert len(slack.messages) == 2


@pytest.mark.usefixtures("dead", "base_url")
def test_a_callback_of_a_task_reaches_slack(notifiers: list[Any], slack: Slack) -> None:
    OAuthNotifier(notifiers, connections=["crm"])({})
    assert [one["text"].split("\n")[2] for one in slack.messages] == [LINK] * 2
