"""The broker: what leaves the API server, what never does, and failures to get a token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import BrokeredSettings
from oauth_taskflow.errors import InvalidClient, LeaseTimeout, TokenEndpointUnavailable
from oauth_taskflow.oauth.token import Token, TokenSource
from oauth_taskflow.taskflow.broker import server as broker
from oauth_taskflow.taskflow.broker.protocol import (
    bypass_broker,
    question_id,
    read_failure,
)
from oauth_taskflow.taskflow.connection_lookup import load_settings
from oauth_taskflow.taskflow.secrets_backend import OAuthBroker
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import SetConnection


@pytest.fixture
def backend(airflow_home: Path) -> Iterator[OAuthBroker]:
    """The broker as Airflow sets it up on the API server."""
    assert airflow_home.is_dir()
    yield as_airflow_makes_it()
    broker._sources.clear()


def as_airflow_makes_it(**kwargs: Any) -> OAuthBroker:
    from airflow.models import Connection  # noqa: PLC0415 - Airflow needs its home first

    made = OAuthBroker(**kwargs)
    made._set_connection_class(Connection)  # noqa: AIR311 - the class that Airflow's server sets
    return made


def everything_in(connection: Any) -> str:
    names = ("conn_id", "conn_type", "host", "schema", "login", "password", "port", "extra")
    return " ".join(str(getattr(connection, name)) for name in names)


def test_a_task_gets_the_access_token_and_neither_client_secret_nor_refresh_token(
    backend: OAuthBroker, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    seed = oauth_server.issue_refresh_token()
    set_connection("crm", oauth_server.connection(refresh_token=seed, allowed_origins="https://x"))
    found = backend.get_connection("crm")
    assert found.host == oauth_server.base_url
    assert found.password in oauth_server.state.list_issued()
    extra = json.loads(found.extra)
    assert extra.keys() == {
        "auth_type",
        "token_header",
        "obtained_at",
        "expires_at",
        "answered_at",
        "leeway",
        "allowed_origins",
        "timeout",
        "verify",
    }
    assert (extra["auth_type"], extra["allowed_origins"]) == ("bearer", ["https://x"])
    refresh_tokens = [
        token for token in oauth_server.state.list_issued() if token != found.password
    ]
    shown = everything_in(found)
    assert not [s for s in [oauth_server.client_secret, seed, *refresh_tokens] if s in shown]
    assert oauth_server.client_id not in shown


def test_the_brokered_connection_is_read_back_with_how_to_call_the_api(
    backend: OAuthBroker, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    options = {
        "token_header": "X-Token: Bare {token}",
        "api_headers": {"X-Tenant": "acme"},
        "timeout": [3, 4],
        "proxies": {"https": "http://proxy:3128"},
        "verify": False,
    }
    set_connection("crm", oauth_server.connection(**options))
    settings = parse_connection(backend.get_connection("crm"))
    assert isinstance(settings.auth, BrokeredSettings)
    assert (settings.auth.token_place.name, settings.auth.token_place.scheme) == (
        "X-Token",
        "Bare",
    )
    assert (settings.api_headers, settings.timeout) == ({"X-Tenant": "acme"}, (3.0, 4.0))
    assert (settings.proxies, settings.verify) == ({"https": "http://proxy:3128"}, False)


def test_the_older_http_shape_keeps_its_type_and_the_options_of_httphook(
    backend: OAuthBroker, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    older = oauth_server.connection(conn_type="http", auth_type="oauth2", check_response=False)
    set_connection("crm", older)
    found = backend.get_connection("crm")
    assert found.conn_type == "http"
    assert oauth_server.client_secret not in everything_in(found)
    assert parse_connection(found).http_options == {"check_response": False}


def test_a_login_is_made_on_the_api_server_too(
    backend: OAuthBroker, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    username, password = oauth_server.credentials.username, oauth_server.credentials.password
    set_connection(
        "crm",
        {
            "conn_type": "oauth2",
            "host": oauth_server.base_url,
            "login": username,
            "password": password,
            "extra": {"auth_type": "session"},
        },
    )
    found = backend.get_connection("crm")
    assert password not in everything_in(found)
    assert found.password in oauth_server.state.list_issued()


@pytest.mark.parametrize(
    "other",
    [
        {"conn_type": "postgres", "host": "db", "password": "p"},
        {"conn_type": "http", "host": "a.example", "password": "p"},
        {"conn_type": "http", "host": "a.example", "password": "p", "extra": {"auth_type": "own"}},
        {
            "conn_type": "oauth2",
            "host": "a.example",
            "password": "p",
            "extra": {"auth_type": "bearer"},
        },
    ],
)
def test_static_kinds_and_other_connection_types_are_handed_out_unchanged(
    other: dict[str, Any], backend: OAuthBroker, set_connection: SetConnection
) -> None:
    set_connection("other", other)
    assert backend.get_connection("other").password == "p"
    assert backend.get_connection("missing") is None
    assert backend.get_connection(question_id("other")) is None


@pytest.mark.parametrize("conn_type", ["http", "oauth2"])
@pytest.mark.parametrize(
    "kind", [{"auth_type": "oauth"}, {"authtype": "oauth2"}, {"auth_type": "bearer"}], ids=str
)
def test_a_grant_whose_kind_is_wrong_is_denied_and_not_handed_out_as_it_is_stored(
    conn_type: str,
    kind: dict[str, str],
    backend: OAuthBroker,
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
) -> None:
    seed = oauth_server.issue_refresh_token()
    stored = oauth_server.connection(conn_type=conn_type, refresh_token=seed, **kind)
    set_connection("crm", stored)
    with pytest.raises(PermissionError) as caught:
        backend.get_connection("crm")
    said = repr(caught.value) + str(vars(caught.value))
    assert seed not in said
    assert oauth_server.client_secret not in said
    assert oauth_server.requests == []


def test_a_failure_is_a_denial_that_ends_the_search_with_403(
    backend: OAuthBroker, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:

    set_connection("crm", oauth_server.connection(password="not-the-secret"))
    with pytest.raises(PermissionError) as caught:
        backend.get_connection("crm")
    assert "refused (invalid_client, HTTP 401)" in str(caught.value)
    assert getattr(caught.value, "status_code", None) == 403
    assert "not-the-secret" not in repr(caught.value) + str(vars(caught.value))


@pytest.mark.parametrize(
    "extra", [{"auth_type": "oauht2"}, {"token_url": ""}, {"token_uri": "https://x"}, "no JSON", []]
)
def test_a_connection_with_an_invalid_field_is_denied(
    extra: Any, backend: OAuthBroker, set_connection: SetConnection
) -> None:
    set_connection(
        "crm",
        {
            "conn_type": "oauth2",
            "host": "a.example",
            "login": "i",
            "password": "p4ssw0rd",
            "extra": extra,
        },
    )
    with pytest.raises(PermissionError, match="in connection 'crm'") as caught:
        backend.get_connection("crm")
    assert "p4ssw0rd" not in str(caught.value)


def test_airflows_own_lookup_does_not_fall_through_to_the_raw_connection(
    backend: OAuthBroker,
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import airflow.configuration  # noqa: PLC0415 - Airflow needs its home first
    from airflow.models import Connection  # noqa: PLC0415 - as above

    chain = [backend, *airflow.configuration.ensure_secrets_loaded()]
    monkeypatch.setattr(airflow.configuration, "secrets_backend_list", chain)
    set_connection("crm", oauth_server.connection(password="not-the-secret"))
    lookup = Connection.get_connection_from_secrets  # noqa: AIR311 - what the Execution API calls
    with pytest.raises(PermissionError, match="invalid_client"):
        lookup("crm")
    set_connection("crm", oauth_server.connection())
    assert lookup("crm").password in oauth_server.state.list_issued()


def test_a_question_of_this_package_is_answered_with_the_typed_error(
    backend: OAuthBroker,
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The tries at an endpoint that is down may outlast the broker's patience, which is not this test's subject.
    monkeypatch.setattr(broker, "_ANSWER_WITHIN", 60.0)
    set_connection("wrong_secret", oauth_server.connection(password="not-the-secret"))
    failure = read_failure(backend.get_connection(question_id("wrong_secret")).extra)
    assert isinstance(failure, InvalidClient)
    assert (failure.status, failure.retryable) == (401, False)
    oauth_server.fault("/oauth/token", status=503, headers={"Retry-After": "120"}, times=3)
    set_connection("endpoint_down", oauth_server.connection())
    failure = read_failure(backend.get_connection(question_id("endpoint_down")).extra)
    assert isinstance(failure, TokenEndpointUnavailable)
    assert failure.retryable
    assert 100 < (failure.retry_after or 0) <= 120


def test_a_refused_token_is_replaced_once_however_many_tasks_ask(
    backend: OAuthBroker, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection(refresh_token=oauth_server.issue_refresh_token()))
    first = backend.get_connection("crm").password
    after = {backend.get_connection(question_id("crm", first)).password for _ in range(3)}
    assert len(after) == 1
    assert first not in after
    assert oauth_server.counters.refreshes == 2
    assert backend.get_connection("crm").password in after


def test_an_edited_connection_takes_effect_at_the_next_question(
    backend: OAuthBroker, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection())
    assert backend.get_connection("crm").host == oauth_server.base_url
    set_connection("crm", oauth_server.connection(host="https://elsewhere.example"))
    assert backend.get_connection("crm").host == "https://elsewhere.example"


def test_the_broker_answers_while_the_token_endpoint_hangs_and_the_next_question_joins_the_refresh(
    backend: OAuthBroker,
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broker, "_ANSWER_WITHIN", 0.05)
    oauth_server.faults.latency = 0.5
    set_connection("crm", oauth_server.connection())
    failure = read_failure(backend.get_connection(question_id("crm")).extra)
    assert isinstance(failure, LeaseTimeout)
    monkeypatch.setattr(broker, "_ANSWER_WITHIN", 10.0)
    assert backend.get_connection(question_id("crm")).password in oauth_server.state.list_issued()
    assert oauth_server.counters.token_requests == 1


def test_tokens_handed_out_do_not_accumulate_in_airflows_masker(
    backend: OAuthBroker,
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported: list[Any] = []
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    monkeypatch.setattr("airflow.sdk.log.mask_secret", reported.append)
    monkeypatch.setattr(
        "airflow.models.connection.mask_secret", lambda one, *_: reported.append(one)
    )
    set_connection("crm", oauth_server.connection())
    found = backend.get_connection("crm")
    assert found.password in oauth_server.state.list_issued()
    assert found.password not in str(reported)


def test_the_brokered_connection_is_not_kept_in_airflows_secret_cache(
    backend: OAuthBroker, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection())
    assert backend.get_connection("crm").get_uri() is None


def test_code_on_the_server_that_asks_for_the_configured_connection_gets_it(
    backend: OAuthBroker, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection())
    with bypass_broker():
        assert backend.get_connection("crm") is None  # so that Airflow goes on to the raw one
    assert oauth_server.counters.token_requests == 0


def access_denied() -> type[Exception]:
    from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied  # noqa: PLC0415 - as above

    return AirflowSecretsBackendAccessDenied


class Bound(TokenSource):
    """Tokens that are worth nothing without a key."""

    def token(self) -> Token:
        return Token("bound", 0.0, token_type="DPoP")

    def replace_refused(self, access_token: str) -> Token:
        raise AssertionError(access_token)


def test_a_token_that_is_bound_to_a_key_is_not_handed_out(
    backend: OAuthBroker, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection())
    broker._sources["", "crm"] = load_settings("crm"), Bound()
    with pytest.raises(PermissionError, match="A token of type DPoP is bound to a key that stays"):
        backend.get_connection("crm")


class Defective(TokenSource):
    """Fails as only a bug can."""

    def token(self) -> Token:
        raise RuntimeError("token=s3cret")

    def replace_refused(self, access_token: str) -> Token:
        raise AssertionError(access_token)


def test_a_defect_of_the_broker_is_a_denial_that_quotes_nothing(
    backend: OAuthBroker, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection())
    broker._sources["", "crm"] = load_settings("crm"), Defective()
    with pytest.raises(PermissionError) as caught:
        backend.get_connection("crm")
    assert str(caught.value) == "The broker failed (RuntimeError) in connection 'crm'."


def test_a_database_that_is_down_is_not_reported_as_a_missing_connection(
    backend: OAuthBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.secrets.metastore import MetastoreBackend  # noqa: PLC0415 - Airflow needs its home first

    def down(*_: Any, **__: Any) -> None:
        raise OSError("no route to database")

    monkeypatch.setattr(MetastoreBackend, "get_connection", down)
    with pytest.raises(PermissionError) as caught:
        backend.get_connection("crm")
    assert str(caught.value) == (
        "The connection cannot be looked up: MetastoreBackend (OSError) failed for connection 'crm' on the API server. "
        "Check that the store of the secrets is running, and that the API server may read it."
    )
    failure = read_failure(backend.get_connection(question_id("crm")).extra)
    assert isinstance(failure, TokenEndpointUnavailable)
    assert failure.retryable


def test_without_a_wrapped_backend_there_are_no_variables_and_no_configuration(
    backend: OAuthBroker,
) -> None:
    assert backend.get_variable("x") is None
    assert backend.get_config("x") is None


def test_in_a_tasks_process_the_broker_leaves_the_question_to_the_api_server(
    backend: OAuthBroker,
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - Airflow needs its home first

    set_connection("crm", oauth_server.connection())
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", object(), raising=False)
    assert backend.get_connection("crm") is None
    assert oauth_server.counters.token_requests == 0
