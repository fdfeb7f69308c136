"""``airflow oauth login --write-back``: the refresh token goes into the Airflow connection too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oauth_taskflow.taskflow.cli.login import login
from oauth_taskflow.taskflow.connection_lookup import find_connection
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.cli.login_runs import arguments, call_api
from tests.taskflow.later import an_hour_later
from tests.taskflow.test_write_back import StoredConnection


def test_the_refresh_token_is_written_back_when_asked_for(
    request: pytest.FixtureRequest,
    airflow_home: Path,
    oauth_server: OAuthTestServer,
    browser: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert airflow_home.is_dir()
    known = oauth_server.connection(
        grant_type="authorization_code", authorize_url=f"{oauth_server.base_url}/oauth/authorize"
    )
    stored = StoredConnection("written_back", known)
    request.addfinalizer(stored.delete)
    login(arguments(conn_id="written_back", write_back=True))
    extra = json.loads(find_connection("written_back").extra or "{}")
    assert oauth_server.state.family(extra["refresh_token"])
    assert extra["refresh_token"] not in "".join(capsys.readouterr())
    for _ in range(2):  # what was written there does not come back once it is spent
        an_hour_later()
        oauth_server.revoke_access_tokens()
        assert call_api("written_back") == 200
    assert oauth_server.counters.reuse_detected == 0
