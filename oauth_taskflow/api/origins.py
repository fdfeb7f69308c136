"""Where credentials may go: origins (scheme, host, port), and the guard every URL passes.

Credentials go to the connection's own origins only. A URL is judged by the parts that the HTTP library connects to,
never by its text: ``https://api.example.com@evil.test`` leads to ``evil.test``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit, urlunsplit

from msgspec import Struct

from oauth_taskflow.errors import ConnectionConfigError, ForeignOriginRefused
from oauth_taskflow.redaction import redact_url

_DEFAULT_PORTS = {"http": 80, "https": 443}
# Parsers disagree about these: one reads a path where another reads a host.
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")
_UNCLEAR = "user information or ambiguous characters in the URL"


def _host_name(host: str) -> str:
    """``host`` as it is resolved: lower case, IDNA-encoded, without the dot of the DNS root, IPv6 compressed."""
    host = host.lower().removesuffix(".")
    if ":" in host:
        return ip_address(host).compressed
    if host.isascii():
        return host
    import idna  # 30 ms and rarely needed  # noqa: PLC0415

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        msg = f"host name: {error}"
        raise ValueError(msg) from error


class Origin(Struct, frozen=True):
    """Scheme, host and port of a URL (RFC 6454 §4); equal origins may share credentials."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of an absolute http or https URL.

        Raises:
            ValueError: the URL has another scheme, no host, user information, or characters that parsers read
                differently.
        """
        parts = urlsplit(url)
        if "\\" in url:
            raise ValueError(_UNCLEAR)
        return _origin(parts.scheme, parts.netloc)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


# A session asks for every request, and nearly always about the same host.
@lru_cache(maxsize=256)
def _origin(scheme: str, netloc: str) -> Origin:
    parts = SplitResult(scheme, netloc, "", "", "")
    if scheme not in _DEFAULT_PORTS or not parts.hostname:
        msg = "not an absolute http or https URL"
        raise ValueError(msg)
    if "@" in netloc or _AMBIGUOUS.search(netloc):
        raise ValueError(_UNCLEAR)
    port = parts.port if parts.port is not None else _DEFAULT_PORTS[scheme]
    return Origin(scheme, _host_name(parts.hostname), port)


def _as_https(parts: SplitResult) -> str:
    host = parts.hostname or ""
    netloc = f"[{host}]" if ":" in host else host
    return urlunsplit(parts._replace(scheme="https", netloc=netloc))


def is_unambiguous(url: str) -> bool:
    """Whether ``url`` is a whole http or https URL that every parser reads alike."""
    try:
        Origin.of(url)
    except ValueError:
        return False
    return True


class AllowedOrigins:
    """The origins a session may talk to: the one of its base URL and those its connection lists."""

    def __init__(self, urls: Iterable[str]) -> None:
        self._origins = tuple(dict.fromkeys(Origin.of(url) for url in urls))

    @classmethod
    def of_connection(cls, conn_id: str, base_url: str, others: Iterable[str]) -> AllowedOrigins:
        """Those of a session.

        Raises:
            ConnectionConfigError: one is no http or https URL.
        """
        try:
            return cls((base_url, *others))
        except ValueError as error:
            raise ConnectionConfigError(
                f"The base URL or an allowed origin is unusable: {error}",
                conn_id=conn_id,
                field="host",
                hint="Give it as https://host[:port][/path].",
            ) from None

    @property
    def names(self) -> tuple[str, ...]:
        """The origins as text, the base URL's first."""
        return tuple(str(origin) for origin in self._origins)

    def __contains__(self, url: str) -> bool:
        try:
            return Origin.of(url) in self._origins
        except ValueError:
            return False

    def accept(self, url: str, *, secrets: Iterable[str] = ()) -> str:
        """``url`` when it may be called with credentials; an http link to an https host comes back as https.

        Proxies that end TLS make frameworks build ``http://`` links; those are upgraded, never the other way round.
        A server that redirects may repeat ``secrets`` of the request: no error shows them.

        Raises:
            ForeignOriginRefused: it leads elsewhere.
        """
        try:
            origin = Origin.of(url)
        except ValueError as error:
            raise self._refusal(url, str(error), secrets) from None
        if origin in self._origins:
            return url
        https = Origin("https", origin.host, 443)
        if origin.scheme == "http" and origin.port in (80, 443) and https in self._origins:
            return _as_https(urlsplit(url))
        raise self._refusal(url, "another origin", secrets)

    def resolve(self, url: str, base_url: str) -> str:
        """The whole URL for ``url``, relative ones below ``base_url``, its path included.

        Raises:
            ForeignOriginRefused: it leads elsewhere.
        """
        if url.startswith("//"):
            url = f"{urlsplit(base_url).scheme}:{url}"
        if "://" not in url.partition("?")[0]:
            return base_url + (url if url.startswith("?") or not url else f"/{url.lstrip('/')}")
        return self.accept(url)

    def _refusal(self, url: str, reason: str, secrets: Iterable[str]) -> ForeignOriginRefused:
        return ForeignOriginRefused(
            f"Credentials for {', '.join(self.names)} were not sent: {reason}",
            where=f"at {redact_url(url, secrets)}",
            hint="If this host belongs to the API, list it in the connection's allowed_origins.",
        )
