"""Every field of a preset does something: changing it changes what a connection sends, reads, keeps or shows."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from oauth_taskflow.api.auth import find_oauth
from oauth_taskflow.connections.api_address import with_base_url
from oauth_taskflow.connections.settings import (
    ConnectionSettings,
    OAuth2Settings,
    SelfSignedSettings,
)
from oauth_taskflow.errors import ConnectionConfigError, TokenRequestError
from oauth_taskflow.oauth.client_auth import CLIENT_AUTH_METHODS
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse
from oauth_taskflow.oauth.endpoint.outcomes import Failure, Granted
from oauth_taskflow.oauth.endpoint.request_encoding import encode
from oauth_taskflow.oauth.endpoint.response import interpret
from oauth_taskflow.oauth.endpoint.response_body import parse_body
from oauth_taskflow.oauth.endpoint.revocation import TokenKind, revoke
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import ClientCredentials, Grant, RefreshToken
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.presets.model import Preset
from oauth_taskflow.presets.page import providers_page
from oauth_taskflow.taskflow.connection_lookup import read_settings
from oauth_taskflow.taskflow.grants.consent_flow import find_revocation_url, start_attempt
from oauth_taskflow.taskflow.grants.managed_grant import ManagedGrant
from oauth_taskflow.taskflow.grants.revocation import _select_tokens
from oauth_taskflow.taskflow.sessions import (
    _credentials,
    retry_policy,
    session_for,
    token_manager,
)
from oauth_taskflow.taskflow.token_sources import grant_options, token_endpoint
from oauth_taskflow.tokens.state.record import GrantRecord
from tests.connections.samples import connection
from tests.oauth.keys import new_key, pem_of

SELF_SIGNED = {"auth_type": "self_signed_jwt", "private_key": pem_of(Ed25519PrivateKey.generate())}
REFRESH = {"refresh_token": "rt"}
SIGNED = {"grant_type": "jwt_bearer", "private_key": pem_of(new_key())}
NOW = 1_800_000_000.0
BASE: dict[str, Any] = {
    "title": "Acme",
    "verified": "2026-11",
    "sources": ["https://developer.acme.example/oauth"],
    "variables": {"tenant": {"description": "Your tenant.", "example": "acme", "pattern": "."}},
    "token_url": "https://{tenant}.example.com/token",
    "authorize_url": "https://{tenant}.example.com/authorize",
    "api_headers": {"X-Tenant": "{tenant}"},
    "base_url_from": {"path": "home", "hosts": ["*.example.com"]},
    "rate_limit": {"reset_header": "X-Reset", "reset": "epoch"},
    "refresh": {"rotation": "single_use"},
}
# Another value for each field; each must be noticed.
CHANGES: dict[str, Any] = {
    "verified": None,
    "variables.default": "contoso",
    "variables.values": ["another"],
    "variables.pattern": r"^\d+$",
    "auth_type": "basic",
    "token_url": "https://id.example.com/token",
    "authorize_url": "https://id.example.com/authorize",
    "device_url": "https://id.example.com/device",
    "introspect_url": "https://id.example.com/introspect",
    "base_url": "https://api.example.com",
    "base_url_from.path": "other",
    "base_url_from.hosts": ["*.example.org"],
    "base_url_from.suffix": "/v1",
    "grants": ["refresh_token"],
    "client_auth": ["client_secret_post"],
    "assertion_audience": "https://id.example.com",
    "pkce": "public",
    "body": "json",
    "params.authorize": {"access_type": "offline"},
    "params.token": {"account": "1"},
    "params.refresh": {"expiring": "1"},
    "token_headers": {"User-Agent": "me"},
    "scope_separator": ",",
    "default_scopes": ["read"],
    "offline_scopes": ["offline_access"],
    "scope_on_refresh": True,
    "token_header": "X-Token: {token}",
    "request_proof.name": "proof",
    "request_proof.place": "header",
    "request_proof.algorithm": "hmac_sha512",
    "api_headers": {"X-Version": "2"},
    "api_params": {"version": "2"},
    "jwt_claims": {"aud": "api"},
    "jwt_headers": {"typ": "JOSE"},
    "jwt_lifetime_s": 77,
    "request.method": "GET",
    "request.rename": {"client_id": "app_id"},
    "request.refresh_url": "https://id.example.com/refresh",
    "request.scope_in_assertion": True,
    "request.subject_if_named": True,
    "response.access_token": "token",
    "response.refresh_token": "renewal",
    "response.code": "their_code",
    "response.token_types": ["Acme Token"],
    "response.success": "fine",
    "response.error": "code",
    "response.error_description": "text",
    "response.errors": {"E7": "invalid_grant"},
    "response.expiry.source": "fixed",
    "response.expiry.path": "life",
    "response.expiry.unit": "ms",
    "response.expiry.lifetime_s": 77,
    "refresh.rotation": "rotate",
    "refresh.grace_s": 30,
    "refresh.earliest_before_expiry_s": 20,
    "refresh.kills_access_token": True,
    "refresh.idle_lifetime_s": 1000,
    "refresh.absolute_lifetime_s": 2000,
    "refresh.lifetime_path": "lasting",
    "revoke.url": "https://id.example.com/revoke",
    "revoke.method": "DELETE",
    "revoke.body": "json",
    "revoke.params": {"access_token": "{token}"},
    "revoke.headers": {"X-Token": "{token}"},
    "revoke.client_auth": "unauthenticated",
    "revoke.tokens": "refresh_token",
    "revoke.success": "fine",
    "revoke.ends_consent": True,
    "rate_limit.reset_header": "X-Other",
    "rate_limit.reset": "seconds",
    "api_responses": [{"status": 403, "when": "code == 'EXPIRED'", "action": "refresh"}],
    "absent_records": "empty",
    "budgets": [{"requests": 60, "per": "PT1M"}],
}
# Fields that need other fields.
BESIDE: dict[str, dict[str, Any]] = {
    "request_proof.place": {"request_proof": {"name": "proof"}},
    "request_proof.algorithm": {"request_proof": {"name": "proof"}},
    "response.success": {"response": {"error": "code"}},
    "response.error_description": {"response": {"error": "code"}},
    "response.errors": {"response": {"error": "code"}},
    "response.expiry.path": {"response": {"expiry": {"source": "expires_in"}}},
    "response.expiry.unit": {"response": {"expiry": {"source": "expires_in"}}},
    "response.expiry.source": {"response": {"expiry": {"lifetime_s": 5}}},
    "scope_on_refresh": {"default_scopes": ["read"]},
    "revoke.ends_consent": {"revoke": {"url": "https://id.example.com/revoke"}},
    "base_url": {"base_url_from": None},
}
# Texts for people, in docs/providers.md and in messages; nothing else depends on it.
FOR_PEOPLE: dict[str, Any] = {
    "title": "Another",
    "sources": ["https://acme.example/other"],
    "variables.description": "Which tenant.",
    "variables.example": "fabrikam",
    "access_token_lifetime": "a minute",
    "notes": ["Mind the gap."],
}
ANSWERS: tuple[tuple[int, dict[str, Any]], ...] = (
    (200, {"access_token": "a1", "token": "a2", "refresh_token": "r1", "renewal": "r2", "expires_in": 9000, "life": 8000}),
    (200, {"access_token": "a1"}),
    (200, {"access_token": "a1", "token_type": "Acme Token"}),
    (200, {"code": "E7", "text": "Gone", "fine": True, "access_token": "a1"}),
)  # fmt: skip


def changed(base: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """``base`` with ``value`` at the dotted ``path``; the variable is ``tenant``."""
    name, _, rest = path.partition(".")
    if name == "variables":
        variable = {**base["variables"]["tenant"], rest: value}
        return {**base, "variables": {"tenant": variable}}
    inner = changed(base.get(name) or {}, rest, value) if rest else value
    return {**base, name: inner}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of presets with nothing but ``acme`` in it."""
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__PRESETS_FOLDER", str(tmp_path))
    return tmp_path


def write(folder: Path, fields: dict[str, Any]) -> None:
    (folder / "acme.yaml").write_text(yaml.safe_dump(fields))


def parsed(**extra: Any) -> ConnectionSettings:
    whole = {"provider": "acme", "tenant": "acme", **extra}
    whole = {name: value for name, value in whole.items() if value is not None}
    text = json.dumps(whole)
    fields: dict[str, Any] = {"host": ""}
    if "auth_type" in extra:
        fields = {"host": "https://api.example.com", "password": None}
    return read_settings(connection(text, login="me", **fields))


def effects(**extra: Any) -> Iterator[Any]:
    """Everything that a connection to the preset leads to, as far as the preset may have a say in it."""
    settings = parsed(**extra)
    auth = settings.auth
    yield type(auth), settings.base_url, settings.api_headers, retry_policy(settings)
    yield (
        settings.api_params,
        isinstance(auth, SelfSignedSettings) and auth.jwt.sign(NOW).access_token,
    )
    with session_for(replace(settings, base_url="https://api.example.com")) as session:
        yield session.budgets is not None and session.budgets.find_gate("/")
        yield session.absent_records, [rule.decision for rule in session._rules._rules]
    if not isinstance(auth, OAuth2Settings):
        return
    yield auth.grant_type, auth.token_place, auth.leeway, auth.consent, auth.grant
    manager = token_manager(settings, auth)
    yield manager._context.options
    signing = _credentials(replace(settings, base_url="https://api.example.com"), manager)
    proof = find_oauth(signing)._proof  # type: ignore[union-attr]
    yield proof, proof and proof.compute("at", "secret")
    endpoint = token_endpoint(settings, auth)
    yield endpoint.url, endpoint.introspect_url, endpoint.client
    for grant in (
        RefreshToken("rt", grant_options(auth, "refresh_token")),
        ClientCredentials(grant_options(auth, "client_credentials")),
    ):
        yield from _exchanges(endpoint, grant)
    managed = ManagedGrant(settings, auth, endpoint, manager)
    yield _login(managed)
    yield from _revocations(managed)
    for home in ({"home": "https://a.example.com"}, {"other": "https://b.example.com"}):
        with suppress(ConnectionConfigError):
            yield with_base_url(settings, Token("at", NOW, extras=home)).base_url


def _exchanges(endpoint: Any, grant: Grant) -> Iterator[Any]:
    question, rules = endpoint.describe_request(grant), endpoint.dialect.request
    form = CLIENT_AUTH_METHODS[endpoint.client_auth].apply(endpoint.client, grant.form())
    sent = encode(
        rules.rename_params(form), method=rules.method, url=question.url, body=grant.options.body
    )
    yield sent.method, sent.url, sent.body, sent.headers
    for status, body in ANSWERS:
        raw = json.dumps(body).encode()
        assert parse_body(raw.decode(), "application/json") == body
        answer = TokenHttpResponse(status, {"content-type": "application/json"}, raw, NOW, NOW)
        outcome = interpret(answer, question)
        if isinstance(outcome, Granted):
            yield outcome.token.access_token, outcome.token.expires_at, outcome.refresh_token
        else:
            yield str(outcome.error)


class Revoking(TokenEndpoint, frozen=True):
    """Notes what would be sent, and answers with nothing."""

    sent: list[Any] = []  # noqa: RUF012 - msgspec copies it

    def ask(self, grant: Grant, *, budget: float | None = None) -> TokenHttpResponse | Failure:
        rules = self.dialect.request
        form = CLIENT_AUTH_METHODS[self.client_auth].apply(self.client, grant.form())
        request = encode(
            rules.rename_params(form), method=rules.method, url=self.url, body=grant.options.body
        )
        self.sent.append((request.method, request.url, request.body, request.headers))
        return TokenHttpResponse(200, {}, b"", NOW, NOW)


def _revocations(grant: ManagedGrant) -> Iterator[Any]:
    with suppress(ConnectionConfigError):
        yield "login --revoke-old", find_revocation_url(grant)
    endpoint = Revoking.from_endpoint(grant.endpoint, url="https://id.example.com/revoke")
    record = GrantRecord("k" * 64, token=Token("at", NOW), refresh_token="rt")
    for kind, token in _select_tokens(grant, record):
        yield _refusal(endpoint, token, kind, grant)
    yield endpoint.sent


def _refusal(endpoint: Revoking, token: str, kind: TokenKind, grant: ManagedGrant) -> str:
    try:
        revoke(endpoint, endpoint.url, token, kind, grant.options, dialect=grant.revocation)
    except TokenRequestError as refusal:
        return str(refusal)
    return ""


def _login(grant: ManagedGrant) -> Any:
    own = {"state", "code_challenge"}  # of each attempt
    attempt = start_attempt(grant, "http://127.0.0.1/callback")
    sent = [(name, "" if name in own else value) for name, value in attempt.parameters]
    answer = {"state": attempt.state, "code": "c1", "their_code": "c2"}
    return sent, attempt.read(answer.items()).code


def seen(folder: Path, fields: dict[str, Any]) -> list[str]:
    """The effects of a preset with these ``fields`` on several connections; a refusal is one too."""
    write(folder, fields)
    named: tuple[dict[str, Any], ...] = ({}, {"tenant": None}, {"scope": "a b"})
    return [one for extra in (*named, REFRESH, SIGNED, SELF_SIGNED) for one in _seen_by(extra)]


def _seen_by(extra: dict[str, Any]) -> list[str]:
    try:
        return [repr(effect) for effect in effects(**extra)]
    except ConnectionConfigError as refusal:
        return [str(refusal)]


def leaves(model: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """The dotted path of every field that holds no other struct."""
    for one_field in msgspec.structs.fields(model):
        kinds = list(_types(one_field.type))
        inner = [one for one in kinds if msgspec.inspect.is_struct_type(one)]
        if any(typing.get_origin(one) is tuple for one in kinds):
            inner = []  # a list of rules, whose format is not the presets' own
        path = prefix + one_field.name
        yield from leaves(inner[0], f"{path}.") if inner else iter((path,))


def _types(annotation: Any) -> Iterator[Any]:
    yield annotation
    for one in get_args(annotation):
        yield from _types(one)


def test_the_same_preset_has_the_same_effects(folder: Path, airflow_home: Path) -> None:
    assert seen(folder, BASE) == seen(folder, BASE)


def test_every_field_of_the_format_is_accounted_for() -> None:
    assert sorted(leaves(Preset)) == sorted([*CHANGES, *FOR_PEOPLE])


@pytest.mark.parametrize("path", CHANGES)
def test_a_field_is_acted_on(folder: Path, airflow_home: Path, path: str) -> None:
    base = BASE
    for name, value in BESIDE.get(path, {}).items():
        base = {**base, name: value}
    assert seen(folder, changed(base, path, CHANGES[path])) != seen(folder, base)


@pytest.mark.parametrize("path", FOR_PEOPLE)
def test_a_field_for_people_is_on_the_page_and_changes_nothing_else(
    folder: Path, airflow_home: Path, path: str
) -> None:
    write(folder, BASE)
    before = list(providers_page(folder))
    write(folder, changed(BASE, path, FOR_PEOPLE[path]))
    assert list(providers_page(folder)) != before
