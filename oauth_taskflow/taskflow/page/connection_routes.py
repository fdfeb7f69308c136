"""The connections of this package with their grants, and what can be done to them.

An id may hold a slash, as Airflow's own ids may: the path ends with the action.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends, Header
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from oauth_taskflow.taskflow.grants.action_effects import describe_effects
from oauth_taskflow.taskflow.grants.actions import (
    forget_grants,
    refresh_now,
    revoke_grant,
    try_stored_connection,
)
from oauth_taskflow.taskflow.page.access import (
    GetUserDep,
    may_change_connection,
    may_read_connections,
)
from oauth_taskflow.taskflow.page.audit import audited
from oauth_taskflow.taskflow.page.rendering import answer_json
from oauth_taskflow.taskflow.page.shared_list import encode_listing

router = APIRouter(prefix="/api")
_CHANGES = [Depends(may_change_connection)]


class NoOptions(BaseModel):
    """The body of an action without options: ``{}``."""

    model_config = ConfigDict(extra="forbid")


class Forgotten(NoOptions):
    """Which grant to forget, by its key; without it, all of the connection."""

    grant: str | None = None


class Outcome(BaseModel):
    """How an action ended: ``ok`` is false only for a test that ran and failed."""

    ok: bool = True
    message: str


@router.get("/connections", dependencies=[Depends(may_read_connections)])
def list_connections(
    user: GetUserDep,
    if_none_match: str = Header(default=""),
    cache_control: str = Header(default=""),
) -> Response:
    """Every connection that the user may see, with its grants. No token endpoint is asked.

    The ETag is that of the content: a page that asks every few seconds gets 304 while nothing changes. The answer may be two
    seconds old, unless ``Cache-Control: no-cache`` asks for this moment's (RFC 9111 §5.2.1.4).
    """
    listing = encode_listing(user, anew="no-cache" in cache_control.lower())
    headers = {"ETag": listing.tag}
    # A proxy that compresses marks the tag as weak.
    if listing.tag in {each.strip().removeprefix("W/") for each in if_none_match.split(",")}:
        return Response(status_code=304, headers=headers)
    return Response(listing.body, media_type="application/json", headers=headers)


@router.get("/connections/{connection_id:path}/effects", dependencies=_CHANGES)
def show_effects(connection_id: str) -> Response:
    """A sentence for each action about what it would send and to which host."""
    return answer_json(describe_effects(connection_id))


@router.post("/connections/{connection_id:path}/refresh", dependencies=_CHANGES)
def refresh(connection_id: str, body: NoOptions, user: GetUserDep) -> Outcome:  # noqa: ARG001 - refuses other keys
    """Fetch the next token now."""
    with audited(user, "refresh", connection_id):
        refresh_now(connection_id)
    return Outcome(message=f"Connection {connection_id!r} has a new token.")


@router.post("/connections/{connection_id:path}/test", dependencies=_CHANGES)
def test(connection_id: str, body: NoOptions, user: GetUserDep) -> Outcome:  # noqa: ARG001 - as above
    """Try the stored connection."""
    with audited(user, "test", connection_id) as note:
        works, message = try_stored_connection(connection_id)
        note.outcome = "works" if works else f"failed: {message}"
    return Outcome(ok=works, message=message)


@router.post("/connections/{connection_id:path}/revoke", dependencies=_CHANGES)
def revoke(connection_id: str, body: NoOptions, user: GetUserDep) -> Outcome:  # noqa: ARG001 - as above
    """End the grant at the authorization server and here."""
    with audited(user, "revoke", connection_id):
        revoke_grant(connection_id)
    return Outcome(message=f"The grant of connection {connection_id!r} is revoked.")


@router.post("/connections/{connection_id:path}/forget", dependencies=_CHANGES)
def forget(connection_id: str, body: Forgotten, user: GetUserDep) -> Outcome:
    """Delete stored tokens here only."""
    facts = {"grant": body.grant[:12]} if body.grant else {}
    with audited(user, "forget", connection_id, **facts) as note:
        count = forget_grants(connection_id, body.grant)
        note.outcome = f"forgot {count}"
    noun = "grant" if count == 1 else "grants"
    return Outcome(message=f"{count} stored {noun} of connection {connection_id!r} forgotten.")
