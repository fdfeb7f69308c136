"""The one clear error for each wrong connection."""

from __future__ import annotations

import pytest

from oauth_taskflow.connections.fields.table import PLANNED
from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.errors import ConnectionConfigError
from tests.connections.samples import TOKEN_URL, Connection, connection, kind


def refusal(wrong: Connection) -> str:
    with pytest.raises(ConnectionConfigError) as caught:
        parse_connection(wrong)
    assert caught.value.__cause__ is None  # a cause could quote the document, secrets included
    return str(caught.value)


REFUSALS: dict[str, tuple[Connection, str]] = {
    "unknown field": (
        connection({"tokn_url": "x"}),
        "Unknown field in connection 'crm', field 'tokn_url'. Did you mean 'token_url'?",
    ),
    "unknown field, nothing near": (
        connection({"X-Tenant": "x"}),
        "Unknown field in connection 'crm', field 'X-Tenant'. Headers for the API go into api_headers.",
    ),
    "headers under the name of other tools": (
        connection({"headers": {"X-Tenant": "x"}}),
        "Unknown field in connection 'crm', field 'headers'. Here it is 'api_headers'.",
    ),
    "parameters under the name of other tools": (
        connection({"Query_Params": {"tenant": "x"}}),
        "Unknown field in connection 'crm', field 'Query_Params'. Here it is 'api_params'.",
    ),
    "the host under the name of other tools": (
        connection({"base_url": "https://api.example.com"}, host=""),
        "Unknown field in connection 'crm', field 'base_url'. Here it is the connection's host, next to extra.",
    ),
    "planned field": (
        connection({"srv_lookup": "true"}),
        "This field is not supported by this version of oauth-taskflow in connection 'crm', field 'srv_lookup'. "
        "Write the host and port that the record names.",
    ),
    "an endpoint without encryption": (
        connection({"introspect_url": "http://id.example.com/introspect"}),
        "This endpoint is not an https URL in connection 'crm', field 'introspect_url'. Write it as "
        "https://id.example.com/…; plain http is accepted for 127.0.0.1 and [::1].",
    ),
    "an error code that nobody knows": (
        connection({"token_errors": {"E7": "invalid_grand"}}),
        "An error means 'invalid_grand', which is not an error code of RFC 6749 in connection 'crm', field 'token_errors'. "
        "Known: invalid_grant, invalid_client, invalid_scope, invalid_target, invalid_request, unauthorized_client, "
        "consent_required, temporarily_unavailable, server_error.",
    ),
    "wrong choice": (
        connection({"client_auth": "client_secret_basics"}),
        "The value must be one of client_secret_basic, client_secret_basic_raw, client_secret_post, client_secret_jwt, "
        "private_key_jwt, private_key_jwt_header, client_assertion, tls_client_auth, self_signed_tls_client_auth, none, "
        "unauthenticated in connection 'crm', field 'client_auth'. Did you mean 'client_secret_basic'?",
    ),
    "connection type": (
        connection(conn_type="postgres"),
        "Connection type 'postgres' cannot be used here in connection 'crm', field 'conn_type'. Use type oauth2, or "
        "http with auth_type in its extra.",
    ),
    "no connection type": (
        connection(conn_type=""),
        "The connection has no type in connection 'crm', field 'conn_type'. Use type oauth2, or http with auth_type in "
        "its extra.",
    ),
    "extra is no JSON": (
        connection("{'token_url': 'https://secret@x'}"),
        "The extra field is not a JSON mapping in connection 'crm', field 'extra'. Write it as {\"token_url\": "
        '"https://…"}.',
    ),
    "extra is a list": (
        connection("[1]"),
        "The extra field is not a JSON mapping in connection 'crm', field 'extra'. Write it as {\"token_url\": "
        '"https://…"}.',
    ),
    "http without auth_type": (
        connection(conn_type="http"),
        "A connection of type http must say how to authenticate in connection 'crm', field 'auth_type'. Add auth_type "
        "(as oauth2) to its extra, or change its type to oauth2.",
    ),
    "field of another kind": (
        kind("bearer", {"token_url": TOKEN_URL}),
        "This field has no effect with auth_type bearer in connection 'crm', field 'token_url'. Leave it out, or set "
        "auth_type to oauth2.",
    ),
    "no host": (
        connection(host=""),
        "The API's address is missing in connection 'crm', field 'host'. Put the base URL there, as in "
        "https://api.example.com/v3.",
    ),
    "host is no http URL": (
        connection(host="ftp://api.example.com"),
        "The API's address is not an http or https URL in connection 'crm', field 'host'. Write it as "
        "https://api.example.com/v3; the schema field holds http, https or nothing.",
    ),
    "host that cannot be parsed": (
        connection(host="https://[::1"),
        "The API's address is not an http or https URL in connection 'crm', field 'host'. Write it as "
        "https://api.example.com/v3; the schema field holds http, https or nothing.",
    ),
    "SRV lookup": (
        connection({"auth_type": "oauth2", "srv_lookup": True}, conn_type="http"),
        "This field is not supported by this version of oauth-taskflow in connection 'crm', field 'srv_lookup'. "
        "Write the host and port that the record names.",
    ),
    "token URL that cannot be parsed": (
        connection({"token_url": "https://[::1"}),
        "The token endpoint is not an https URL in connection 'crm', field 'token_url'. Write it as "
        "https://id.example.com/token; plain http is accepted for 127.0.0.1 and [::1].",
    ),
    "host with a password": (
        connection(host="https://user:hidden@api.example.com"),
        "The API's address holds a user name or password in connection 'crm', field 'host'. Move them to login and "
        "password.",
    ),
    "host with a query": (
        connection(host="https://api.example.com?key=1"),
        "The API's address holds a query or fragment in connection 'crm', field 'host'. Keep scheme, host, port and "
        "path only.",
    ),
    "two ports": (
        connection(host="https://api.example.com:1", port=2),
        "The port field says 2, the host says 1 in connection 'crm', field 'port'. Clear one of them.",
    ),
    "no token URL": (
        connection("{}"),
        "The token endpoint is missing in connection 'crm', field 'token_url'. Put the authorization server's token "
        "URL into extra, or its issuer.",
    ),
    "token URL in clear": (
        connection({"token_url": "http://id.example.com/token"}),
        "The token endpoint is not an https URL in connection 'crm', field 'token_url'. Write it as "
        "https://id.example.com/token; plain http is accepted for 127.0.0.1 and [::1].",
    ),
    "no client id": (
        connection(login=None),
        "The client id is missing in connection 'crm', field 'login'. Put the client id there.",
    ),
    "two client ids": (
        connection({"client_id": "other"}),
        "client_id differs from login in connection 'crm', field 'client_id'. Keep login and remove it.",
    ),
    "no secret": (
        connection(password=None),
        "The client secret is missing, and client_auth is client_secret_basic in connection 'crm', field 'password'. "
        "Put the client secret there, or set client_auth to none for a public client.",
    ),
    "secret that would not be sent": (
        connection({"client_auth": "none", "refresh_token": "rt"}),
        "A client secret is given, and client_auth none would not send it in connection 'crm', field 'client_auth'. "
        "Remove the secret, or use client_secret_basic or client_secret_post.",
    ),
    "public client credentials": (
        connection({"client_auth": "none"}, password=None),
        "The client_credentials grant needs a client secret (RFC 6749 §4.4) in connection 'crm', field 'client_auth'. "
        "Use client_secret_basic or client_secret_post, and put the secret into password.",
    ),
    "needless refresh token": (
        connection({"grant_type": "client_credentials", "refresh_token": "rt"}),
        "A refresh token does not belong to the client_credentials grant in connection 'crm', field 'refresh_token'. "
        "Remove it, or remove grant_type.",
    ),
    "token header": (
        connection({"token_header": "X-Auth: token={token};"}),
        "This is not a header with a placeholder for the token in connection 'crm', field 'token_header'. Write it as in "
        "X-Auth-Token: {token} or Authorization: Token {token}.",
    ),
    "origin with a path": (
        connection({"allowed_origins": "https://a.example/path"}),
        "An entry is not an origin in connection 'crm', field 'allowed_origins'. Write https://host or "
        "https://host:port.",
    ),
    "origin that cannot be parsed": (
        connection({"allowed_origins": "https://[::1"}),
        "An entry is not an origin in connection 'crm', field 'allowed_origins'. Write https://host or "
        "https://host:port.",
    ),
    "login URL that cannot be parsed": (
        kind("session", {"login_url": "//["}),
        "The login request would leave this host without encryption in connection 'crm', field 'login_url'. Write an "
        "https URL, or a path on the API's own host.",
    ),
    "no bearer token": (
        kind("bearer", password=""),
        "The token is missing in connection 'crm', field 'password'. Put the token there.",
    ),
    "token with a line break": (
        kind("bearer", password="a\nb"),
        "The token holds a line break or control character in connection 'crm', field 'password'. Paste it again.",
    ),
    "API key header name": (
        kind("api_key", {"api_key_name": "X Key"}),
        "This is not the name of a header in connection 'crm', field 'api_key_name'. Write it as in X-API-Key.",
    ),
    "no user name": (
        kind("basic", login=""),
        "The user name is missing in connection 'crm', field 'login'. Put the user name there.",
    ),
    "user name with a colon": (
        kind("basic", login="a:b"),
        "The user name holds a colon (RFC 7617 §2) in connection 'crm', field 'login'. Basic cannot carry it.",
    ),
    "password for nothing": (
        kind("none"),
        "A password is given, and auth_type none would not send it in connection 'crm', field 'password'. Clear it, "
        "or choose another auth_type.",
    ),
    "login without password": (
        kind("session", password=None),
        "The login request needs the password in connection 'crm', field 'password'. Fill it, or leave {password} out of "
        "login_fields.",
    ),
    "login in clear": (
        kind("session", {"login_url": "http://other.example.com/login"}),
        "The login request would leave this host without encryption in connection 'crm', field 'login_url'. Write an "
        "https URL, or a path on the API's own host.",
    ),
    "token path": (
        kind("session", {"token_path": "a..b"}),
        "This is not a JMESPath expression in connection 'crm', field 'token_path'. Write it as in access_token.",
    ),
    "function of a token path": (
        kind("session", {"token_path": "first(tokens)"}),
        "This JMESPath always fails: there is no function first() in connection 'crm', field 'token_path'. JMESPath has "
        "abs, avg, ceil, contains, ends_with, floor, join, keys, length, map, max, max_by, merge, min, min_by, not_null, "
        "reverse, sort, sort_by, starts_with, sum, to_array, to_number, to_string, type, values.",
    ),
    "seconds": (
        connection({"leeway": "soon"}),
        "The value must be a number, 0 or more in connection 'crm', field 'leeway'.",
    ),
    "no time at all": (
        connection({"timeout": 0}),
        "The value must be one or two numbers of seconds above 0 in connection 'crm', field 'timeout'.",
    ),
    "time of a typing error": (
        connection({"timeout": "10, 99999999999999"}),
        "The value must be at most 86400 seconds in connection 'crm', field 'timeout'.",
    ),
    "mapping": (
        connection({"api_headers": "X-Tenant"}),
        "The value must be a mapping, as in {\"name\": \"value\"} in connection 'crm', field 'api_headers'.",
    ),
    "deep mapping": (
        connection({"api_headers": {"a": {}}}),
        "The value must map names to texts in connection 'crm', field 'api_headers'.",
    ),
    "deep mapping in a form": (
        connection({"token_params": {"a": {}}}),
        "The value must map names to texts, unless token_body is json in connection 'crm', field 'token_params'. Write "
        "a list or mapping as the text that the server wants.",
    ),
    "an answer of any size": (
        connection({"max_answer_bytes": 1 << 40}),
        "The limit is out of range in connection 'crm', field 'max_answer_bytes'. Write a number from 1 to 17179869184.",
    ),
    "a budget without a number": (
        connection({"rate_limit": {"per": "PT1M"}}),
        'The value lacks the number of requests, as in {"requests": 100, "per": "PT1M"} in connection \'crm\', field '
        "'rate_limit'.",
    ),
    "a budget with a misspelled key": (
        connection({"rate_limit": [{"request": 5}]}),
        'The value is not a request budget (Object contains unknown field `request` - at `$[0]`), as in {"requests": 100, '
        "\"per\": \"PT1M\"} in connection 'crm', field 'rate_limit'.",
    ),
    "a budget of no time": (
        connection({"rate_limit": {"requests": 5, "per": "PT0S"}}),
        'The value has a period of no length, as in {"requests": 100, "per": "PT1M"} in connection \'crm\', field '
        "'rate_limit'.",
    ),
    "a budget with a template": (
        connection({"rate_limit": {"requests": 5, "weight": "{{ x }}"}}),
        "The value has a weight that is not a number; templates are for specs in connection 'crm', field 'rate_limit'.",
    ),
    "a budget that no request fits": (
        connection({"rate_limit": {"requests": 5, "weight": 6}}),
        "The value has a weight that is more than the whole budget in connection 'crm', field 'rate_limit'.",
    ),
    "half a rate limit": (
        connection({"rate_limit_header": "X-Reset"}),
        "The other half of the rate limit is missing in connection 'crm', field 'rate_limit_reset'. Write "
        "rate_limit_header and rate_limit_reset, as in X-RateLimit-Reset and epoch.",
    ),
    "parameters that are none": (
        connection({"token_params": {"a": None}, "token_body": "json"}),
        "The value must map names to texts in connection 'crm', field 'token_params'.",
    ),
    "broken JSON in a text": (
        connection({"api_headers": "{'a': 1}"}),
        "The value is not valid JSON in connection 'crm', field 'api_headers'.",
    ),
    "list": (
        connection({"resource": [1]}),
        "The value must be a list of texts in connection 'crm', field 'resource'.",
    ),
    "three certificates": (
        connection({"cert": "a,b,c"}),
        "The value must be one path, or the paths of certificate and key in connection 'crm', field 'cert'.",
    ),
    "text": (
        connection({"audience": {"a": 1}}),
        "The value must be text in connection 'crm', field 'audience'.",
    ),
    "secret that is no text": (
        connection({"refresh_token": 12}),
        "The value must be text in connection 'crm', field 'refresh_token'.",
    ),
    "secret with a line break": (
        connection({"refresh_token": "a\nb"}),
        "The value must not hold line breaks or control characters in connection 'crm', field 'refresh_token'.",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_wrong_connection_is_refused_with_one_clear_message(case: str) -> None:
    wrong, message = REFUSALS[case]
    assert refusal(wrong) == message


@pytest.mark.parametrize("name", PLANNED)
def test_fields_of_later_versions_are_refused_with_a_way_out(name: str) -> None:
    text = refusal(connection({name: "x"}))
    assert text.startswith("This field is not supported by this version of oauth-taskflow")
    assert text.endswith(PLANNED[name])


def test_the_errors_name_the_field() -> None:
    with pytest.raises(ConnectionConfigError) as caught:
        parse_connection(connection({"leeway": "soon"}))
    assert (caught.value.conn_id, caught.value.field) == ("crm", "leeway")


def test_every_problem_of_a_connection_is_named_at_once() -> None:
    wrong = connection(
        {"tokn_url": "x", "token_url": None, "leeway": "soon", "scope": {"a": 1}, "X-Tenant": "x"},
        login="",
        password="",
        host="ftp://api.example.com",
    )
    assert refusal(wrong) == (
        "Connection 'crm' has 7 problems:\n"
        "- field 'tokn_url': Unknown field. Did you mean 'token_url'?\n"
        "- field 'leeway': The value must be a number, 0 or more.\n"
        "- field 'scope': The value must be text.\n"
        "- field 'X-Tenant': Unknown field. Headers for the API go into api_headers.\n"
        "- field 'host': The API's address is not an http or https URL. Write it as https://api.example.com/v3; the "
        "schema field holds http, https or nothing.\n"
        "- field 'password': The client secret is missing, and client_auth is client_secret_basic. Put the client "
        "secret there, or set client_auth to none for a public client.\n"
        "- field 'login': The client id is missing. Put the client id there."
    )


def test_all_keys_that_a_provider_needs_are_named_at_once() -> None:
    assert refusal(kind("oauth2", {"provider": "keycloak", "leeway": "soon"})) == (
        "Connection 'crm' has 3 problems:\n"
        """- provider Keycloak needs key 'domain' in extra, e.g. {"domain": "sso.example.com"}. Host of Keycloak, with """
        "/auth behind it for versions before 17.\n"
        """- provider Keycloak needs key 'realm' in extra, e.g. {"realm": "acme"}. Name of the realm.\n"""
        "- field 'leeway': The value must be a number, 0 or more."
    )
