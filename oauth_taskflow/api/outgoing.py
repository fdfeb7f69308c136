"""Turns an ``ApiRequest`` into a request of the HTTP library, for the session and the async session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import requests

import oauth_taskflow
from oauth_taskflow.api.decoders.numbers import ExactFloat, encode
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.content_coding import accept_encoding

_LEGAL_IN_URL = "%/:?#[]@!$&'()*+,;=-._~"


def default_headers() -> dict[str, str]:
    """The headers of every request that does not set them itself."""
    agent = f"oauth-taskflow/{oauth_taskflow.__version__}"
    codings = accept_encoding()
    return {"User-Agent": agent, "Accept": "application/json", "Accept-Encoding": codings}


def build_request(request: ApiRequest, whole: str) -> requests.Request:
    """``request`` to the absolute URL ``whole``, without the headers that a session adds."""
    form = {name: _text(value) for name, value in request.form.items()}
    headers, json = dict(request.headers), request.json
    data: Any = form or None
    if not form and _has_exact_number(json):  # a page cursor; the HTTP library would round it
        headers = {"Content-Type": "application/json", **headers}
        json, data = None, encode(json)
    return requests.Request(
        request.method,
        whole,
        params=_encode_query(request.params),
        headers=headers,
        json=json,
        data=data,
    )


def _encode_query(params: Mapping[str, Any]) -> str:
    """``params`` percent-encoded (RFC 3986 §2.1); None omits a name, a list repeats it.

    A space is ``%20``, which every server reads. ``requests`` would send ``+``, which means a space in forms only: OData
    servers refuse it in ``$filter``.
    """
    pairs = [
        (name, _text(item))
        for name, value in params.items()
        for item in ((value,) if _is_single(value) else value)
        if item is not None
    ]
    return urlencode(pairs, quote_via=quote, safe="")


def _is_single(value: Any) -> bool:
    return isinstance(value, str | bytes) or not hasattr(value, "__iter__")


def choose_url(request: ApiRequest, prepared: str, whole: str) -> str:
    """The URL to send: ``prepared`` by the HTTP library, or ``whole`` unchanged when the API itself gave it."""
    return _exact_url(prepared, whole) if request.exact else prepared


def _exact_url(prepared: str, given: str) -> str:
    """``given`` with only illegal characters encoded; scheme and host come from ``prepared``."""
    host, parts = urlsplit(prepared), urlsplit(given)
    path, query = (quote(part, safe=_LEGAL_IN_URL) for part in (parts.path or "/", parts.query))
    return urlunsplit((host.scheme, host.netloc, path, query, ""))


def _has_exact_number(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_exact_number, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_exact_number, value))
    return isinstance(value, ExactFloat)


def _text(value: Any) -> Any:
    """A parameter value in the spelling of JSON, because ``requests`` would send Python's ``True``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return [_text(item) for item in value] if isinstance(value, list | tuple) else value
