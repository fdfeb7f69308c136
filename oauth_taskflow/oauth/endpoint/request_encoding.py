"""The parameters of a token request as the bytes that go on the wire. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from oauth_taskflow.oauth.client import TokenForm
from oauth_taskflow.secret_values import Hidden, SecretValue


class Encoded(SecretValue, frozen=True):
    """An HTTP request without its connection. ``url`` may hold secrets in its query: never show it."""

    method: str
    url: Hidden[str]
    body: Hidden[bytes | None]
    headers: Hidden[Mapping[str, str]]


class JsonText(str):
    """The text of a JSON value: a JSON body carries the value, every other one the text."""

    __slots__ = ()


def encode(form: TokenForm, *, method: str, url: str, body: str) -> Encoded:
    """``form`` for ``url``, its parameters in a form (RFC 6749 §4), a JSON object or the query, as ``body`` says."""
    headers = {"Accept": "application/json", **form.headers}
    if body == "query" or method == "GET":
        if not form.params:
            return Encoded(method, url, None, headers)
        separator = "&" if "?" in url else "?"
        return Encoded(method, f"{url}{separator}{urlencode(form.params)}", None, headers)
    if body == "form":
        kind, content = "application/x-www-form-urlencoded", urlencode(form.params)
    else:
        kind, content = "application/json", _json(form)
    return Encoded(method, url, content.encode(), {"Content-Type": kind, **headers})


def _json(form: TokenForm) -> str:
    fields: dict[str, Any] = {}
    for name, _ in form.params:
        values = [_json_value(value) for other, value in form.params if other == name]
        fields[name] = values if len(values) > 1 else values[0]
    return json.dumps(fields)


def _json_value(text: str) -> Any:
    return json.loads(text) if isinstance(text, JsonText) else text
