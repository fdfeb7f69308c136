"""``airflow oauth login --revoke-old``: a login that revokes the grant it replaces."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow.taskflow.cli.login import login
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.cli.login_runs import arguments, call_api, run_failing_login
from tests.taskflow.conftest import Connect

pytestmark = pytest.mark.usefixtures("own_store")


def list_revoked(server: OAuthTestServer) -> list[str]:
    """Lists the tokens of all revocation requests."""
    return [call.form["token"] for call in server.requests if call.path == "/oauth/revoke"]


def test_revoke_old_ends_the_replaced_grant_and_keeps_the_new_one(
    connect: Connect,
    oauth_server: OAuthTestServer,
    browser: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    connect(revoke_url=f"{oauth_server.base_url}/oauth/revoke")
    login(arguments(revoke_old=True))
    assert list_revoked(oauth_server) == []
    (old,) = oauth_server.state._families
    login(arguments(revoke_old=True))
    assert list_revoked(oauth_server)[0] == old
    assert oauth_server.counters.revoked_families == 1
    assert "The old grant was revoked." in capsys.readouterr().err
    oauth_server.revoke_access_tokens()
    assert call_api() == 200


def test_a_failed_revocation_of_the_old_grant_is_reported_and_the_new_one_kept(
    connect: Connect,
    oauth_server: OAuthTestServer,
    browser: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    connect(revoke_url=f"{oauth_server.base_url}/oauth/revoke")
    login(arguments())
    login(arguments())
    assert list_revoked(oauth_server) == []
    oauth_server.fault("/oauth/revoke", status=503)
    login(arguments(revoke_old=True))
    assert "The old grant could not be revoked: " in capsys.readouterr().err
    assert call_api() == 200


def test_an_old_grant_that_no_fernet_key_decrypts_is_replaced(
    connect: Connect,
    oauth_server: OAuthTestServer,
    browser: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    connect(revoke_url=f"{oauth_server.base_url}/oauth/revoke")
    login(arguments())
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
    login(arguments(revoke_old=True))
    said = capsys.readouterr().err
    assert (
        said.count("This login will replace a grant that may be in use elsewhere (Ctrl-C ends it)")
        == 1
    )
    assert list_revoked(oauth_server) == []
    assert call_api() == 200


def test_revoke_old_without_revoke_url_fails_before_the_browser_opens(
    connect: Connect, browser: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    connect()
    assert "field 'revoke_url'" in run_failing_login(capsys, revoke_old=True)
    assert browser == []
