"""Where an authorization server sends the browser back to, and where the page sends the person afterwards."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from fastapi import Request

from oauth_taskflow.taskflow.page.places import PREFIX, base_path, base_url, page_url

CALLBACK = "/callback"
_END = f"{PREFIX}{CALLBACK}"
# A path of this host as a browser reads it: two slashes or a backslash would begin another host's name.
_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")
_LONGEST = 2000


def find_redirect_uri(registered: str, request: Request) -> str:
    """The redirect URI to register at the provider.

    That is ``registered``, the connection's ``redirect_uri``, where it ends at the callback of the page; else the callback
    below ``[api] base_url``; without that, below the address by which ``request`` came.
    """
    if urlsplit(registered).path.endswith(_END):
        return registered
    if base_url():
        return f"{base_url().rstrip('/')}{_END}"
    return f"{request.url.scheme}://{request.url.netloc}{page_url(CALLBACK)}"


def find_weaknesses(redirect_uri: str) -> list[str]:
    """Reasons that may keep ``redirect_uri`` from working, each with what to do."""
    parts, found = urlsplit(redirect_uri), []
    if not base_url():
        found.append(
            "[api] base_url is not set, so this address is a guess. Set it to the address by which people open Airflow."
        )
    if parts.scheme != "https" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        found.append(
            "This address is plain http, which most providers refuse. Serve Airflow by https, and say so in [api] base_url."
        )
    return found


def is_own_path(path: str) -> bool:
    """Whether ``path`` leads to a page of this Airflow and nowhere else."""
    if len(path) > _LONGEST or not _PATH.fullmatch(path):
        return False
    parts = urlsplit(path)
    steps = parts.path.split("/")
    below = f"{base_path()}/"
    return not (parts.scheme or parts.netloc or ".." in steps) and path.startswith(below)
