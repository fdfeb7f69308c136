"""An ``ApiRequest`` on its way out: as the HTTP library takes it, for the session and its async twin alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import requests

from oauth_taskflow.api.decoders.numbers import ExactFloat, encode
from oauth_taskflow.api.request import ApiRequest

_LEGAL_IN_URL = "%/:?#[]@!$&'()*+,;=-._~"


def unprepared(request: ApiRequest, whole: str) -> requests.Request:
    """``request`` to the whole URL ``whole``, still without what a session adds."""
    form = {name: _text(value) for name, value in request.form.items()}
    headers, json = dict(request.headers), request.json
    data: Any = form or None
    if not form and _has_exact_number(json):  # a page cursor; the HTTP library would cut its digits
        headers = {"Content-Type": "application/json", **headers}
        json, data = None, encode(json)
    return requests.Request(
        request.method,
        whole,
        params={name: _text(value) for name, value in request.params.items()},
        headers=headers,
        json=json,
        data=data,
    )


def final_url(request: ApiRequest, prepared: str, whole: str) -> str:
    """The URL to send: ``prepared`` by the HTTP library, or byte for byte ``whole`` when the API itself gave it."""
    return _exact_url(prepared, whole) if request.exact else prepared


def _exact_url(prepared: str, given: str) -> str:
    """``given`` as it is, only illegal characters encoded; scheme and host as the HTTP library ``prepared`` them."""
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
    """Parameter values as JSON spells them: ``requests`` would send Python's ``True``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return [_text(item) for item in value] if isinstance(value, list | tuple) else value
