"""Errors as answers: what happened, where, and what to do; no value of the request, and no traceback.

They are JSON, but a person who opened one of the app's own pages gets a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from oauth_taskflow.connections.drafts.draft import WrongDraft
from oauth_taskflow.errors import (
    ConnectionConfigError,
    OAuthTaskflowError,
    TokenStoreError,
    printable,
)
from oauth_taskflow.taskflow.grants.page_hints import name_button
from oauth_taskflow.taskflow.page.places import CONSENT_PAGE, PREFIX, base_path, ui_url
from oauth_taskflow.taskflow.page.rendering import render_page


def problem_answer(
    status: int,
    what: str,
    *,
    where: str = "",
    hint: str = "",
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """An error as JSON: ``{"detail": what, "where": …, "hint": …}``."""
    body = {"detail": what, "where": where, "hint": hint}
    return JSONResponse(body, status, headers=headers)


def _answer(request: Request, status: int, what: str, **more: Any) -> Response:
    if not _wants_page(request):
        return problem_answer(status, what, **more)
    headers = more.pop("headers", None)
    page = render_page(
        "refused.html", status=status, what=what, **{"where": "", "hint": "", **more}
    )
    page.headers.update(headers or {})
    return page


def _wants_page(request: Request) -> bool:
    root = request.scope.get("root_path", "")
    is_api = request.scope["path"].startswith((f"{root}/api/", "/api/"))
    return "text/html" in request.headers.get("accept", "") and not is_api


def answer_error(request: Request, error: Exception) -> Response:
    """An error of this package: 503 when the token store fails, else 409."""
    assert isinstance(error, OAuthTaskflowError)
    status = 503 if isinstance(error, TokenStoreError) and error.retryable else 409
    hint = error.hint
    if isinstance(error, ConnectionConfigError) and error.joined:
        hint = " ".join(problem.line for problem in error.joined)
    return _answer(request, status, error.what, where=error.where, hint=name_button(hint))


def answer_http_error(request: Request, error: Exception) -> Response:
    """401, 403, 404 and the like. A person who is not logged in and opens a page is sent to Airflow's login."""
    assert isinstance(error, StarletteHTTPException)
    wants_html = "text/html" in request.headers.get("accept", "")
    if error.status_code == 401 and request.method == "GET" and wants_html:
        if request.url.path.endswith(f"{PREFIX}{CONSENT_PAGE}"):
            # Its fragment holds a ticket, which a redirect to the login would lose. The page holds nothing else.
            return render_page("consent.html", problem="", again=ui_url(), status=401)
        # As it was sent: an id may hold a slash.
        back = request.scope.get("raw_path", b"").decode("latin-1") or quote(request.url.path)
        target = quote(back, safe="/")
        return RedirectResponse(f"{base_path()}/api/v2/auth/login?next={target}", 303)
    return _answer(request, error.status_code, str(error.detail), headers=error.headers)


def answer_wrong_request(request: Request, error: Exception) -> Response:
    """422 with the place of each problem. The value is left out: it may be a secret that was put into the wrong field."""
    assert isinstance(error, RequestValidationError)
    places = [".".join(str(part) for part in each["loc"]) for each in error.errors()]
    problems = [
        f"{place}: {each['msg']}" for place, each in zip(places, error.errors(), strict=True)
    ]
    return _answer(request, 422, printable("; ".join(problems)))


def answer_wrong_draft(_: Request, error: Exception) -> Response:
    """422, or 409 for a draft that does not fit what is stored; ``problems`` names each key with what to do."""
    assert isinstance(error, WrongDraft)
    problems = [
        {"field": printable(one.field), "what": printable(one.what), "hint": printable(one.hint)}
        for one in error.problems
    ]
    what = " ".join(f"{one['what']}." for one in problems if not one["field"])
    body = {"detail": what or "Some values are not right", "where": "", "hint": ""}
    return JSONResponse({**body, "problems": problems}, error.status)


HANDLERS: dict[Any, Any] = {
    WrongDraft: answer_wrong_draft,
    OAuthTaskflowError: answer_error,
    HTTPException: answer_http_error,
    StarletteHTTPException: answer_http_error,
    RequestValidationError: answer_wrong_request,
}
