"""Takes the API's base URL from the token response (``instance_url``), after checking it: the response is not trusted."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec.structs import replace

from oauth_taskflow.connections.settings import ConnectionSettings
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.oauth.endpoint.response_fields import find_value
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.redaction import redact_url
from oauth_taskflow.urls import is_safe_endpoint, split_url

_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9-]+")


def with_base_url(settings: ConnectionSettings, token: Token) -> ConnectionSettings:
    """Returns ``settings`` with the base URL in the response of ``token``, unless they name one already.

    Raises:
        ConnectionConfigError: the URL is missing, or has a host that the preset does not expect.
    """
    rule = settings.base_url_from
    if settings.base_url or rule is None:
        return settings
    found = find_value(rule.path, token.extras)
    url = found.strip(" ") if isinstance(found, str) else ""
    if not url:
        raise _refusal(settings, f"The token response names no API address ({rule.path})")
    if not _is_expected(url, rule.hosts):
        # The token would be sent to it.
        shown = redact_url(url)[:200]
        raise _refusal(
            settings, f"The API address in the token response is not expected: {shown!r}"
        )
    return replace(settings, base_url=url.rstrip("/") + rule.suffix)


def _is_expected(url: str, hosts: Iterable[str]) -> bool:
    parts = split_url(url)
    if parts is None or not url.isprintable() or "\\" in url or parts.query:
        return False
    host = (parts.hostname or "").lower()
    default_port = parts.port in {None, 443} or host in hosts
    plain = (
        _HOST.fullmatch(host) is not None
    )  # escapes and IDNA could make another host of a suffix that looks right
    return (
        plain
        and is_safe_endpoint(url)
        and default_port
        and any(_matches(host, one) for one in hosts)
    )


def _matches(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _refusal(settings: ConnectionSettings, what: str) -> ConnectionConfigError:
    return ConnectionConfigError(
        what,
        conn_id=settings.conn_id,
        field="host",
        hint="Put the base URL of the API there.",
    )
