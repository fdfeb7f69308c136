"""A client secret that changes while a session is open."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from oauth_taskflow.errors import InvalidClient, InvalidGrant
from oauth_taskflow.secret_registry import list_secrets
from oauth_taskflow.taskflow.connection_lookup import load_settings
from oauth_taskflow.taskflow.sessions import open_session, token_source
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import SetConnection

pytestmark = pytest.mark.usefixtures("airflow_home")


def test_a_rotated_client_secret_is_found_in_the_connection_by_the_running_task(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection(password="the old secret"))
    with open_session("crm") as session:
        set_connection("crm", oauth_server.connection())
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda _: session.get("/page/airports").ok, range(4)))
    assert answers == [True] * 4
    assert oauth_server.counters.token_requests <= 5
    assert oauth_server.client_secret in list_secrets()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, '{"error": "invalid_client"}'),
        (401, '{"error": "unauthorized_client"}'),  # Keycloak
        (403, ""),  # Glewlwyd
        (400, '{"error": "invalid_grant"}'),  # the assertion of a JWT bearer grant
    ],
)
def test_a_refused_token_is_replaced_with_what_the_connection_holds_now(
    oauth_server: OAuthTestServer, set_connection: SetConnection, status: int, body: str
) -> None:
    set_connection("crm", oauth_server.connection())
    source = token_source(load_settings("crm"))
    assert source is not None
    first = source.token().access_token
    oauth_server.fault("/oauth/token", status=status, body=body)
    set_connection("crm", oauth_server.connection(token_headers={"X-Rotated": "yes"}))
    assert source.replace_refused(first).access_token != first


def test_a_refused_refresh_token_is_no_reason_to_read_the_connection_again(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    known = oauth_server.connection(refresh_token=oauth_server.issue_refresh_token())
    set_connection("crm", known)
    source = token_source(load_settings("crm"))
    assert source is not None
    first = source.token().access_token
    oauth_server.fault("/oauth/token", status=400, body='{"error": "invalid_grant"}')
    set_connection("crm", oauth_server.connection(token_headers={"X-Rotated": "yes"}))
    with pytest.raises(InvalidGrant):
        source.replace_refused(first)


def test_an_unchanged_connection_is_refused_after_one_request(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection(password="wrong"))
    with open_session("crm") as session:
        for _ in range(3):
            with pytest.raises(InvalidClient):
                session.get("/page/airports")
    assert oauth_server.counters.token_requests == 1
