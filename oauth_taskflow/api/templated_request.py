"""The request of ``session.paginate``, whose texts may place values of the page: ``{{ page.token | default(omit) }}``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from oauth_taskflow.api.page_template import PageTemplate
from oauth_taskflow.api.paginators import Paginate
from oauth_taskflow.api.paginators.base import PagingOptions
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import TemplateFailed
from oauth_taskflow.nested_texts import find_texts
from oauth_taskflow.templates.names import OMIT as OMIT_NAME
from oauth_taskflow.templates.names import PAGE, PAGE_NAMES
from oauth_taskflow.templates.references import find_page_names, parse_template


def fill_with_pages(request: ApiRequest, paginate: Paginate | None) -> ApiRequest:
    """Returns ``request`` such that its texts are rendered for each page; unchanged where none names a value of the page.

    Only texts that name one are templates; all others are sent as they are.

    Raises:
        TemplateFailed: the paginator has no such value.
    """
    if not isinstance(paginate, PagingOptions):
        return request
    parts = (request.path, request.params, request.headers, request.json)
    placed = {name: text for text in find_texts(parts) for name in _page_names(text)}
    if not placed:
        return request
    for name, text in placed.items():
        if name not in paginate.page_names:
            style = paginate.__struct_config__.tag
            known = ", ".join(sorted(paginate.page_names)) or "no value"
            missing = " without size" if name == "size" else ""
            reason = f"pages of type {style}{missing} have no {PAGE}.{name}"
            raise TemplateFailed(text, reason, hint=f"They have {known}.")
    return ApiRequest("", template=PageTemplate(frozenset(placed), _renderer(request)))


def _renderer(request: ApiRequest) -> Callable[[Mapping[str, Any]], ApiRequest]:
    from oauth_taskflow.templates.render import (  # noqa: PLC0415 - Jinja, which few sessions need
        OMIT,
        PageValues,
        render_header,
        render_path,
        render_value,
    )

    def render(values: Mapping[str, Any]) -> ApiRequest:
        context = {OMIT_NAME: OMIT, PAGE: PageValues(values)}

        def fill(value: Any) -> Any:
            if isinstance(value, str):
                return render_value(value, context) if _page_names(value) else value
            if isinstance(value, Mapping):
                filled = {key: fill(item) for key, item in value.items()}
                return {key: item for key, item in filled.items() if item is not OMIT}
            if isinstance(value, list | tuple):
                return [made for item in value if (made := fill(item)) is not OMIT]
            return value

        path, body = request.path, fill(request.json)
        headers = {
            name: render_header(text, context) if _page_names(text) else text
            for name, text in request.headers.items()
        }
        return replace(
            request,
            path=render_path(path, context) if _page_names(path) else path,
            params=fill(request.params),
            headers={name: text for name, text in headers.items() if text is not None},
            json=None if body is OMIT else body,
        )

    return render


def _page_names(text: str) -> frozenset[str]:
    """The values of the page that ``text`` names; none in a text that is not a template."""
    if PAGE not in text or "{" not in text:
        return frozenset()
    return find_page_names(parse_template(text).references) & PAGE_NAMES
