"""Connect and Reconnect: a person consents in this browser, or with a code on another device.

The callback is the one route without a permission: some providers post to it, and then no cookie comes along. It only
parks the answer and redirects. The page that follows asks, as the user who began, for the code to be traded.
"""

from __future__ import annotations

import logging
import re
from typing import Annotated, Literal
from urllib.parse import parse_qsl, quote

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from oauth_taskflow.consents.record import Wait
from oauth_taskflow.consents.sql import Parked
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.taskflow.grants.consent_offer import describe_offer
from oauth_taskflow.taskflow.grants.managed_grant import load_managed_grant
from oauth_taskflow.taskflow.grants.served_consent import (
    ConsentRequest,
    Postponed,
    ask_device,
    begin_in_browser,
    begin_with_device,
    cancel_device,
    finish_in_browser,
    open_consents,
)
from oauth_taskflow.taskflow.page.access import GetUserDep, is_logged_in, may_change_connection
from oauth_taskflow.taskflow.page.audit import (
    AuditLogAway,
    audited,
    begin_followed,
    end_followed,
)
from oauth_taskflow.taskflow.page.failures import problem_answer
from oauth_taskflow.taskflow.page.places import CONSENT_PAGE, page_url, ui_url
from oauth_taskflow.taskflow.page.rendering import answer_json, render_page
from oauth_taskflow.taskflow.page.return_address import (
    CALLBACK,
    find_redirect_uri,
    find_weaknesses,
    is_own_path,
)

_log = logging.getLogger(__name__)
_PREFIX = "/api/connections/{connection_id:path}/consent"
router = APIRouter(prefix=_PREFIX, dependencies=[Depends(may_change_connection)])
pages = APIRouter(dependencies=[Depends(is_logged_in)])
# From another origin and without a user: it takes no permission, and a turn.
parking = APIRouter()

_STATE = re.compile(r"[A-Za-z0-9_-]{43}")
_LONGEST_ANSWER = 16_384
_MOST_FIELDS = 50
Problem = Literal["unknown", "repeated", "malformed", "failed"]
Ticket = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]


class Wish(BaseModel):
    """How the person wants to consent, and the path of the page to go back to."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    way: Literal["browser", "device"]
    return_to: str = ""
    revoke_old: bool = False


class Claim(BaseModel):
    """The ticket of a consent in flight."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    ticket: Ticket = Field(repr=False)


@router.post("/offer")
def show_offer(connection_id: str, request: Request) -> Response:
    """Facts that the person should know before anything starts, such as the redirect URI to register."""
    offer = describe_offer(connection_id)
    redirect_uri = find_redirect_uri(offer.redirect_uri, request)
    weak = (*find_weaknesses(redirect_uri), *offer.warnings)
    return answer_json(msgspec.structs.replace(offer, redirect_uri=redirect_uri, warnings=weak))


@router.post("")
def begin(connection_id: str, wish: Wish, request: Request, user: GetUserDep) -> Response:
    """Begins a consent: the address to open in this tab, or the code to enter elsewhere."""
    if wish.return_to and not is_own_path(wish.return_to):
        raise HTTPException(422, "return_to is not a path of this Airflow")
    with audited(user, "consent_begun", connection_id, way=wish.way):
        asked = ConsentRequest(
            user_id=user.get_id(), return_to=wish.return_to, revoke_old=wish.revoke_old
        )
        if wish.way == "device":
            prompt = begin_with_device(connection_id, asked)
            code = prompt.ticket, prompt.expires_in
            begin_followed(user, "connect", connection_id, *code, way="device")
            return answer_json(prompt)
        registered = load_managed_grant(connection_id).consent.redirect_uri
        asked = msgspec.structs.replace(asked, redirect_uri=find_redirect_uri(registered, request))
        return answer_json({"authorization_url": begin_in_browser(connection_id, asked)})


@router.post("/finish")
def finish(connection_id: str, claim: Claim, user: GetUserDep) -> Response:
    """Trades the parked answer of this user, stores the grant and makes a test call; or when to ask for that again."""
    try:
        with audited(user, "connect", connection_id, way="browser") as note:
            connected = finish_in_browser(
                connection_id, claim.ticket, user.get_id(), user_name=user.get_name()
            )
            note.outcome = "connected"
            if isinstance(connected, Postponed):
                note.outcome = f"postponed: {connected.reason}"
    except AuditLogAway as away:  # the answer is still parked: after 503 the page asks again
        return problem_answer(503, away.what, hint=away.hint)
    return answer_json(connected)


@router.post("/ask")
def ask(connection_id: str, claim: Claim, user: GetUserDep) -> Response:
    """Whether the person has entered the code; the token endpoint is asked at most once per its interval."""
    try:
        result = ask_device(connection_id, claim.ticket, user.get_id(), user_name=user.get_name())
    except OAuthTaskflowError as error:
        if not error.retryable:  # else the page asks again
            _end_device(user, connection_id, claim, f"failed: {error.what}")
        raise
    if isinstance(result, Wait):
        return answer_json({"wait": result.seconds})
    _end_device(user, connection_id, claim, "connected")
    return answer_json(result)


@router.post("/cancel")
def cancel(connection_id: str, claim: Claim, user: GetUserDep) -> Response:
    """Forgets a device code."""
    with audited(user, "consent_cancelled", connection_id):
        was_live = cancel_device(connection_id, claim.ticket, user.get_id())
    if was_live:
        _end_device(user, connection_id, claim, "cancelled")
    return answer_json({})


def _end_device(user: GetUserDep, conn_id: str, claim: Claim, outcome: str) -> None:
    end_followed(user, "connect", conn_id, claim.ticket, outcome, way="device")


# With a slash at the end too: Starlette would redirect, and the log would show the query.
@parking.get(CALLBACK)
@parking.get(f"{CALLBACK}/")
def park_query(request: Request) -> Response:
    """Parks the answer in the query (RFC 6749 §4.1.2)."""
    return _park(_empty_query(request))


@parking.post(CALLBACK)
@parking.post(f"{CALLBACK}/")
async def park_form(request: Request) -> Response:
    """Parks the answer in the body (OAuth 2.0 Form Post Response Mode)."""
    _empty_query(request)
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_ANSWER:
            return _show_problem("malformed")
    return await run_in_threadpool(_park, body.decode("utf-8", "replace"))


@parking.head(CALLBACK)
def look(request: Request) -> Response:
    """Scanners of links ask in this way; nothing is parked."""
    _empty_query(request)
    return Response(status_code=405)


@pages.get("/connect/{connection_id:path}")
def show_connect(connection_id: str) -> HTMLResponse:
    """The page that begins a consent, for releases of Airflow whose globals are other ones."""
    return render_page("connect.html", conn_id=connection_id)


@pages.get(CONSENT_PAGE)
def show_finish() -> HTMLResponse:
    """The page that finishes a consent. Its ticket is in the fragment of its address, which no server sees."""
    return render_page("consent.html", problem="", again=ui_url())


@pages.get("/consent/{problem}")
def show_problem(problem: Problem) -> HTMLResponse:
    """Why an answer was not kept, and what to do."""
    return render_page("consent.html", problem=problem, again=ui_url(), status=400)


def _empty_query(request: Request) -> str:
    """The query, which the access log does not see: it is written when the request is over."""
    query = bytes(request.scope["query_string"])
    request.scope["query_string"] = b""
    return query.decode("utf-8", "replace")


def _park(text: str) -> Response:
    try:
        answer = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return _show_problem("malformed")
    states = [value for name, value in answer if name == "state"]
    if len(states) != 1 or len(text) > _LONGEST_ANSWER:
        return _show_problem("malformed")
    if not _STATE.fullmatch(states[0]):
        return _show_problem("unknown")
    try:
        parked = open_consents().park(states[0], answer)
    except OAuthTaskflowError as error:
        _log.error("An answer of an authorization server could not be kept: %s", error)
        return _show_problem("failed")
    if not isinstance(parked, Parked):
        return _show_problem(parked.value)
    place = f"{quote(parked.conn_id, safe='')}/{parked.ticket}"
    return RedirectResponse(f"{page_url(CONSENT_PAGE)}#{place}", 303)


def _show_problem(problem: Problem) -> Response:
    """A redirect: code and state leave the address bar whatever happened."""
    return RedirectResponse(page_url(f"/consent/{problem}"), 303)
