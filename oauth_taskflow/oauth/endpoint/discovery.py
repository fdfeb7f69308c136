"""Asks an authorization server for its metadata, and remembers them for an hour and until others can be read."""

from __future__ import annotations

import requests
from msgspec import Struct

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.errors import (
    ConnectionConfigError,
    OAuthTaskflowError,
    TokenEndpointUnavailable,
)
from oauth_taskflow.oauth.endpoint.server_metadata import (
    LARGEST,
    BadMetadata,
    ServerMetadata,
    is_issuer,
    metadata_urls,
    parse_metadata,
)
from oauth_taskflow.oauth.endpoint.token_endpoint import TransportOptions
from oauth_taskflow.oauth.endpoint.transport import Deadline, Wire, new_session
from oauth_taskflow.redaction import redact_url

_TTL = 3600.0
_LONGEST = 10.0
_CHUNK = 1 << 14


class _Kept(Struct, frozen=True):
    metadata: ServerMetadata
    until: float


_kept: dict[tuple[object, ...], _Kept] = {}


def server_metadata(
    issuer: str,
    *,
    conn_id: str = "",
    transport: TransportOptions | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> ServerMetadata:
    """The metadata of ``issuer``, asked for once an hour and process; old ones serve while no others can be read.

    Raises:
        ConnectionConfigError: the issuer publishes none, or what it publishes cannot be trusted.
        TokenEndpointUnavailable: it cannot be reached now.
    """
    how = transport or TransportOptions()
    key = (issuer, how.verify, how.cert, tuple(sorted(how.proxies.items())))
    known = _kept.get(key)
    if known is not None and clock.monotonic() < known.until:
        return known.metadata
    try:
        metadata = _Inquiry(issuer, conn_id, how).ask()
    except (TokenEndpointUnavailable, ConnectionConfigError):
        if known is None:
            raise
        return known.metadata
    _kept[key] = _Kept(metadata, clock.monotonic() + _TTL)
    return metadata


def find_endpoint(
    metadata: ServerMetadata, name: str, *, conn_id: str, field: str, mtls: bool
) -> str | None:
    """The URL published as ``name``, or its alias with ``mtls``; None without one.

    Raises:
        ConnectionConfigError: no secret may be sent there; the connection's key ``field`` may name the right one.
    """
    try:
        return metadata.endpoint(name, mtls=mtls)
    except BadMetadata as problem:
        raise ConnectionConfigError(
            f"The metadata of {redact_url(metadata.issuer)} cannot be used: the document {problem}",
            conn_id=conn_id,
            field="issuer",
            hint=f"Write {field} instead.",
        ) from problem


class _Inquiry(Struct, frozen=True):
    """One search for the metadata of an issuer, at each address where they may be.

    Many servers publish nothing at an address, and answer there with a page, a redirect to a login or another document.
    """

    issuer: str
    conn_id: str
    transport: TransportOptions

    def ask(self) -> ServerMetadata:
        if not is_issuer(self.issuer):
            raise self._wrong(
                "The issuer is not an https URL",
                "Write it exactly as the server does, as in https://id.example.com.",
            )
        problems: list[ConnectionConfigError] = []
        for url in metadata_urls(self.issuer):
            raw = self._get(url)
            found = self._parse(url, raw) if isinstance(raw, bytes) else raw
            if isinstance(found, ServerMetadata):
                return found
            problems += [found] if found else []
        nothing = self._wrong(
            f"{redact_url(self.issuer)} publishes no metadata (RFC 8414)",
            "Check the issuer, or write token_url instead.",
        )
        error = next(iter(problems), nothing)
        error.may_pass = True
        raise error

    def _parse(self, url: str, raw: bytes) -> ServerMetadata | ConnectionConfigError:
        try:
            return parse_metadata(raw, self.issuer)
        except BadMetadata as problem:
            return self._wrong(
                f"The metadata at {redact_url(url)} cannot be used: the document {problem}",
                "The issuer must be written exactly as the server does, final slash included.",
            )

    def _get(self, url: str) -> bytes | ConnectionConfigError | None:
        """The document at ``url``; None without a document, an error when it is elsewhere."""
        wire = Wire(_LONGEST)
        try:
            with Deadline(wire), new_session(wire) as session:
                status, raw = self._read(session, url)
        except (requests.RequestException, OSError, ValueError) as failure:
            # Not chained: requests' exceptions may quote a proxy's password.
            raise self._name_failure(url, failure) from None
        if wire.expired:
            raise self._away(url, "deadline passed")
        if 300 <= status < 400:
            return self._wrong(
                f"The metadata at {redact_url(url)} redirect (HTTP {status})",
                "They must be at the issuer itself: set issuer to the final address.",
            )
        if status == 429 or status >= 500:
            raise self._away(url, f"HTTP {status}")
        return raw if status == 200 else None

    def _read(self, session: requests.Session, url: str) -> tuple[int, bytes]:
        options = self.transport.request_options(_LONGEST)
        with session.get(url, headers={"Accept": "application/json"}, **options) as response:
            content = bytearray()
            for chunk in response.iter_content(_CHUNK):
                content += chunk
                if len(content) > LARGEST:
                    break  # what came is judged as it is
        return response.status_code, bytes(content)

    def _away(self, url: str, reason: str) -> TokenEndpointUnavailable:
        return TokenEndpointUnavailable(
            f"The authorization server's metadata could not be read ({reason})",
            where=f"for connection {self.conn_id!r} at {redact_url(url)}",
            hint="Tasks try again by themselves, a login is started again; with token_url (and authorize_url for a login) in "
            "the connection the metadata are not needed.",
        )

    def _name_failure(self, url: str, failure: Exception) -> OAuthTaskflowError:
        name = type(failure).__name__
        if isinstance(failure, requests.exceptions.SSLError):
            return self._wrong(
                f"No trusted connection to {redact_url(url)} ({name})",
                "Set verify to the file of the CA that signed its certificate.",
            )
        if isinstance(failure, OSError) and not isinstance(failure, requests.RequestException):
            return self._wrong(
                f"No request to {redact_url(url)} can be made ({name})",
                "Check the files that verify and cert name.",
            )
        return self._away(url, name)

    def _wrong(self, what: str, hint: str) -> ConnectionConfigError:
        return ConnectionConfigError(what, conn_id=self.conn_id, field="issuer", hint=hint)
