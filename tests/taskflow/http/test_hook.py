"""``OAuth2Hook`` and sessions against the real server: what works, and that no secret travels as a header."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from airflow.providers.http.hooks.http import HttpHook
from airflow.providers.http.operators.http import HttpOperator
from requests.adapters import HTTPAdapter

from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.errors import (
    ApiRequestFailed,
    ConnectionConfigError,
    ForeignOriginRefused,
    OAuthTaskflowError,
    TokenRequestRejected,
)
from oauth_taskflow.taskflow.http.hook import OAuth2Hook
from oauth_taskflow.taskflow.sessions import open_session
from oauth_taskflow.testing import OAuthTestServer
from tests.support.measured import measure_child
from tests.taskflow.conftest import SetConnection
from tests.taskflow.test_write_back import StoredConnection

# HttpOperator itself uses a name that Airflow 3.3 deprecates.
IGNORE_THEIRS = pytest.mark.filterwarnings(
    "ignore::airflow.utils.deprecation_tools.DeprecatedImportWarning"
)
SECRETS = ("test-secret", "rt-in-extra")


def hook(method: str = "GET", **kwargs: Any) -> OAuth2Hook:
    return OAuth2Hook(http_conn_id="crm", method=method, **kwargs)


def older_shape(server: OAuthTestServer, **extra: Any) -> dict[str, Any]:
    return {
        "conn_type": "http",
        "host": server.base_url,
        "extra": {
            "auth_type": "oauth2",
            "client_id": server.client_id,
            "client_secret": server.client_secret,
            "token_url": server.token_url,
            "scope": "airports.read",
            **extra,
        },
    }


def find_leaks(server: OAuthTestServer) -> list[str]:
    """Lists secrets of the token endpoint, and names of extra, in the requests to the API."""
    token_path = urlsplit(server.token_url).path
    grants = [call.form for call in server.requests if call.path == token_path]
    calls = [call for call in server.requests if call.path != token_path]
    assert grants and calls  # noqa: PT018 - one condition: both kinds of requests were made
    secrets = [server.client_secret, *(form.get("refresh_token", "") for form in grants)]
    seen = [text for call in calls for pair in call.headers.items() for text in pair]
    seen += [text for call in calls for pair in call.query for text in pair]
    names = ("client_secret", "client_id", "refresh_token", "token_url", "auth_type", "scope")
    return [
        text
        for text in seen
        if text.lower() in names or any(secret in text for secret in secrets if secret)
    ]


def test_run_gets_data_with_a_fresh_token(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection())
    response = hook().run("/airports/EDDF")
    assert response.json()["icao"] == "EDDF"
    assert oauth_server.counters.token_requests == 1


def test_run_sends_data_headers_and_a_body_as_http_hook_does(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection(api_headers={"X-Tenant": "acme"}))
    asked = hook().run("echo", {"a": 1}, headers={"X-Call": "7"}).json()
    assert asked["query"] == [["a", "1"]]
    assert asked["headers"]["X-Tenant"] == "acme"
    assert asked["headers"]["X-Call"] == "7"
    posted = hook("POST").run("/echo", json={"a": 1}).json()
    assert (posted["method"], posted["body"]) == ("POST", '{"a": 1}')


@IGNORE_THEIRS
@pytest.mark.parametrize("shape", ["oauth2", "http"])
def test_no_secret_of_the_connection_reaches_the_api(
    shape: str, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    extra = {"refresh_token": oauth_server.issue_refresh_token()}
    older = older_shape(oauth_server, **extra)
    set_connection("crm", oauth_server.connection(**extra) if shape == "oauth2" else older)
    with open_session("crm") as session:
        session.get("/countries").raise_for_status()
        oauth_server.revoke_access_tokens()  # the next refresh token is a rotated one
        session.get("/countries").raise_for_status()
    hook().run("/countries")
    if (
        shape == "oauth2"
    ):  # Airflow chooses the hook by type: the older shape would get the stock one
        HttpOperator(task_id="call", http_conn_id="crm", endpoint="/echo", method="GET").execute({})
    assert oauth_server.counters.refreshes == 2
    assert oauth_server.counters.reuse_detected == 0
    assert find_leaks(oauth_server) == []


def test_the_hook_of_airflow_leaks_secrets_of_http_connections_so_the_leak_test_can_fail(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", older_shape(oauth_server))
    hook().run("/countries")
    HttpHook(http_conn_id="crm", method="GET").run("/echo")
    assert oauth_server.client_secret in find_leaks(oauth_server)


@IGNORE_THEIRS
def test_the_stock_operator_works_with_our_connection_type(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection())
    call = HttpOperator(
        task_id="call",
        http_conn_id="crm",
        endpoint="/airports/EDDF",
        method="GET",
        response_filter=lambda response: response.json()["icao"],
    )
    assert isinstance(call.hook, OAuth2Hook)
    assert call.execute({}) == "EDDF"


@pytest.mark.parametrize(
    ("path", "connection"),
    [
        ("/with/bearer/countries", {"password": "static-bearer-token", "auth_type": "bearer"}),
        ("/with/api_key/countries", {"password": "static-api-key", "auth_type": "api_key"}),
        (
            "/with/basic/countries",
            {"login": "admin", "password": "static-password", "auth_type": "basic"},
        ),
        ("/countries", {"login": "admin", "password": "static-password", "auth_type": "session"}),
        ("/with/none/countries", {"login": None, "password": None, "auth_type": "none"}),
    ],
)
def test_every_other_kind_of_authentication_opens_its_api(
    path: str,
    connection: dict[str, Any],
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
) -> None:
    set_connection("crm", oauth_server.connection(token_url=None, scope=None, **connection))
    with open_session("crm") as session:
        assert session.get(path).status_code == 200
        assert session.get(path).status_code == 200
    assert oauth_server.counters.logins == (1 if connection["auth_type"] == "session" else 0)


def test_the_base_path_is_kept(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection(host=f"{oauth_server.base_url}/countries/"))
    assert hook().run("/DE/airports").status_code == 200
    assert hook().url_from_endpoint("DE") == f"{oauth_server.base_url}/countries/DE"


def test_an_error_status_is_a_typed_error_that_names_url_and_remedy(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection())
    with pytest.raises(ApiRequestFailed) as caught:
        hook().run("/nowhere?token=hidden")
    assert (caught.value.status, caught.value.retryable) == (404, False)
    assert isinstance(caught.value, requests.HTTPError)
    assert "hidden" not in str(caught.value)
    assert hook().run("/nowhere", extra_options={"check_response": False}).status_code == 404


def test_options_of_http_hook_in_http_connections_are_honoured(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", older_shape(oauth_server, check_response=False, max_redirects=3))
    assert hook().run("/nowhere").status_code == 404
    assert hook().get_conn().max_redirects == 3


def test_a_custom_adapter_is_mounted(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection())
    adapter = HTTPAdapter()
    session = hook(adapter=adapter).get_conn(headers={"X-Call": "7"})
    assert isinstance(session, OAuthSession)
    assert session.get_adapter(oauth_server.base_url) is adapter
    assert session.headers["X-Call"] == "7"


def test_a_missing_connection_says_how_to_add_it(airflow_home: Path) -> None:
    with pytest.raises(ConnectionConfigError) as caught:
        OAuth2Hook(http_conn_id="nowhere").get_conn()
    assert str(caught.value) == (
        "There is no connection by the name 'nowhere'. Add it in Airflow (Admin, Connections) or set "
        "AIRFLOW_CONN_NOWHERE."
    )


def test_a_garbled_connection_variable_is_named(
    airflow_home: Path, set_connection: SetConnection
) -> None:
    set_connection("crm", '{"conn_type": ')
    with pytest.raises(ConnectionConfigError) as caught:
        hook().get_conn()
    assert str(caught.value) == (
        "There is no connection by the name 'crm'. AIRFLOW_CONN_CRM is set, but Airflow cannot read it: "
        "write a connection URI, or a JSON mapping of conn_type, host, login, password and extra."
    )


def test_an_empty_conn_id_is_reported_as_empty_not_as_missing(airflow_home: Path) -> None:
    with pytest.raises(ConnectionConfigError) as caught:
        OAuth2Hook(http_conn_id="").get_conn()
    assert str(caught.value) == (
        "No connection was named: conn_id is empty. Name one, as in conn_id='crm'; a template may have come out empty."
    )


def test_a_connection_of_the_metadata_database_is_found_outside_tasks(
    airflow_home: Path, oauth_server: OAuthTestServer
) -> None:
    assert airflow_home.is_dir()
    extra = {"token_url": oauth_server.token_url}
    known = {"host": oauth_server.base_url, "login": "test-client", "password": "test-secret"}
    stored = StoredConnection("stored", {"conn_type": "oauth2", **known, "extra": extra})
    try:
        hook = OAuth2Hook(http_conn_id="stored", method="GET")
        assert hook.run("/countries").status_code == 200
    finally:
        stored.delete()


def test_a_plain_script_gets_a_session_from_an_environment_variable(
    oauth_server: OAuthTestServer, tmp_path: Path
) -> None:
    script = (
        "from oauth_taskflow import OAuth2Hook\n"
        "with OAuth2Hook(http_conn_id='crm').get_conn() as session:\n"
        "    print(session, session.get('/airports/EDDF').json()['icao'])\n"
    )
    made = oauth_server.connection_json()
    home = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW_CONN_CRM": made}
    # Nothing of this suite's Airflow: no command has ever run there, so no key for the tokens exists yet.
    own = {name: text for name, text in os.environ.items() if not name.startswith("AIRFLOW__")}
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=measure_child({**own, **home}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.splitlines()[-1] == f"<OAuthSession for {oauth_server.base_url}> EDDF"
    assert (tmp_path / "oauth_taskflow.db").stat().st_mode & 0o777 == 0o600
    assert "test-secret" not in result.stdout + result.stderr
    assert re.search(r"^fernet_key = \S{44}$", (tmp_path / "airflow.cfg").read_text(), re.MULTILINE)


def test_the_sessions_of_a_process_share_one_login_until_the_connection_changes(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    session = {"auth_type": "session", "login": "admin", "password": "static-password"}
    plain = oauth_server.connection(token_url=None, scope=None, **session)
    for connection in (plain, plain, {**plain, "password": "other"}):
        set_connection("crm", connection)
        with open_session("crm") as opened:
            if connection is plain:
                opened.get("/countries").raise_for_status()
            else:
                with pytest.raises(
                    TokenRequestRejected, match=r"HTTP 401.* for connection 'crm' at"
                ):
                    opened.get("/countries")
    assert oauth_server.counters.logins == 2  # the first, and the refused one


def test_a_dead_refresh_token_is_a_permanent_typed_error(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection(refresh_token="rt-in-extra"))
    with pytest.raises(OAuthTaskflowError) as caught:
        hook().run("/countries")
    assert not caught.value.retryable
    assert not any(secret in str(caught.value) for secret in SECRETS)


def test_an_absolute_url_is_called_within_the_connections_origins_only(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection())
    assert hook().run(f"{oauth_server.base_url}/countries?page=2").status_code == 200
    assert hook().run("countries?back=http://x").request.url.endswith("/countries?back=http://x")
    with pytest.raises(ForeignOriginRefused):
        hook().run("https://evil.test/countries")
