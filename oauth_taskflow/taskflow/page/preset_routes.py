"""New connections, provider first, and edits of stored ones. No answer holds a secret, stored or typed."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from oauth_taskflow.connections.drafts.draft import (
    Draft,
    DraftedConnection,
    FieldProblem,
    choose_way,
    write_connection,
)
from oauth_taskflow.connections.drafts.lines import write_decorator_lines, write_spec_lines
from oauth_taskflow.connections.drafts.preset_form import describe_preset, list_choices
from oauth_taskflow.connections.drafts.stored import (
    describe_stored,
    find_changed_addresses,
    rewrite_connection,
)
from oauth_taskflow.taskflow.config import presets_folder
from oauth_taskflow.taskflow.grants.actions import find_grants, forget_grants
from oauth_taskflow.taskflow.page.access import (
    GetUserDep,
    may_add_connections,
    may_change_connection,
    may_read_connections,
)
from oauth_taskflow.taskflow.page.audit import audited
from oauth_taskflow.taskflow.page.connection_store import (
    Conflict,
    add_connection,
    find_shadows,
    read_connection,
    replace_connection,
)
from oauth_taskflow.taskflow.page.rendering import answer_json
from oauth_taskflow.taskflow.page.return_address import find_redirect_uri, find_weaknesses
from oauth_taskflow.taskflow.page.visibility import list_addable_teams

router = APIRouter(prefix="/api")
_CONNECTION = "/connections/{connection_id:path}"
_ASK_FIRST = "{} changed: the grants that are stored for this connection will be forgotten"
_CONFIRM = "Confirm that, and connect again afterwards."


class _Typed(BaseModel):
    """The values that were typed. Airflow's permission looks at ``team_name``."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    provider: Annotated[str, Field(max_length=100)] = ""
    way: Annotated[str, Field(max_length=100)] = ""
    description: str = ""
    values: dict[str, Any] = {}
    team_name: Annotated[str | None, Field(max_length=50)] = None


class NewConnection(_Typed):
    """A connection to store under a new name."""

    conn_id: Annotated[str, Field(max_length=250)]


class EditedConnection(_Typed):
    """A connection to replace, if it is still the one of ``revision``; the keys ``unchanged`` keep their stored values.

    Without ``forget_grants`` an address changes only while no grant is stored: its tokens would go there.
    """

    revision: Annotated[str, Field(max_length=100)]
    unchanged: Annotated[list[str], Field(max_length=200)] = []
    forget_grants: bool = False


@router.get("/presets", dependencies=[Depends(may_read_connections)])
def list_presets(user: GetUserDep) -> Response:
    """The providers to choose from, and whether the user may add a connection: ``teams`` are those to add it for."""
    allowed = list_addable_teams(user)
    body = {"presets": list_choices(presets_folder()), "may_add": bool(allowed), "teams": allowed}
    return answer_json(body)


@router.get("/presets/form", dependencies=[Depends(may_read_connections)])
def show_preset(request: Request, name: Annotated[str, Field(max_length=100)] = "") -> Response:
    """The form of one provider, and the redirect URI to register there."""
    form = describe_preset(name, presets_folder())
    redirect_uri = find_redirect_uri("", request)
    weak = find_weaknesses(redirect_uri)
    return answer_json({"form": form, "redirect_uri": redirect_uri, "redirect_warnings": weak})


@router.post("/connections", status_code=201, dependencies=[Depends(may_add_connections)])
def add(body: NewConnection, user: GetUserDep) -> Response:
    """Stores a new connection in Airflow's metadata database."""
    draft = _read_draft(body.conn_id, body)
    drafted = write_connection(draft, presets_folder())
    with audited(user, "connection_added", drafted.conn_id, provider=draft.provider):
        add_connection(drafted, body.team_name or None)
    return answer_json(_describe_saved(draft), 201)


@router.post(f"{_CONNECTION}/form", dependencies=[Depends(may_change_connection)])
def show_stored(connection_id: str) -> Response:
    """A stored connection without its secrets, for the form."""
    stored, revision, team = read_connection(connection_id)
    form = describe_stored(stored, presets_folder())
    return answer_json({"stored": form, "revision": revision, "team_name": team})


@router.put(_CONNECTION, dependencies=[Depends(may_change_connection)])
def edit(connection_id: str, body: EditedConnection, user: GetUserDep) -> Response:
    """Replaces a stored connection."""
    own = presets_folder()
    draft = _read_draft(connection_id, body)
    preset, _ = choose_way(draft, own)
    changed: list[str] = []

    def rewrite(stored: DraftedConnection) -> DraftedConnection:
        drafted = rewrite_connection(stored, draft, body.unchanged, own)
        changed.extend(find_changed_addresses(stored, drafted, preset))
        if changed:
            _forget_grants(connection_id, changed, confirmed=body.forget_grants)
        return drafted

    facts = {"provider": draft.provider, "changed_addresses": changed}
    with audited(user, "connection_edited", connection_id, **facts):
        replace_connection(connection_id, body.revision, rewrite)
    return answer_json(_describe_saved(draft))


def _forget_grants(conn_id: str, changed: list[str], *, confirmed: bool) -> None:
    """Deletes the stored grants and those that wait to be stored: their tokens would go to the new address.

    Raises:
        Conflict: there are some, and the user has not confirmed it.
    """
    if not find_grants(conn_id):
        return
    if not confirmed:
        what = _ASK_FIRST.format(" and ".join(changed))
        raise Conflict(FieldProblem("forget_grants", what, _CONFIRM))
    forget_grants(conn_id)


def _read_draft(conn_id: str, body: _Typed) -> Draft:
    return Draft(
        conn_id=conn_id,
        provider=body.provider.strip().lower(),
        way=body.way,
        description=body.description,
        values=body.values,
    )


def _describe_saved(draft: Draft) -> dict[str, Any]:
    """The next steps: whether a person must connect, and lines to paste."""
    _, way = choose_way(draft, presets_folder())
    return {
        "conn_id": draft.conn_id,
        "by_person": way.by_person,
        "warnings": find_shadows(draft.conn_id),
        "decorator": write_decorator_lines(draft.conn_id),
        "spec": write_spec_lines(draft.conn_id),
    }
