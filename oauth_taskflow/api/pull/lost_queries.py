"""Redirects that drop a part of the question: the API then answers another one, such as all records instead of one parent's."""

from __future__ import annotations

from collections.abc import KeysView
from urllib.parse import parse_qsl, unquote, urlsplit

from oauth_taskflow.api.pull.page import PageView


def describe_lost_query(page: PageView) -> str | None:
    """Returns a warning when a redirect led to ``page`` without parameters or the body of its request; None otherwise.

    Proxies that redirect from http to https, to another host or to a path with a slash at its end often forget the query. A target
    with other parameters, or under another name than the path that was asked for, is one that the API made on purpose.
    """
    history = page.response.history
    if not history or _last_name(history[0].url) != _last_name(page.url):
        return None
    asked, came = _names(history[0].url), _names(page.url)
    lost = [name for name in asked if name not in came] if came <= asked else []
    if page.first.method != page.response.request.method:
        lost.append(f"the body of {page.first.method}")
    if not lost:
        return None
    return (
        f"A redirect dropped a part of the request ({', '.join(lost)}) {page.where}. The answer may have other records than those "
        "that were asked for, or the same ones again and again: correct host and path, so that nothing is redirected."
    )


def _last_name(url: str) -> str:
    return unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2]


def _names(url: str) -> KeysView[str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)).keys()
