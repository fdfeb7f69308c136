"""Response hooks of authors, called with the final response and not with one that is followed by another attempt.

``requests`` calls hooks for every response. A hook that raises for error statuses, as many do, would then prevent the
session from refreshing its token and from repeating the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests

_MARK = "_oauth_taskflow_hooks"


def defer_hooks(
    request: requests.PreparedRequest, asked: Mapping[str, Any], session: Mapping[str, Any]
) -> None:
    """Keep the hooks that were ``asked`` for with ``request``, else those of the ``session``, for ``run_hooks``.

    Hooks of the auth object stay on ``request``, because they belong to each attempt.
    """
    if not any(asked.values()) and not any(session.values()):
        return  # nearly always
    own = requests.PreparedRequest()
    own.prepare_hooks(asked)
    if not own.hooks["response"]:
        own.prepare_hooks(session)
    for hook in own.hooks["response"]:
        request.hooks["response"].remove(hook)
    setattr(request, _MARK, own.hooks["response"])


def run_hooks(
    response: requests.Response, request: requests.PreparedRequest, options: Mapping[str, Any]
) -> requests.Response:
    """``response`` after the deferred hooks of ``request``; ``options`` are those that it was sent with."""
    hooks = getattr(request, _MARK, ())
    kept = (
        {name: value for name, value in options.items() if name != "allow_redirects"}
        if hooks
        else {}
    )
    for hook in hooks:
        made = hook(response, **kept)
        response = response if made is None else made
    return response
