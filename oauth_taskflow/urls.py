"""Questions about a URL that decide whether credentials may be sent to it."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


def split_url(text: str) -> SplitResult | None:
    """The parts of a URL; None where the standard library rejects it (``https://[::1``, port 99999)."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts


def is_loopback(host: str) -> bool:
    """Whether ``host`` is a loopback address literal.

    Host names never are: another machine may decide which address they resolve to.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_safe_endpoint(url: str) -> bool:
    """Whether credentials may be posted to ``url``: https, or http on this machine, without userinfo and fragment."""
    parts = split_url(url)
    if parts is None or not parts.hostname:
        return False
    local = parts.scheme == "http" and is_loopback(parts.hostname)
    return (parts.scheme == "https" or local) and "@" not in parts.netloc and not parts.fragment
