"""The text of a refused refresh is in a task's log once: from Airflow if it ends the task, else from this package."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow import OAuthSession, oauth_task
from oauth_taskflow.errors import InvalidGrant
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import RunDag, SetConnection

pytestmark = [pytest.mark.slow, pytest.mark.airflow]
TEXT = "Refresh token refused (invalid_grant, HTTP 400) for connection 'crm'"
LINE = (
    "connection crm needs a person: airflow oauth login crm. Until then every worker fails at once."
)


def make_dag(ends: str) -> Any:
    from airflow.sdk import dag  # noqa: PLC0415 - Airflow needs its home first

    @dag(dag_id="refused", schedule=None, default_args={"retries": 0})
    def build() -> None:
        @oauth_task(conn_id="crm")
        def read(session: OAuthSession) -> None:
            try:
                session.get("/airports")
            except InvalidGrant as error:
                if ends == "with the error":
                    raise
                if ends == "with another error":
                    raise RuntimeError("no airports") from None
                if ends == "with an error because of it":
                    raise RuntimeError("no airports") from error

        read()

    return build()


@pytest.fixture
def refused(oauth_server: OAuthTestServer, set_connection: SetConnection) -> None:
    """A connection whose refresh token the server does not know."""
    set_connection("crm", oauth_server.connection(refresh_token="unknown-refresh-token"))


@pytest.mark.parametrize(
    "ends",
    ["with the error", "with another error", "with an error because of it", "with success"],
)
@pytest.mark.usefixtures("refused")
def test_a_refused_refresh_is_read_once_however_the_task_ends(
    ends: str,
    run_dag: RunDag,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = run_dag(make_dag(ends))
    assert run.state == ("success" if ends == "with success" else "failed")
    log = capfd.readouterr().out + caplog.text  # Airflow's lines, and those of loggers
    assert log.count(TEXT) == 1
    assert log.count(LINE) == 1
