"""An endpoint's request with the values of one run, window and parent record filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.engine.templates import render_path, render_text, render_value
from oauth_taskflow.errors import TemplateFailed
from oauth_taskflow.specs.model import Endpoint


def render_request(endpoint: Endpoint, scope: Mapping[str, Any]) -> ApiRequest:
    """The request for the first page.

    Raises:
        TemplateFailed: a template names something undefined or gives null.
    """
    request = endpoint.request
    return ApiRequest(
        path=render_path(request.path or "", scope),
        method=request.method,
        params=render_value(request.params, scope),
        headers={name: _header(value, scope) for name, value in request.headers.items()},
        json=render_value(request.json, scope),
        form=render_value(request.form, scope),
        timeout=endpoint.timeout,
        limits=endpoint.limits,
    )


def _header(template: str, scope: Mapping[str, Any]) -> str:
    """A header's value; characters that RFC 9110 §5.5 has no room for would fail deep in the HTTP library."""
    value = render_text(template, scope).strip()
    if any(
        ord(character) > 255 or (ord(character) < 32 and character != "\t") for character in value
    ):
        raise TemplateFailed(
            template,
            "it gave a line break or a character outside Latin-1, which no header can carry",
        )
    return value
