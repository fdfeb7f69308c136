"""Reads the paths of the token in the token endpoint's response, and the header that carries it in API requests."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from oauth_taskflow.connections.parts import ConnectionParts
from oauth_taskflow.connections.settings import (
    TokenPlace,
)
from oauth_taskflow.oauth.dialect import Expiry
from oauth_taskflow.oauth.endpoint.error_codes import REFUSALS
from oauth_taskflow.presets.model import Preset

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TOKEN_HEADER = re.compile(
    rf"(?P<name>{HEADER_NAME.pattern})(?:\s*:\s*(?:(?P<scheme>\S+) +)?\{{token\}})?"
)
_IN_MAPPING = re.compile(r"\w+(\.\w+)+")


def read_token_place(parts: ConnectionParts) -> TokenPlace:
    """Returns the header or query parameter that carries the token on API requests.

    Raises:
        ConnectionConfigError: a field is missing or wrong.
    """
    text = parts.values.get("token_header", "")
    if parts.values.get("token_in") == "query":
        return _read_param(parts, header=text)
    if "token_param" in parts.values:
        raise parts.error(
            "The token goes into a header, and token_param would not be sent",
            "token_param",
            "Add token_in: query, or remove it.",
        )
    if not text:
        return TokenPlace()
    match = _TOKEN_HEADER.fullmatch(text)
    if match is None:
        raise parts.error(
            "This is not a header with a placeholder for the token",
            "token_header",
            "Write it as in X-Auth-Token: {token} or Authorization: Token {token}.",
        )
    return TokenPlace(match["name"], match["scheme"] or "")


def _read_param(parts: ConnectionParts, *, header: str) -> TokenPlace:
    if header and "token_header" in parts.own:
        raise parts.error(
            "The token goes into the query, and token_header would not be sent",
            "token_header",
            "Remove it, or remove token_in.",
        )
    return TokenPlace("", "", parts.values.get("token_param", "access_token"))


def read_token_location(parts: ConnectionParts) -> Preset:
    """Returns the preset with the paths into the token endpoint's response that the connection names.

    Raises:
        ConnectionConfigError: a field is missing or wrong.
    """
    preset, values = parts.preset, parts.values
    response, expiry = preset.response, preset.response.expiry
    if "token_path" in values:
        path = read_jmespath(parts, "token_path", "access_token")
        # A refresh token is in the same mapping as its access token, or where the standard has it.
        beside = f"{path.rpartition('.')[0]}.refresh_token"
        usual = f"{beside} || refresh_token" if _IN_MAPPING.fullmatch(path) else "refresh_token"
        own = response.refresh_token if response.refresh_token != "refresh_token" else usual
        response = msgspec.structs.replace(response, access_token=path, refresh_token=own)
    if "refresh_token_path" in values:
        path = read_jmespath(parts, "refresh_token_path", "refresh_token")
        response = msgspec.structs.replace(response, refresh_token=path)
    if "expires_path" in values:
        expiry = Expiry(path=read_jmespath(parts, "expires_path", "expires_in"))
    if lifetime := values.get("token_lifetime"):
        expiry = Expiry(source="fixed", lifetime_s=lifetime)
    errors = {**response.errors, **_token_errors(parts)}
    response = msgspec.structs.replace(response, expiry=expiry, errors=errors)
    return msgspec.structs.replace(preset, response=response)


def _token_errors(parts: ConnectionParts) -> Mapping[str, str]:
    """Returns the meaning of the token endpoint's error codes, as the connection defines it."""
    given: Mapping[str, str] = parts.values.get("token_errors", {})
    if unknown := sorted(set(given.values()) - set(REFUSALS)):
        raise parts.error(
            f"An error means {unknown[0]!r}, which is not an error code of RFC 6749",
            "token_errors",
            f"Known: {', '.join(REFUSALS)}.",
        )
    return given


def read_jmespath(parts: ConnectionParts, name: str, default: str) -> str:
    """Returns the JMESPath expression of the field ``name``, else ``default``.

    Raises:
        ConnectionConfigError: it is not a JMESPath expression, or calls a function in a way that always fails.
    """
    import jmespath  # noqa: PLC0415 - only this kind of connection needs it
    from jmespath.exceptions import JMESPathError  # noqa: PLC0415 - as above

    from oauth_taskflow.jmespath_flaws import find_path_flaw  # noqa: PLC0415 - as above

    text = str(parts.values.get(name, default))
    try:
        flaw = find_path_flaw(jmespath.compile(text).parsed)
    except JMESPathError:
        raise parts.error(
            "This is not a JMESPath expression", name, f"Write it as in {default}."
        ) from None
    if flaw is not None:
        raise parts.error(f"This JMESPath always fails: {flaw.reason}", name, flaw.hint)
    return text
