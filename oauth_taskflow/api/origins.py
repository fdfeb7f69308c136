"""Origins (scheme, host, port) to which credentials may be sent, and the check that every URL passes.

Credentials are sent to the connection's own origins only. The check reads the parts of a URL to which the HTTP library
connects, never its text: ``https://api.example.com@evil.test`` leads to ``evil.test``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit, urlunsplit

from msgspec import Struct

from oauth_taskflow.api.request_secrets import NOTHING_HIDDEN, Remembered
from oauth_taskflow.errors import ConnectionConfigError, ForeignOriginRefused
from oauth_taskflow.redaction import redact_url, remove_secrets
from oauth_taskflow.urls import DEFAULT_PORTS

# Parsers disagree about these characters: one reads a path where another reads a host.
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")
_UNCLEAR = "user information or ambiguous characters in the URL"


def _host_name(host: str) -> str:
    """``host`` in the form that is resolved: lower case, IDNA, without the final dot, IPv6 compressed."""
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
    def parse(cls, url: str) -> Origin:
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
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


# A session calls this for every request, nearly always with the same host.
@lru_cache(maxsize=256)
def _origin(scheme: str, netloc: str) -> Origin:
    parts = SplitResult(scheme, netloc, "", "", "")
    if scheme not in DEFAULT_PORTS or not parts.hostname:
        msg = "not an absolute http or https URL"
        raise ValueError(msg)
    if "@" in netloc or _AMBIGUOUS.search(netloc):
        raise ValueError(_UNCLEAR)
    port = parts.port if parts.port is not None else DEFAULT_PORTS[scheme]
    return Origin(scheme, _host_name(parts.hostname), port)


def _upgrade(parts: SplitResult) -> str:
    host = parts.hostname or ""
    netloc = f"[{host}]" if ":" in host else host
    return urlunsplit(parts._replace(scheme="https", netloc=netloc))


def is_unambiguous(url: str) -> bool:
    """Whether ``url`` is an absolute http or https URL that all parsers read alike."""
    try:
        Origin.parse(url)
    except ValueError:
        return False
    return True


class AllowedOrigins:
    """The origins a session may talk to: the one of its base URL and those its connection lists."""

    def __init__(self, urls: Iterable[str], *, hidden: Remembered = NOTHING_HIDDEN) -> None:
        self._origins = tuple(dict.fromkeys(Origin.parse(url) for url in urls))
        self._hidden = hidden

    @classmethod
    def for_connection(
        cls,
        conn_id: str,
        base_url: str,
        others: Iterable[str],
        hidden: Remembered = NOTHING_HIDDEN,
    ) -> AllowedOrigins:
        """The allowed origins of a session; no message shows what is ``hidden`` in its URLs.

        Raises:
            ConnectionConfigError: one is not an http or https URL.
        """
        try:
            return cls((base_url, *others), hidden=hidden)
        except ValueError as error:
            raise ConnectionConfigError(
                f"The base URL or an allowed origin is unusable: {error}",
                conn_id=conn_id,
                field="host",
                hint="Give it as https://host[:port][/path].",
            ) from None

    @property
    def names(self) -> tuple[str, ...]:
        """The origins as text for messages, the base URL's first."""
        return tuple(remove_secrets(str(origin), self._hidden.secrets) for origin in self._origins)

    def __contains__(self, url: str) -> bool:
        try:
            return Origin.parse(url) in self._origins
        except ValueError:
            return False

    def accept(self, url: str, *, secrets: Iterable[str] = ()) -> str:
        """``url`` if it may be called with credentials; an http link to an allowed https host becomes https.

        Behind proxies that end TLS, frameworks build ``http://`` links. They are upgraded, never downgraded. No error
        shows ``secrets`` of the request, which a redirect may repeat.

        Raises:
            ForeignOriginRefused: it leads to another origin.
        """
        try:
            origin = Origin.parse(url)
        except ValueError as error:
            raise self._refusal(url, str(error), secrets) from None
        if origin in self._origins:
            return url
        https = Origin("https", origin.host, 443)
        if origin.scheme == "http" and origin.port in (80, 443) and https in self._origins:
            return _upgrade(urlsplit(url))
        raise self._refusal(url, "another origin", secrets)

    def resolve(self, url: str, base_url: str) -> str:
        """The absolute URL for ``url``, which may be relative to ``base_url``, its path included.

        Raises:
            ForeignOriginRefused: it leads to another origin.
        """
        if url.startswith("//"):
            url = f"{urlsplit(base_url).scheme}:{url}"
        if "://" not in url.partition("?")[0]:
            return base_url + (url if url.startswith("?") or not url else f"/{url.lstrip('/')}")
        return self.accept(url)

    def _refusal(self, url: str, reason: str, secrets: Iterable[str]) -> ForeignOriginRefused:
        return ForeignOriginRefused(
            f"A request outside {', '.join(self.names)} was not sent: {reason}",
            where=f"at {redact_url(url, (*secrets, *self._hidden.secrets), self._hidden.names)}",
            hint="If this host belongs to the API, list it in the connection's allowed_origins.",
        )
