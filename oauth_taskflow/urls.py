"""Questions about a URL that decide whether credentials may be sent to it, and the parameters that carry them."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, quote, unquote_plus, urlsplit, urlunsplit

from oauth_taskflow.redaction import REDACTED

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


def has_param(url: str, name: str) -> bool:
    """Whether the query of ``url`` has a parameter ``name``."""
    return any(_name_of(pair) == name for pair in urlsplit(url).query.split("&") if pair)


def add_param(url: str, name: str, value: str) -> str:
    """``url`` with the parameter at the end of its query; every other byte of it stays."""
    parts = urlsplit(url)
    pair = f"{quote(name, safe='')}={quote(value, safe='')}"
    query = f"{parts.query}&{pair}" if parts.query else pair
    return urlunsplit(parts._replace(query=query))


def supply_param(url: str, name: str, value: str) -> str:
    """``url`` with the parameter ``name``: with ``value``, unless its query has another one.

    Asterisks do not count as one: so its value was removed from the link of a deferred call.
    """
    bare = remove_param(url, name) if find_param(url, name) == REDACTED else url
    return bare if has_param(bare, name) else add_param(bare, name, value)


def remove_param(url: str, name: str) -> str:
    """``url`` without the parameter ``name``; every other byte of it stays."""
    if "?" not in url:
        return url
    parts = urlsplit(url)
    kept = [pair for pair in parts.query.split("&") if _name_of(pair) != name]
    return urlunsplit(parts._replace(query="&".join(kept)))


def replace_param(url: str, name: str, text: str) -> str:
    """``url`` with ``text``, as it is, in the place of each value of the parameter ``name``; every other byte stays."""
    if "?" not in url:
        return url
    parts = urlsplit(url)
    pairs = parts.query.split("&")
    kept = [
        f"{pair.partition('=')[0]}={text}" if _name_of(pair) == name else pair for pair in pairs
    ]
    return urlunsplit(parts._replace(query="&".join(kept)))


def find_param(url: str, name: str) -> str:
    """The decoded value of the parameter ``name``; empty without one."""
    pairs = (pair.partition("=") for pair in urlsplit(url).query.split("&"))
    return next((unquote_plus(value) for key, _, value in pairs if unquote_plus(key) == name), "")


def _name_of(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])
