"""Reads the endpoints for a person's consent: where it is given, and where it is revoked."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import field

from oauth_taskflow.connections.parts import ConnectionParts
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.urls import is_safe_endpoint, split_url

_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost"})


class ConsentSettings(SecretValue, frozen=True):
    """Endpoints for ``airflow oauth login`` and ``revoke``; empty ones are not configured.

    ``issuer`` is the authorization server's identifier, whose metadata name endpoints that are not configured.
    ``redirect_uri`` is registered for the client; ``params`` are more parameters of the authorization URL.
    """

    authorize_url: str = ""
    device_url: str = ""
    par_url: str = ""
    revoke_url: str = ""
    issuer: str = ""
    redirect_uri: str = ""
    params: Hidden[Mapping[str, str]] = field(default_factory=dict)


def read_consent(parts: ConnectionParts) -> ConsentSettings:
    """Returns the checked keys of a connection.

    Raises:
        ConnectionConfigError: a URL may not be used for this.
    """
    values = parts.values
    urls = {
        name: read_endpoint(parts, name)
        for name in ("authorize_url", "device_url", "par_url", "revoke_url")
    }
    redirect_uri = str(values.get("redirect_uri", ""))
    if redirect_uri and not _is_redirect_uri(redirect_uri):
        raise parts.error(
            "This is neither an https URL nor one of this machine",
            "redirect_uri",
            "Write it as registered: http://127.0.0.1:8765/callback, or an https URL (login --paste).",
        )
    return ConsentSettings(
        **urls,
        issuer=str(values.get("issuer", "")),
        redirect_uri=redirect_uri,
        params=values.get("authorize_params", {}),
    )


def read_endpoint(parts: ConnectionParts, name: str) -> str:
    """Returns the URL of an endpoint that receives secrets; empty if it is not given.

    Raises:
        ConnectionConfigError: it is neither https nor this machine.
    """
    url = str(parts.values.get(name, ""))
    if url and not is_safe_endpoint(url):
        raise parts.error(
            "This endpoint is not an https URL",
            name,
            "Write it as https://id.example.com/…; plain http is accepted for 127.0.0.1 and [::1].",
        )
    return url


def _is_redirect_uri(url: str) -> bool:
    parts = split_url(url)
    if parts is None or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or is_local(url)


def is_local(redirect_uri: str) -> bool:
    """Whether the browser sends the response to this machine, where a command can wait for it."""
    parts = urlsplit(redirect_uri)
    return parts.scheme == "http" and parts.hostname in _LOCAL_NAMES
