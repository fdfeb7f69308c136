"""The app's own pages, in Jinja with escaping: the plain list, and what a consent ends with."""

from __future__ import annotations

import json
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from oauth_taskflow.taskflow.page.places import page_url, static_url, ui_url


@cache
def _environment() -> Environment:
    folder = FileSystemLoader(Path(__file__).parent / "pages")
    environment = Environment(loader=folder, autoescape=True, undefined=StrictUndefined)
    environment.globals.update(page_url=page_url, static_url=static_url, ui_url=ui_url)
    # Jinja's own filter leaves slashes: browsers would resolve "a/../b".
    environment.filters["segment"] = partial(quote, safe="")
    return environment


def render_page(name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """The template ``name`` of ``pages`` with ``values``, of which no one may be a secret."""
    text = _environment().get_template(name).render(**values)
    return HTMLResponse(text.encode("utf-8", "replace"), status)


def encode_json(value: Any) -> bytes:
    """The JSON of ``value``. Half a surrogate pair, which names in DAG files and connections may hold, is escaped."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value)).encode()


def answer_json(value: Any, status: int = 200) -> Response:
    """The answer with ``value`` as JSON."""
    return Response(encode_json(value), status, media_type="application/json")
