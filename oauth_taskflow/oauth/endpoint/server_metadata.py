"""The metadata that an authorization server publishes (RFC 8414, OpenID Connect Discovery 1.0), checked. No I/O."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct, field

from oauth_taskflow.redaction import redact_url
from oauth_taskflow.urls import is_loopback, split_url

LARGEST = 1 << 18  # bytes; larger documents are not accepted as metadata


class BadMetadata(Exception):
    """The document cannot be used; the text says why."""


class ServerMetadata(Struct, frozen=True):
    """Endpoints and abilities of the authorization server ``issuer``. A name that it does not publish is absent.

    ``endpoints`` are as published. Read them with ``endpoint``, which judges those that are used and no others.
    """

    issuer: str
    endpoints: Mapping[str, str]
    mtls_endpoints: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    iss_in_callback: bool = False

    def endpoint(self, name: str, *, mtls: bool = False) -> str | None:
        """The URL published as ``name`` (``token_endpoint``); with ``mtls`` its alias for clients that show a certificate.

        RFC 8705 §5: without an alias the ordinary endpoint serves these too.

        Raises:
            BadMetadata: no secret may be sent to that address.
        """
        alias = self.mtls_endpoints.get(name) if mtls else None
        url = alias or self.endpoints.get(name)
        if url and not _is_trustworthy(url, self.issuer):
            raise BadMetadata(f"names an address for {name} that no secret may be sent to")
        return url

    def find_list(self, name: str) -> tuple[str, ...] | None:
        """The list published as ``name`` (``token_endpoint_auth_methods_supported``); None when it is not."""
        return self.lists.get(name)


def is_issuer(url: str) -> bool:
    """Whether ``url`` can be an issuer (RFC 8414 §2): https, or http on this machine; no query, no fragment."""
    parts = split_url(url)
    if parts is None or not parts.hostname or "@" in parts.netloc or "?" in url or "#" in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where the metadata of ``issuer`` may be, most specific rule first.

    RFC 8414 §3.1 puts the well-known part between host and path, OpenID Connect behind the path; §5 names a third.
    """
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    names = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
    paths = [names[0] + path, path + names[1], names[1] + path]
    return tuple(
        dict.fromkeys(urlunsplit((parts.scheme, parts.netloc, one, "", "")) for one in paths)
    )


def parse_metadata(raw: bytes, issuer: str) -> ServerMetadata:
    """The metadata in ``raw``, if they are those of ``issuer``.

    Raises:
        BadMetadata: they are not.
    """
    document = _mapping(raw)
    named = document.get("issuer")
    if named != issuer:  # RFC 8414 §3.3: identical, or another server may be speaking
        shown = redact_url(named) if isinstance(named, str) else "no issuer"
        raise BadMetadata(f"names {shown!r} as issuer")
    aliases = document.get("mtls_endpoint_aliases")
    return ServerMetadata(
        issuer=issuer,
        endpoints=_endpoints(document),
        mtls_endpoints=_endpoints(aliases) if isinstance(aliases, dict) else {},
        lists={
            name: tuple(str(item) for item in value)
            for name, value in document.items()
            if isinstance(value, list)
        },
        iss_in_callback=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _mapping(raw: bytes) -> dict[str, Any]:
    if len(raw) > LARGEST:
        raise BadMetadata("is too large for metadata")
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise BadMetadata("is not a JSON object")
    return document


def _endpoints(document: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value
        for name, value in document.items()
        if name.endswith("_endpoint") and isinstance(value, str) and value
    }


def _is_trustworthy(url: str, issuer: str) -> bool:
    """Whether ``url`` is https (or as the issuer on this machine) and leads to no inner network.

    The document is foreign input: it must not make us post a secret to a neighbour (SSRF). Names are not resolved here.
    """
    parts, home = split_url(url), split_url(issuer)
    if parts is None or home is None:
        return False
    host = parts.hostname or ""
    if not host or "@" in parts.netloc or parts.fragment:
        return False
    if host == home.hostname:
        return parts.scheme in {"https", home.scheme}
    try:
        return parts.scheme == "https" and ipaddress.ip_address(host).is_global
    except ValueError:
        return parts.scheme == "https" and host != "localhost"
