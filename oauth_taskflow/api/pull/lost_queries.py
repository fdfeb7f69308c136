"""Redirects and next URLs that lose a part of the question: the API then answers another one, such as all records instead of one parent's."""

from __future__ import annotations

from collections.abc import KeysView
from urllib.parse import parse_qsl, unquote, urlsplit

from oauth_taskflow.api.paginators.pointers import find_sent_values
from oauth_taskflow.api.pull.page import PageView
from oauth_taskflow.api.request import ApiRequest


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


def describe_changed_query(page: PageView, following: ApiRequest) -> str | None:
    """Returns a warning when the next URL of page one has values of the first request without percent-encoding; else None.

    An API that copies them as they are asks for ``C`` and two spaces instead of ``C++``, and for ``R`` instead of ``R&D``. Any other
    difference is its own affair.
    """
    if page.index > 0 or not following.exact:
        return None
    came: dict[str, list[str]] = {}
    for name, value in parse_qsl(urlsplit(following.path).query, keep_blank_values=True):
        came.setdefault(name, []).append(value)
    changed = [
        name
        for name, values in came.items()
        if (sent := find_sent_values(name, page.first)) != values
        and list(map(_copied, sent)) == values
    ]
    if not changed:
        return None
    return (
        f"The next URL of page 1 has other values than the request ({', '.join(changed)}) {page.where}: the API does not percent-encode "
        "them there. Later pages may answer another question, so that records are missing from this output: page by number or offset "
        "if the API can, or write the values without +, &, % and #."
    )


def _copied(value: str) -> str:
    """What a server reads of a value that is in a URL as it is."""
    return dict(parse_qsl(f"value={value.partition('#')[0]}", keep_blank_values=True))["value"]


def _last_name(url: str) -> str:
    return unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2]


def _names(url: str) -> KeysView[str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)).keys()
