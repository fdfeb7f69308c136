"""Every key of a connection changes its settings, and some code reads every setting."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

import oauth_taskflow
from oauth_taskflow.connections.fields.table import FIELDS
from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.readers.consent import ConsentSettings
from oauth_taskflow.connections.settings import AuthSettings, ConnectionSettings, TokenPlace
from oauth_taskflow.errors import ConnectionConfigError
from tests.connections.samples import TOKEN_URL, kind
from tests.oauth.keys import new_key, pem_of

PACKAGE = Path(oauth_taskflow.__file__).parent
PEM = pem_of(new_key())
LOCKED = pem_of(new_key(), b"open sesame")
JWT, SAML, EXCHANGE = "jwt_bearer", "saml2_bearer", "token_exchange"
SIGNED = {"private_key": PEM, "password": ""}
JWT_SIGNED = {**SIGNED, "auth_type": "self_signed_jwt"}
AWS = {"auth_type": "aws_sigv4", "aws_region": "eu-central-1", "aws_service": "execute-api"}
EXCHANGED = {"grant_type": EXCHANGE, "subject_token": "st"}
# The other keys of the connection, and the key's value; password is the field of that name.
KEYS: dict[str, tuple[dict[str, Any], Any]] = {
    "auth_type": ({}, "basic"),
    "provider": ({"refresh_token": "rt"}, "github"),
    "token_url": ({}, "https://id.example.com/other"),
    "grant_type": ({}, "account_credentials"),
    "refresh_token": ({}, "rt"),
    "authorize_url": ({}, "https://id.example.com/a"),
    "authorize_params": ({}, {"prompt": "consent"}),
    "redirect_uri": ({}, "http://127.0.0.1:8765/callback"),
    "par_url": ({}, "https://id.example.com/par"),
    "device_url": ({}, "https://id.example.com/d"),
    "revoke_url": ({}, "https://id.example.com/r"),
    "introspect_url": ({}, "https://id.example.com/i"),
    "client_auth": ({}, "client_secret_post"),
    "scope": ({}, "a b"),
    "audience": ({}, "https://api.example.com"),
    "resource": ({}, "https://api.example.com"),
    "token_params": ({}, {"tenant": "acme"}),
    "token_headers": ({}, {"X-A": "b"}),
    "token_body": ({}, "json"),
    "refresh_token_path": ({}, "data.refresh_token"),
    "token_errors": ({}, {"http_400": "invalid_grant"}),
    "client_id": ({"login": ""}, "me"),
    "client_secret": ({"password": ""}, "s3cret"),
    "write_back": ({"refresh_token": "rt"}, True),
    "leeway": ({}, 7),
    "dpop": ({}, True),
    "token_header": ({}, "X-Token: {token}"),
    "brokered": ({"auth_type": "bearer"}, {"obtained_at": 5}),
    "api_key_name": ({"auth_type": "api_key"}, "X-Key"),
    "api_key_in": ({"auth_type": "api_key"}, "query"),
    "api_key_prefix": ({"auth_type": "api_key"}, "Token"),
    "login_method": ({"auth_type": "session"}, "PUT"),
    "login_auth": ({"auth_type": "session"}, "basic"),
    "login_params": ({"auth_type": "session"}, {"key": "{password}"}),
    "login_url": ({"auth_type": "session"}, "/log/in"),
    "login_body": ({"auth_type": "session"}, "form"),
    "login_fields": ({"auth_type": "session"}, {"user": "{login}"}),
    "token_in": ({}, "query"),
    "token_param": ({"token_in": "query"}, "auth"),
    "token_path": ({"auth_type": "session"}, "data.token"),
    "expires_path": ({"auth_type": "session"}, "data.life"),
    "token_lifetime": ({"auth_type": "session"}, 60),
    "api_headers": ({}, {"X-A": "b"}),
    "api_params": ({}, {"key": "value of the key"}),
    "api_body": ({}, {"key": "value of the key"}),
    "host_values": ({"host": "https://{region}.example.com"}, {"region": "eu"}),
    "rate_limit": ({}, [{"requests": 5, "per": "PT1S"}, {"requests": 100, "per": "P1D"}]),
    "rate_limit_header": ({"rate_limit_reset": "iso"}, "X-Reset"),
    "rate_limit_reset": ({"rate_limit_header": "X-Reset"}, "iso"),
    "max_answer_bytes": ({}, 1000),
    "max_answer_depth": ({}, 9),
    "max_answer_seconds": ({}, 1.5),
    "allowed_origins": ({}, "https://files.example.com"),
    "timeout": ({}, 5),
    "verify": ({}, False),
    "cert": ({}, "/etc/client.pem"),
    "proxies": ({}, {"https": "http://proxy:3128"}),
    "issuer": ({"token_url": None}, "https://id.example.com"),
    "private_key": ({"password": ""}, PEM),
    "private_key_passphrase": ({**SIGNED, "private_key": LOCKED}, "open sesame"),
    "key_id": (SIGNED, "2026"),
    "algorithm": ({"client_auth": "client_secret_jwt", "password": "x" * 64}, "HS512"),
    "assertion_audience": (SIGNED, "https://id.example.com"),
    "assertion_claims": ({**SIGNED, "grant_type": JWT}, {"a": "b"}),
    "subject": ({**SIGNED, "grant_type": JWT}, "somebody"),
    "client_assertion_file": ({"password": ""}, "/run/secrets/token"),
    "assertion": ({"grant_type": SAML}, "<a/>"),
    "assertion_file": ({"grant_type": SAML}, "/run/assertion"),
    "subject_token": ({"grant_type": EXCHANGE}, "st"),
    "subject_token_file": ({"grant_type": EXCHANGE}, "/run/token"),
    "subject_token_type": (EXCHANGED, "urn:x"),
    "actor_token": (EXCHANGED, "at"),
    "actor_token_file": (EXCHANGED, "/run/actor"),
    "actor_token_type": ({**EXCHANGED, "actor_token": "at"}, "urn:x"),
    "requested_token_type": (EXCHANGED, "urn:x"),
    "jwt_claims": (JWT_SIGNED, {"aud": "api"}),
    "jwt_headers": (JWT_SIGNED, {"typ": "JOSE"}),
    "jwt_lifetime": (JWT_SIGNED, 60),
    "aws_region": (AWS, "us-east-1"),
    "aws_service": (AWS, "sqs"),
    "aws_session_token": (AWS, "t"),
    "aws_profile": ({**AWS, "login": "", "password": ""}, "etl"),
    "username": ({"grant_type": "password", "user_password": "pw"}, "alice"),
    "user_password": ({"grant_type": "password", "username": "alice"}, "pw"),
}


def settings_of(extra: dict[str, Any]) -> ConnectionSettings | None:
    """The settings of a connection with ``extra``; None where it is incomplete without the key."""
    places = ("login", "password", "host")
    own = {name: extra[name] for name in places if name in extra}
    rest = {"token_url": TOKEN_URL, **extra}
    if rest.get("auth_type", "oauth2") != "oauth2":
        del rest["token_url"]
    kept = {name: v for name, v in rest.items() if name not in places and v is not None}
    try:
        return parse_connection(kind(kept.pop("auth_type", "oauth2"), kept, **own))
    except ConnectionConfigError:
        return None


def test_every_key_is_accounted_for() -> None:
    assert sorted([*KEYS, "private_key_file"]) == sorted(field.name for field in FIELDS)


@pytest.mark.parametrize("name", KEYS)
def test_a_key_changes_the_settings(name: str) -> None:
    beside, value = KEYS[name]
    with_it = settings_of({**beside, name: value})
    assert with_it is not None
    assert with_it != settings_of(beside)


def test_a_key_from_a_file_is_the_key(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(PEM)
    from_file = settings_of({"password": "", "private_key_file": str(file)})
    inline = settings_of(SIGNED)
    assert from_file is not None
    assert inline is not None
    assert from_file.auth == inline.auth


def read_names(path: Path) -> Iterator[str]:
    """Attributes that a module reads."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node.attr


@pytest.mark.slow
def test_every_setting_is_read() -> None:
    kinds = (ConnectionSettings, ConsentSettings, TokenPlace, *get_args(AuthSettings))
    settings = {name for one in kinds for name in one.__struct_fields__}
    rooms = ("connections", "taskflow")
    paths = [path for room in rooms for path in (PACKAGE / room).rglob("*.py")]
    read = {name for path in paths for name in read_names(path)}
    by_name = {"authorize_url", "device_url", "par_url", "revoke_url"}  # ManagedGrant.place
    assert settings - read - by_name == set()
