"""Checks where a request goes when a spec says more than a path: another base URL, or a URL that a record has.

The session compares its origin with the allowed origins of the connection before anything is sent (``AllowedOrigins``).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urldefrag, urlsplit

from oauth_taskflow.errors import TemplateFailed
from oauth_taskflow.urls import split_url

# A name or address with an optional port; without escapes and user information.
_NETLOC = re.compile(r"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_UNCLEAR = re.compile(r"[\x00-\x20\x7f\\]")
_DOT = re.compile("%2e", re.IGNORECASE)


def read_url(template: str, rendered: Any) -> str:
    """Returns ``rendered``, which came out of ``template``, without a fragment.

    Raises:
        TemplateFailed: it is not an http or https URL, or parsers read it differently.
    """
    if not isinstance(rendered, str):
        raise TemplateFailed(template, "it did not give a text")
    url = rendered.strip(" ")
    parts = split_url(url)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise TemplateFailed(template, "it did not give an http or https URL")
    if _UNCLEAR.search(url) or not _NETLOC.fullmatch(parts.netloc):
        raise TemplateFailed(
            template,
            "it gave a URL with user information, an escape in the host, a blank or a backslash",
        )
    return urldefrag(url).url


def join_path(template: str, rendered: Any, path: str) -> str:
    """Returns ``path`` below the base URL ``rendered``, which came out of ``template``.

    Raises:
        TemplateFailed: it has more than scheme, host and path.
    """
    url = read_url(template, rendered)
    parts = urlsplit(url)
    if "?" in rendered or "#" in rendered:
        raise TemplateFailed(template, "it gave a base URL with a query or fragment")
    segments = _DOT.sub(".", parts.path).split("/")
    if {".", ".."} & set(segments) or "" in segments[1:-1]:
        raise TemplateFailed(template, "it gave a base URL with an empty segment, . or ..")
    base = url.rstrip("/")
    return base + (path if path.startswith("?") or not path else f"/{path.lstrip('/')}")
