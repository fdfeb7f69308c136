"""Reads connections with ``auth_type`` oauth2: a grant at a token endpoint."""

from __future__ import annotations

from collections.abc import Mapping

from oauth_taskflow.connections.fields.oauth2 import DEVICE_CODE
from oauth_taskflow.connections.parts import ConnectionParts
from oauth_taskflow.connections.preset import choose_leeway, join_scopes
from oauth_taskflow.connections.readers.client import (
    NO_CLIENT,
    ClientSettings,
    read_client,
    read_issuer,
)
from oauth_taskflow.connections.readers.consent import ConsentSettings, read_consent, read_endpoint
from oauth_taskflow.connections.readers.grant import grant_reader, read_grant, read_resources
from oauth_taskflow.connections.readers.token_location import (
    read_token_location,
    read_token_place,
)
from oauth_taskflow.connections.settings import (
    OAuth2Settings,
    TokenPlace,
)
from oauth_taskflow.oauth.endpoint.request_encoding import JsonText
from oauth_taskflow.oauth.grants import Grant
from oauth_taskflow.urls import is_safe_endpoint

# A person's consent continues as a refresh token, which may be in the token store only.
_OF_A_PERSON: Mapping[str, str] = {
    "authorization_code": "refresh_token",
    DEVICE_CODE: "refresh_token",
}


def read_oauth2(parts: ConnectionParts) -> OAuth2Settings:
    """Returns the settings of a grant; problems are kept in ``parts.findings``."""
    values = parts.values
    refresh_token = values.get("refresh_token", "")
    implied = "refresh_token" if refresh_token else "client_credentials"
    grant: str = _OF_A_PERSON.get(named := values.get("grant_type", implied), named)
    attempt = parts.attempt
    client_id = attempt(lambda known: known.one_of(known.login, "login", "client_id"), parts.login)
    secret = attempt(
        lambda known: known.one_of(known.password, "password", "client_secret"), parts.password
    )
    _check_grant(parts, grant, refresh_token)
    issuer = attempt(lambda known: read_issuer(values, known), "")
    token_url = attempt(_token_url, "")
    client = attempt(lambda known: read_client(known, grant, secret), None)
    usual = client is None and not grant_reader(grant).shows_credential
    named = client is not None and (client.method != "unauthenticated" or client.signer)
    if not client_id and (usual or named):
        parts.blame("The client id is missing", "login", "Put the client id there.")
    client = client or NO_CLIENT
    return OAuth2Settings(
        token_url=token_url,
        client_id=client_id,
        client_secret=secret,
        grant_type=grant,
        client_auth=client.method,
        choose_auth=bool(issuer) and not client.chosen,
        issuer=issuer,
        signer=client.signer,
        client_assertion=client.assertion,
        grant=attempt(lambda known: _read_grant(known, grant, client_id, client), None),
        refresh_token=refresh_token,
        scope=join_scopes(values.get("scope", ""), parts.preset),
        audience=values.get("audience", ""),
        resource=attempt(read_resources, ()),
        token_params=attempt(_token_params, {}),
        token_headers=values.get("token_headers", {}),
        token_body=values.get("token_body", "form"),
        token_place=attempt(read_token_place, TokenPlace()),
        dpop=attempt(_dpop, ""),
        leeway=choose_leeway(
            values.get("leeway"), parts.preset, refreshed=grant == "refresh_token"
        ),
        write_back=_write_back(parts, grant),
        consent=attempt(read_consent, ConsentSettings()),
        introspect_url=attempt(lambda known: read_endpoint(known, "introspect_url"), ""),
        preset=attempt(read_token_location, parts.preset),
    )


def _token_params(parts: ConnectionParts) -> dict[str, str]:
    params: dict[str, str] = parts.values.get("token_params", {})
    in_json = parts.values.get("token_body", "form") == "json"
    if not in_json and any(isinstance(value, JsonText) for value in params.values()):
        raise parts.error(
            "The value must map names to texts, unless token_body is json",
            "token_params",
            "Write a list or mapping as the text that the server wants.",
        )
    return params


def _read_grant(
    parts: ConnectionParts, grant: str, client_id: str, client: ClientSettings
) -> Grant | None:
    if client is NO_CLIENT:
        return None  # without the client's key, an assertion cannot be checked
    return read_grant(parts, grant, client_id, client.signer)


def _write_back(parts: ConnectionParts, grant: str) -> bool:
    wanted = parts.values.get("write_back", False)
    if not isinstance(wanted, bool):
        parts.blame("The value must be true or false", "write_back", "")
    elif wanted and grant != "refresh_token":
        what = f"The {grant} grant has no refresh token to write back"
        parts.blame(what, "write_back", "Leave it out.")
    return wanted is True


def _dpop(parts: ConnectionParts) -> str:
    algorithm = str(parts.values.get("dpop", ""))
    elsewhere = "token_in" if parts.values.get("token_in") == "query" else "token_header"
    if algorithm and elsewhere in parts.values:
        raise parts.error(
            "A token bound to a key goes into Authorization: DPoP (RFC 9449 §7.1)",
            elsewhere,
            "Remove it, or remove dpop.",
        )
    return algorithm


def _token_url(parts: ConnectionParts) -> str:
    url = str(parts.values.get("token_url", ""))
    if not url and parts.values.get("issuer"):
        return ""
    if not url:
        raise parts.error(
            "The token endpoint is missing",
            "token_url",
            "Put the authorization server's token URL into extra, or its issuer.",
        )
    if not is_safe_endpoint(url):
        raise parts.error(
            "The token endpoint is not an https URL",
            "token_url",
            "Write it as https://id.example.com/token; plain http is accepted for 127.0.0.1 and [::1].",
        )
    return url


def _check_grant(parts: ConnectionParts, grant: str, refresh_token: str) -> None:
    if grant != "refresh_token" and refresh_token:
        parts.blame(
            f"A refresh token does not belong to the {grant} grant",
            "refresh_token",
            "Remove it, or remove grant_type.",
        )
