"""No object made of a connection, and no complaint about one, shows a secret of it, whatever the secret is."""

from __future__ import annotations

import json
import pickle
import string
from collections.abc import Callable, Iterator
from pprint import pformat
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from oauth_taskflow.connections.fields.field import ConnectionField
from oauth_taskflow.connections.fields.table import FIELDS
from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import ConnectionSettings, OAuth2Settings
from oauth_taskflow.errors import ConnectionConfigError, ResultRefused
from oauth_taskflow.oauth.client_auth import CLIENT_AUTH_METHODS
from oauth_taskflow.oauth.endpoint.request_encoding import encode
from oauth_taskflow.secret_values import SecretValue
from oauth_taskflow.taskflow.token_sources import grant, token_endpoint
from tests.connections.samples import TOKEN_URL, Connection, connection, kind
from tests.support.examples import examples
from tests.support.masking import forget_secrets

# Long enough for client_secret_jwt, and beginning as no other text does.
SECRETS = st.text(string.ascii_letters + string.digits + "+/=&%?'\"\\~ç é", min_size=30).map(
    lambda text: f"S3CR3T{text}E"
)
SHAPES = ("{}", "[{}", '{{"a": {}', "https://{}", "https://u:{}@h:0x/")
Kind = Callable[[str], Connection]
KINDS: dict[str, Kind] = {
    "client secret": lambda s: connection(password=s),
    "client_secret_jwt": lambda s: connection({"client_auth": "client_secret_jwt"}, password=s),
    "older": lambda s: connection(
        {"auth_type": "oauth2", "client_secret": s, "refresh_token": s},
        conn_type="http",
        password=None,
    ),
    "refresh token": lambda s: connection({"refresh_token": s}),
    "parameters": lambda s: connection(
        {"token_params": {"secret": s}, "token_headers": {"X-Key": s}, "api_headers": {"X-Key": s}}
    ),
    "proxy": lambda s: connection({"proxies": {"https": f"http://u:{quote(s)}@proxy:3128"}}),
    "assertion": lambda s: connection({"grant_type": "saml2_bearer", "assertion": f"<a>{s}</a>"}),
    "exchange": lambda s: connection(
        {"grant_type": "token_exchange", "subject_token": s, "actor_token": s}
    ),
    "password grant": lambda s: connection(
        {"grant_type": "password", "username": "alice", "user_password": s}
    ),
    "vendor": lambda s: connection({"grant_type": "vendor", "token_params": {"old_token": s}}),
    "query": lambda s: connection({"provider": "meta", "refresh_token": s}),
    "session": lambda s: kind("session", {"token_headers": {"X-Key": s}}, password=s),
    "whole login": lambda s: kind(
        "session",
        {"login_auth": "basic", "login_params": {"k": s}, "login_fields": {"a": {"b": s}}},
        password=s,
    ),
    "added": lambda s: kind(
        "none", {"api_params": {"a": s}, "api_body": {"b": [s]}}, password=None
    ),
    "host": lambda s: kind("none", host="https://api.example.com/bot{password}/v1", password=s),
    "host values": lambda s: kind(
        "bearer", {"host_values": {"token": s}}, host="https://api.example.com/{token}"
    ),
    "bearer": lambda s: kind("bearer", password=s),
    "brokered": lambda s: kind("bearer", {"obtained_at": 1, "expires_at": 2}, password=s),
    "api_key": lambda s: kind("api_key", password=s),
    "basic": lambda s: kind("basic", password=s),
}


def derive_objects(parsed: ConnectionSettings) -> Iterator[object]:
    """The settings, what a token is asked for with, and all objects in them."""
    yield from walk_fields(parsed)
    if isinstance(auth := parsed.auth, OAuth2Settings):
        endpoint, traded = token_endpoint(parsed, auth), grant(auth)
        form = CLIENT_AUTH_METHODS[endpoint.client_auth].apply(endpoint.client, traded.form())
        yield from walk_fields(endpoint)
        yield from walk_fields(traded)
        yield form
        yield encode(form, method="POST", url=TOKEN_URL, body="form")
        yield encode(form, method="GET", url=TOKEN_URL, body="query")
        yield endpoint.describe_request(traded)


def walk_fields(holder: object) -> Iterator[object]:
    """``holder`` and the objects in its fields that its ``repr`` shows."""
    yield holder
    if isinstance(holder, SecretValue):
        for _, value in holder.__rich_repr__():
            yield from walk_fields(value)
    elif isinstance(holder, Struct):
        for name in holder.__struct_fields__:
            yield from walk_fields(getattr(holder, name))


@pytest.mark.parametrize("name", KINDS)
@examples(0.4)
@given(secret=SECRETS)
def test_nothing_made_of_a_connection_shows_its_secret_or_can_be_pickled(
    name: str, secret: str
) -> None:
    made = list(derive_objects(parse_connection(KINDS[name](secret))))
    inside = [getattr(one, "__dict__", {}) for one in made]
    assert "S3CR3T" not in f"{made!r} {inside!r} {pformat(made)} {''.join(map(str, made))}"
    with pytest.raises(ResultRefused) as caught:
        pickle.dumps(made[0])
    assert "S3CR3T" not in str(caught.value)
    forget_secrets()  # Airflow's masker takes longer with each example


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_secret_pasted_into_the_wrong_field_is_not_repeated(field: ConnectionField) -> None:
    pasted = [shape.format("S3CR3T-of-somebody") for shape in SHAPES]
    for value in (*pasted, pasted[:1], [pasted[0], 1], {"a": pasted}):
        assert "S3CR3T" not in complaint({field.name: value}, min(field.auth_types))


def complaint(extra: dict[str, Any], auth_type: str) -> str:
    """Returns everything that the refusal of a connection shows and carries; empty without a refusal."""
    token_url = {"token_url": TOKEN_URL} if auth_type == "oauth2" else {}
    try:
        parse_connection(kind(auth_type, {**token_url, **extra}))
    except ConnectionConfigError as error:
        carried = pickle.dumps(error).decode("latin-1")
        return f"{error} {error!r} {vars(error)} {error.__cause__!r} {carried}"
    return ""


def test_a_secret_in_the_place_of_a_field_name_is_the_one_thing_repeated() -> None:
    """An unknown field must be named, or users do not find it."""
    assert "S3CR3T" in complaint({"S3CR3T": json.dumps(1)}, "oauth2")
