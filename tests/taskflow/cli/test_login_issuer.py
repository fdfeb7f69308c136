"""A login that finds its endpoints through the issuer, and compares the issuer with the answer."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from oauth_taskflow.taskflow.cli.grants import revoke
from oauth_taskflow.taskflow.cli.login import login
from oauth_taskflow.testing import OAuthTestServer
from tests.oauth.metadata import forget_metadata
from tests.taskflow.cli.login_runs import (
    arguments,
    call_api,
    read_row,
    run_failing_login,
)
from tests.taskflow.conftest import Connect

pytestmark = pytest.mark.usefixtures("own_store")


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    forget_metadata()
    yield
    forget_metadata()


def issuer_only(server: OAuthTestServer) -> dict[str, Any]:
    """A connection that names the issuer only."""
    nothing = dict.fromkeys(("authorize_url", "device_url", "token_url"))
    return {**nothing, "issuer": server.base_url}


def test_a_login_with_only_an_issuer_uses_its_par_endpoint(
    connect: Connect,
    oauth_server: OAuthTestServer,
    browser: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    connect(**issuer_only(oauth_server))
    login(arguments())
    assert read_row(capsys)["state"] == "fresh"
    assert call_api() == 200
    assert "request_uri" in parse_qs(urlsplit(browser[0]).query)
    revoke(Namespace(conn_id="crm", output="json"))
    assert read_row(capsys)["state"] == "revoked"
    assert oauth_server.counters.revoked_families == 1


@pytest.mark.parametrize(
    "case",
    [("https://evil.example", "another authorization server"), ("", "does not name its issuer")],
)
def test_an_answer_of_another_issuer_is_refused_before_its_code_is_sent(
    connect: Connect,
    oauth_server: OAuthTestServer,
    browser: list[str],
    capsys: pytest.CaptureFixture[str],
    case: tuple[str, str],
) -> None:
    named, reason = case
    connect(**issuer_only(oauth_server))
    login(arguments())  # the metadata are known from here on: the server does name itself
    oauth_server.clear_log()
    oauth_server.desk.issuer = named
    assert reason in run_failing_login(capsys)
    assert not [call for call in oauth_server.requests if call.path == "/oauth/token"]


def test_an_issuer_without_metadata_is_still_compared_with_the_answer(
    connect: Connect,
    oauth_server: OAuthTestServer,
    browser: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    oauth_server.fault("/.well-known/*", status=404, times=99)
    connect(issuer=oauth_server.base_url)
    login(arguments())
    oauth_server.desk.issuer = "https://evil.example"
    assert "another authorization server" in run_failing_login(capsys)


def test_a_published_address_in_an_inner_network_is_refused_with_the_key_for_another(
    connect: Connect, oauth_server: OAuthTestServer, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = {"issuer": oauth_server.base_url, "authorization_endpoint": "https://10.0.0.7/agree"}
    oauth_server.fault("/.well-known/*", status=200, body=json.dumps(inner))
    connect(**issuer_only(oauth_server))
    assert "Write authorize_url instead." in run_failing_login(capsys)


def test_an_issuer_without_metadata_and_endpoints_is_named(
    connect: Connect, oauth_server: OAuthTestServer, capsys: pytest.CaptureFixture[str]
) -> None:
    oauth_server.fault("/.well-known/*", status=404, times=99)
    connect(**issuer_only(oauth_server))
    assert "'issuer'" in run_failing_login(capsys)
