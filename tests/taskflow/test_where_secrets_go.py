"""Where the client secret is sent is the connection's business alone, whatever DAG, run and server say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from oauth_taskflow.api.errors import ApiStatusError
from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import OAuth2Settings
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.specs.check import check_text
from oauth_taskflow.taskflow.decorator import oauth_task
from oauth_taskflow.taskflow.http.operator import OAuth2HttpOperator
from oauth_taskflow.taskflow.sessions import open_session
from oauth_taskflow.testing import OAuthTestServer
from tests.connections.samples import connection
from tests.oauth.raw_server import answering, raw_server, self_signed
from tests.taskflow.conftest import SetConnection

PLACES = ("token_url", "authorize_url", "revoke_url", "introspect_url", "issuer", "client_auth")


@pytest.mark.parametrize("name", PLACES)
def test_neither_decorator_nor_operator_nor_spec_takes_a_place_for_secrets(name: str) -> None:
    def task(session: Any) -> None: ...

    value: dict[str, Any] = {name: "https://evil.example/token"}
    with DAG("d", schedule=None), pytest.raises(TypeError, match=name):
        oauth_task(conn_id="crm", **value)(task)()
    with pytest.raises(TypeError, match=name):
        OAuth2HttpOperator(task_id="t", http_conn_id="crm", **value)
    spec = f"version: 1\ndag_id: a\nconnection: crm\n{name}: x\nendpoints:\n  a:\n    request: {{path: /a, {name}: x}}\n"
    found = [problem.rule for problem in check_text(spec, "a.yaml").problems]
    assert found.count("unknown-key") == 2


def test_a_template_in_a_connection_is_never_filled_in() -> None:
    with pytest.raises(ConnectionConfigError, match="not an https URL"):
        parse_connection(connection({"token_url": "{{ dag_run.conf['url'] }}"}))
    written = "https://{{ params.host }}/token"
    auth = parse_connection(connection({"token_url": written})).auth
    assert isinstance(auth, OAuth2Settings)
    assert auth.token_url == written


def test_no_operator_field_that_is_templated_says_where_tokens_come_from() -> None:
    assert "http_conn_id" in OAuth2HttpOperator.template_fields
    assert not set(PLACES) & set(OAuth2HttpOperator.template_fields)


def test_a_connection_that_checks_no_certificates_still_checks_the_token_endpoints(
    set_connection: SetConnection, tmp_path: Path
) -> None:
    context, _ = self_signed(tmp_path)
    seen: list[bytes] = []
    with raw_server(answering(b"HTTP/1.1 200 OK\r\n\r\n{}", seen), context) as place:
        fields = {"conn_type": "oauth2", "host": f"https://{place}", "login": "me"}
        extra = {"token_url": f"https://{place}/token", "verify": False}
        set_connection("crm", {**fields, "password": "s3cret", "extra": extra})
        with (
            open_session("crm") as session,
            pytest.raises(ConnectionConfigError, match=r"certificate of .* was refused"),
        ):
            session.get("/data")
    assert seen == []


def test_a_narrower_scope_is_an_error_only_where_the_task_needs_the_rest(
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
) -> None:
    token = oauth_server.issue_access_token("airports.read")
    body = {"access_token": token, "token_type": "Bearer", "scope": "airports.read"}
    oauth_server.fault("/oauth/token", status=200, body=json.dumps(body))
    set_connection("crm", oauth_server.connection(scope="airports.read airports.write"))
    with open_session("crm") as session:
        assert session.get("/scope/airports.read").status_code == 200
        with pytest.raises(ApiStatusError) as caught:
            session.get("/scope/airports.write").raise_for_status()
    assert "insufficient_scope, it takes the scope airports.write" in str(caught.value)
    assert not caught.value.retryable
    assert oauth_server.counters.token_requests <= 1
