"""The notifier as the triggerer awaits it for a deadline alert: by its path, with plain arguments and the run alone."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from oauth_taskflow import OAuthNotifier
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.testing import OAuthTestServer
from tests.support.grants import kill_grants
from tests.taskflow.conftest import SetConnection

pytestmark = [pytest.mark.slow, pytest.mark.airflow]
heard: list[Any] = []
PLAIN: dict[str, Any] = {"notifiers": [f"{__name__}.hear"], "connections": ["crm"]}
# As airflow.models.deadline builds it.
CONTEXT = {"dag_run": {"dag_id": "pulls", "run_id": "r"}, "deadline": {"id": "1"}}


def hear(context: Any) -> None:
    """A deployment's own function."""
    notice, run = context["notice"], context["dag_run"]["run_id"]
    heard.append((notice.kind, notice.conn_id, run, threading.current_thread()))


def fail(context: Any) -> None:
    """A channel that is away."""
    raise ConnectionError("no mail server")


@pytest.fixture(autouse=True)
def dead(oauth_server: OAuthTestServer, set_connection: SetConnection, airflow_home: Any) -> None:
    """A connection whose refresh token the server refuses."""
    heard.clear()
    seed = oauth_server.issue_refresh_token()
    kill_grants(oauth_server)
    set_connection("crm", oauth_server.connection(refresh_token=seed))


async def fire(callback: Any) -> list[Any]:
    """The report of a deadline's trigger, after a way through Airflow's database."""
    from airflow.triggers.callback import CallbackTrigger  # noqa: PLC0415 - Airflow needs its home first

    arguments = json.loads(json.dumps({**callback.kwargs, "context": CONTEXT}))
    trigger = CallbackTrigger(callback.path, arguments)
    return [event.payload async for event in trigger.run()]


def make_callback(**arguments: Any) -> Any:
    """The callback of a deadline alert; Airflow refuses what cannot be awaited."""
    from airflow.sdk.definitions.callback import AsyncCallback  # noqa: PLC0415 - Airflow needs its home first

    return AsyncCallback(OAuthNotifier, kwargs={**PLAIN, **arguments})


def test_a_deadline_alert_sends_one_notice_and_holds_up_no_other_work() -> None:
    for _ in range(2):
        events = asyncio.run(fire(make_callback()))
        assert [event["state"] for event in events] == ["running", "success"]
    ((kind, conn_id, run_id, thread),) = heard
    assert (kind, conn_id, run_id) == ("needs_consent", "crm", "r")
    assert thread is not threading.main_thread()


def test_a_channel_that_fails_fails_the_alert_and_gets_the_notice_at_the_next() -> None:
    lines = asyncio.run(fire(make_callback(notifiers=[f"{__name__}.fail", f"{__name__}.hear"])))
    assert lines[-1]["state"] == "failed"
    assert "no mail server" in lines[-1]["body"]
    assert [one[0] for one in heard] == ["needs_consent"]


@pytest.mark.parametrize("context", [{}, CONTEXT])
def test_without_task_and_connections_it_says_what_is_missing(context: Any) -> None:
    async def wait() -> None:
        await OAuthNotifier(context=context)

    with pytest.raises(OAuthTaskflowError, match="without a task") as caught:
        asyncio.run(wait())
    assert 'connections=["crm"]' in caught.value.hint
