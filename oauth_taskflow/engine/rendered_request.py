"""Renders the requests of an endpoint with the values of its run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from json import dumps
from typing import Any

from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.engine.request_url import join_path, read_url
from oauth_taskflow.errors import TemplateFailed
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.request import Request
from oauth_taskflow.templates.names import OMIT as OMIT_NAME
from oauth_taskflow.templates.render import (
    OMIT,
    render_encoded,
    render_header,
    render_path,
    render_value,
)

_FIRST = re.compile(r"^\s*(\{\{(?:(?!\{\{|\}\}).)*\}\})", re.DOTALL)


def render_request(endpoint: Endpoint, context: Mapping[str, Any]) -> ApiRequest:
    """Renders the request of a page.

    Raises:
        TemplateFailed: a template names something undefined or gives null.
    """
    request = endpoint.request
    context = {OMIT_NAME: OMIT, **context}
    headers = {name: render_header(value, context) for name, value in request.headers.items()}
    body = _require_json(render_value(request.json, context))
    return ApiRequest(
        path=_render_target(request, context),
        method=request.method,
        params=render_value(request.params, context),
        headers={name: value for name, value in headers.items() if value is not None},
        json=body,
        form=render_value(request.form, context),
        timeout=endpoint.timeout,
        limits=endpoint.limits,
    )


def _require_json(body: Any) -> Any:
    """Returns ``body``, None for ``omit``, unless it holds what JSON does not have."""
    if body is None or body is OMIT:
        return None
    try:
        dumps(body, allow_nan=False)
    except (TypeError, ValueError) as error:
        hint = "Let each template give a text, a number, a boolean, a list or a mapping: {{ run_after.isoformat() }}."
        reason = f"the body cannot be sent, {error}"
        raise TemplateFailed("request.json", reason, hint=hint) from error
    return body


def _render_target(request: Request, context: Mapping[str, Any]) -> str:
    """Renders the path, or the absolute URL where the spec names a URL or a base URL."""
    if request.url is not None:
        return read_url(request.url, _render_url(request.url, context))
    path = render_path(request.path or "", context)
    if request.base_url is None:
        return path
    return join_path(request.base_url, _render_url(request.base_url, context), path)


def _render_url(template: str, context: Mapping[str, Any]) -> Any:
    """Renders a URL: a ``{{ … }}`` at its beginning gives the URL, elsewhere values are percent-encoded."""
    first = _FIRST.match(template)
    if first is None:
        return render_encoded(template, context)
    url, rest = render_value(first[1], context), template[first.end() :].rstrip()
    if not rest or not isinstance(url, str):
        return url
    return (url.rstrip("/") if rest.startswith("/") else url) + render_encoded(rest, context)
