"""New and Edit without scripts: pages and posts of HTML forms, for the same drafts as the form of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from msgspec import Struct
from pydantic import Field

from oauth_taskflow.connections.drafts.draft import FieldProblem, WrongDraft
from oauth_taskflow.connections.drafts.lines import write_decorator_lines, write_spec_lines
from oauth_taskflow.connections.drafts.preset_form import (
    PresetForm,
    describe_preset,
    list_choices,
)
from oauth_taskflow.connections.drafts.stored import StoredForm, describe_stored
from oauth_taskflow.connections.drafts.ways import Way
from oauth_taskflow.connections.summary import summarize
from oauth_taskflow.taskflow.config import presets_folder
from oauth_taskflow.taskflow.page.access import (
    GetUserDep,
    may_add_by_form,
    may_change_by_form,
    may_read_connections,
)
from oauth_taskflow.taskflow.page.connection_store import find_shadows, read_connection
from oauth_taskflow.taskflow.page.form_posts import (
    TOKEN,
    FormFields,
    is_of_form,
    make_form_token,
    read_group,
)
from oauth_taskflow.taskflow.page.places import page_url
from oauth_taskflow.taskflow.page.plain_fields import (
    DROP,
    NOTHING_STORED,
    VALUE,
    list_entries,
    read_typed,
)
from oauth_taskflow.taskflow.page.preset_routes import (
    EditedConnection,
    NewConnection,
    add,
    edit,
)
from oauth_taskflow.taskflow.page.rendering import render_page
from oauth_taskflow.taskflow.page.return_address import find_redirect_uri, find_weaknesses
from oauth_taskflow.taskflow.page.visibility import list_addable_teams

router = APIRouter()
# The path's name of a provider without a preset.
OTHER = "-"
_ADDS, _CHANGES = [Depends(may_add_by_form)], [Depends(may_change_by_form)]
_EDIT = "/edit/{connection_id:path}"
_OLD = FieldProblem(
    "", "This form is not valid any more, so nothing was saved", "Fill it in again."
)
Name = Annotated[str, Field(max_length=100)]


class _Sheet(Struct, kw_only=True):
    """One form as it is shown: its user and connection, the typed fields, and their problems."""

    user: BaseUser
    request: Request
    path: str
    provider: str
    way: str = ""
    stored: StoredForm = NOTHING_STORED
    revision: str = ""
    teams: list[str | None] = []
    fields: Mapping[str, str] | None = None
    problems: tuple[FieldProblem, ...] = ()


@router.get("/new", dependencies=_ADDS)
def show_choices(q: Name = "") -> Response:
    """The providers to choose from, those whose names hold all words of ``q``."""
    words = q.lower().split()
    found = [
        choice
        for choice in list_choices(presets_folder())
        if not choice.name or all(word in f"{choice.title} {choice.name}".lower() for word in words)
    ]
    return render_page("choices.html", choices=found, q=q, other=OTHER)


@router.get("/new/{provider}", dependencies=_ADDS)
def show_new(provider: Name, request: Request, user: GetUserDep, way: Name = "") -> Response:
    """The form of a new connection."""
    return _show(_start_new(provider, request, user, way))


@router.post("/new/{provider}", dependencies=_ADDS)
def save_new(provider: Name, request: Request, user: GetUserDep, fields: FormFields) -> Response:
    """Stores a new connection; a form with problems is shown again without the secrets."""
    sheet = _start_new(provider, request, user, fields.get("way", "")[:100])
    team = fields.get("team_name") or None
    if team not in sheet.teams:
        raise HTTPException(403, "Forbidden")
    typed = read_typed(read_group(fields, VALUE), {}, NOTHING_STORED)
    body = NewConnection(
        conn_id=fields.get("conn_id", "").strip()[:250],
        provider=sheet.provider,
        way=sheet.way,
        description=fields.get("description", ""),
        values=typed.values,
        team_name=team,
    )
    return _save(sheet, fields, body.conn_id, lambda: add(body, user))


@router.get(_EDIT, dependencies=_CHANGES)
def show_edit(connection_id: str, request: Request, user: GetUserDep, way: Name = "") -> Response:
    """The form of a stored connection, without its secrets."""
    return _show(_start_edit(connection_id, request, user, way))


@router.post(_EDIT, dependencies=_CHANGES)
def save_edit(
    connection_id: str, request: Request, user: GetUserDep, fields: FormFields
) -> Response:
    """Replaces a stored connection, if it is still the one that the form showed."""
    sheet = _start_edit(connection_id, request, user, fields.get("way", "")[:100])
    typed = read_typed(read_group(fields, VALUE), read_group(fields, DROP), sheet.stored)
    body = EditedConnection(
        revision=fields.get("revision", "")[:100],
        provider=sheet.provider,
        way=sheet.way,
        description=fields.get("description", ""),
        values=typed.values,
        unchanged=typed.unchanged[:200],
        forget_grants="forget_grants" in fields,
    )
    return _save(sheet, fields, connection_id, lambda: edit(connection_id, body, user))


@router.get("/saved/{connection_id:path}", dependencies=[Depends(may_read_connections)])
def show_saved(connection_id: str) -> Response:
    """Shows the next steps after a save: Connect, and lines to paste."""
    stored, _, _ = read_connection(connection_id)
    summary = summarize(stored.conn_type, stored.extra, presets_folder())
    return render_page(
        "saved.html",
        conn_id=connection_id,
        asks_person=summary is not None and summary.asks_person,
        warnings=find_shadows(connection_id),
        decorator=write_decorator_lines(connection_id),
        spec=write_spec_lines(connection_id),
    )


def _start_new(provider: str, request: Request, user: BaseUser, way: str) -> _Sheet:
    return _Sheet(
        user=user,
        request=request,
        path=page_url(f"/new/{quote(provider, safe='')}"),
        provider="" if provider == OTHER else provider,
        way=way,
        teams=list_addable_teams(user),
    )


def _start_edit(conn_id: str, request: Request, user: BaseUser, way: str) -> _Sheet:
    connection, revision, _ = read_connection(conn_id)
    stored = describe_stored(connection, presets_folder())
    return _Sheet(
        user=user,
        request=request,
        path=page_url(f"/edit/{quote(conn_id, safe='')}"),
        provider=stored.provider,
        way=way or stored.way,
        stored=stored,
        revision=revision,
    )


def _save(sheet: _Sheet, fields: Mapping[str, str], conn_id: str, work: Any) -> Response:
    if not is_of_form(fields.get(TOKEN, ""), sheet.user, sheet.path):
        sheet.problems = (_OLD,)  # what came is not shown: it may come from elsewhere
        return _show(sheet, 403)
    try:
        work()
    except WrongDraft as wrong:
        sheet.problems = tuple(wrong.problems)
        sheet.fields = fields
        sheet.revision = fields.get("revision", "")
        return _show(sheet, wrong.status)
    return RedirectResponse(page_url(f"/saved/{quote(conn_id, safe='')}"), 303)


def _show(sheet: _Sheet, status: int = 200) -> Response:
    form = describe_preset(sheet.provider, presets_folder())
    way = _choose(form, sheet.way)
    fields = sheet.fields
    typed = None if fields is None else read_group(fields, VALUE)
    entries, more = list_entries(way, sheet.stored, typed, sheet.problems)
    shown = {entry.key.name for entry in (*entries, *more)}
    redirect_uri = find_redirect_uri("", sheet.request)
    return render_page(
        "form.html",
        status=status,
        sheet=sheet,
        form=form,
        way=way,
        entries=entries,
        more=more,
        more_is_open=any(entry.text or entry.is_kept or entry.problems for entry in more),
        problems=[one for one in sheet.problems if one.field not in shown],
        asks_to_forget=any(one.field == "forget_grants" for one in sheet.problems),
        typed=fields or {"description": sheet.stored.description},
        token=make_form_token(sheet.user, sheet.path),
        redirect_uri=redirect_uri,
        redirect_warnings=find_weaknesses(redirect_uri),
    )


def _choose(form: PresetForm, name: str) -> Way:
    return next((way for way in form.ways if way.name == name), form.ways[0])
