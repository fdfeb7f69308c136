"""Every value of a connection that must never be shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote_plus, unquote

from oauth_taskflow.connections.brokered import BrokeredFields
from oauth_taskflow.connections.fields.table import BY_NAME
from oauth_taskflow.connections.parts import ConnectionParts
from oauth_taskflow.connections.places import fill_places
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.nested_texts import find_texts
from oauth_taskflow.redaction import SHORTEST_SECRET, is_sensitive_name
from oauth_taskflow.urls import split_url

# A shorter value, such as a version, is in other words by chance: hidden there, it would make logs unreadable.
_SHORTEST = 6


def list_secrets(parts: ConnectionParts) -> tuple[str, ...]:
    """Returns the password, secret fields, values under sensitive names, and all that is added to requests."""
    found = [parts.password]
    for name, value in parts.values.items():
        found += _secrets_in(parts, name, value)
    if parts.login and parts.password:
        # Basic authentication encodes this text, either unchanged or form-encoded first (RFC 6749 §2.3.1).
        found.append(f"{parts.login}:{parts.password}")
        found.append(f"{quote_plus(parts.login)}:{quote_plus(parts.password)}")
    return tuple(dict.fromkeys(secret for secret in found if secret))


def list_short_credentials(parts: ConnectionParts) -> list[str]:
    """Returns the names of the credentials that are too short to be hidden in texts.

    Not those of fewer than two characters in ``basic``: some APIs want any password next to their key.
    """
    values = {name: value for name, value in parts.values.items() if BY_NAME[name].is_secret}
    shortest = 2 if parts.values.get("auth_type") == "basic" else 1
    given = {"password": parts.password, **values}
    return [
        name
        for name, value in given.items()
        if isinstance(value, str) and shortest <= len(value) < SHORTEST_SECRET
    ]


def _secrets_in(parts: ConnectionParts, name: str, value: Any) -> Iterator[str]:
    field = BY_NAME[name]
    if field.is_secret:
        yield value
    elif isinstance(value, BrokeredFields):
        yield value.proof
    elif name == "proxies":
        urls = (split_url(url) for url in value.values())
        yield from (unquote(url.password) for url in urls if url and url.password)
    elif isinstance(value, dict):
        named = _sensitive_texts(value)
        everything = _fill_texts(parts, name, value) if field.holds_secrets else ()
        yield from (*named, *(text for text in everything if len(text) >= _SHORTEST))


def _fill_texts(parts: ConnectionParts, name: str, value: Mapping[str, Any]) -> Iterator[str]:
    try:
        yield from find_texts(fill_places(parts, name, value))
    except ConnectionConfigError:  # another reader reports it
        yield from find_texts(value)


def _sensitive_texts(value: Any) -> Iterator[str]:
    """Yields the texts under names that sound like secrets, at any depth."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from find_texts(item) if is_sensitive_name(name) else _sensitive_texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _sensitive_texts(item)
