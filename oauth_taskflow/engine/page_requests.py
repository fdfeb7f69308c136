"""The requests of one page sequence: the first one, and the template from which the next ones are rendered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from oauth_taskflow.api.page_template import PageTemplate
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.engine.rendered_request import render_request
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.templates.names import PAGE
from oauth_taskflow.templates.references import page_names
from oauth_taskflow.templates.render import PageValues


def build_first_request(endpoint: Endpoint, context: Mapping[str, Any]) -> ApiRequest:
    """Returns the request that begins a page sequence.

    Where its templates place values of the page, it is rendered for each page, once the paginator knows the values.

    Raises:
        TemplateFailed: a template names something undefined or gives null.
    """
    names = find_placed_names(endpoint)
    if not names:
        return render_request(endpoint, context)

    def render(values: Mapping[str, Any]) -> ApiRequest:
        return render_request(endpoint, {**context, PAGE: PageValues(values)})

    return ApiRequest("", template=PageTemplate(names, render))


def find_placed_names(endpoint: Endpoint) -> frozenset[str]:
    """Returns the values of the page that the templates of the request place, such as ``token``."""
    if endpoint.paginate is None or PAGE in endpoint.for_each:  # the author's own name hides ours
        return frozenset()
    return page_names(msgspec.to_builtins(endpoint.request))
