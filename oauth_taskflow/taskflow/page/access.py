"""Decides which users may call a route, and from where. Every route but static files and the parking callback has one of these dependencies.

Airflow's auth manager decides, by its own permissions on connections and DAGs. Airflow has no CSRF token: its cookie is
``SameSite=Lax`` and no more, so that requests which change something must come from this origin and hold JSON.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails
from airflow.api_fastapi.core_api.security import (
    GetUserDep,
    get_user,
    requires_access_connection,
    requires_access_dag,
)
from airflow.models.connection import Connection
from fastapi import HTTPException, Request

from oauth_taskflow.taskflow.page.places import base_url
from oauth_taskflow.taskflow.page.return_address import CALLBACK
from oauth_taskflow.taskflow.page.visibility import has_teams, list_addable_teams

__all__ = [
    "PERMISSIONS",
    "GetUserDep",
    "is_logged_in",
    "may_add_by_form",
    "may_add_connections",
    "may_change_by_form",
    "may_change_connection",
    "may_delete_connection",
    "may_read_connections",
    "may_read_dag",
    "refuse_foreign_forms",
    "refuse_foreign_writes",
    "take_turn",
]

# The path parameter ``connection_id`` names the connection; without it, the question is about connections in general.
may_read_connections = requires_access_connection("GET")
may_change_connection = requires_access_connection("PUT")
may_add_connections = requires_access_connection("POST")
may_delete_connection = requires_access_connection("DELETE")
# The path parameter ``dag_id`` names the DAG.
may_read_dag = requires_access_dag("GET")
is_logged_in = get_user


# In a deployment with teams, Airflow's own dependencies read the team from a JSON body, and refuse the posts of forms.
def may_add_by_form(user: GetUserDep) -> None:
    """Lets users pass who may add connections for some team, or without one; a handler checks which.

    Raises:
        HTTPException: 403.
    """
    if not list_addable_teams(user):
        raise HTTPException(403, "Forbidden")


def may_change_by_form(connection_id: str, user: GetUserDep) -> None:
    """Lets users pass who may change the connection, as one of its team where there are teams.

    Raises:
        HTTPException: 403.
    """
    team = Connection.get_team_name(connection_id) if has_teams() else None
    details = ConnectionDetails(conn_id=connection_id, team_name=team)
    if not get_auth_manager().is_authorized_connection(method="PUT", details=details, user=user):
        raise HTTPException(403, "Forbidden")


# The dependencies that count as a permission of a route; a test looks for one of them on each.
PERMISSIONS: tuple[Any, ...] = (
    may_read_connections,
    may_change_connection,
    may_add_connections,
    may_delete_connection,
    may_read_dag,
    is_logged_in,
    may_add_by_form,
    may_change_by_form,
)
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
# Actions wait for servers of others, and everything for a token store that is away. Airflow's own routes run in the same
# threads (40 by default) and must go on meanwhile. Callbacks without a user must not keep users waiting either.
COUNTS = {"action": 16, "reading": 8, "parking": 4}
_PATIENCE = 30.0
TURNS = {kind: asyncio.Semaphore(count) for kind, count in COUNTS.items()}


def _make_gate(kind: str, *, for_programs: bool) -> Callable[[Request], None]:
    """A dependency that lets requests which change something pass only from a page of this origin, with a body of ``kind``.

    ``Sec-Fetch-Site`` decides, and without it ``Origin``: its host must be that of the request or of ``[api] base_url``
    (Fetch Metadata, https://www.w3.org/TR/fetch-metadata/). A program sends neither; if it may pass, it needs a bearer
    token, which no browser sends by itself.
    """

    def refuse_foreign(request: Request) -> None:
        """Raises ``HTTPException``: 403 for another origin, 415 for another kind of body."""
        if request.method in _READING:
            return
        if not (_is_same_origin(request) or (for_programs and _is_program(request))):
            raise HTTPException(403, "This request does not come from Airflow's own page.")
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != kind:
            raise HTTPException(415, f"Send the body as {kind}.")

    return refuse_foreign


refuse_foreign_writes = _make_gate("application/json", for_programs=True)
# Programs have the routes with JSON.
refuse_foreign_forms = _make_gate("application/x-www-form-urlencoded", for_programs=False)


async def take_turn(request: Request) -> AsyncIterator[None]:
    """Lets few requests of a kind run at once; one more waits for its turn. The body was received before.

    Raises:
        HTTPException: 503, there was no turn for 30 seconds.
    """
    kind = "reading" if request.method in _READING else "action"
    if request.url.path.rstrip("/").endswith(CALLBACK):
        kind = "parking"
    turns = TURNS[kind]
    try:
        await asyncio.wait_for(turns.acquire(), _PATIENCE)
    except asyncio.TimeoutError:
        what = "Too many requests wait for an authorization server, API or token store that does not answer"
        raise HTTPException(503, what, {"Retry-After": "60"}) from None
    try:
        yield
    finally:
        turns.release()


def _is_same_origin(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    # A proxy in front may end TLS: the scheme that this process sees is not the browser's.
    return origin is not None and urlsplit(origin).netloc in {
        request.headers.get("host"),
        urlsplit(base_url()).netloc,
    } - {None, ""}


def _is_program(request: Request) -> bool:
    if {"sec-fetch-site", "origin"} & set(request.headers):
        return False
    # An empty token does not count: Airflow then reads the cookie.
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return kind.lower() == "bearer" and bool(token.strip())
