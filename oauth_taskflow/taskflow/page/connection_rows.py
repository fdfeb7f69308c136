"""Connections and grants as the browser gets them: names, states and instants, and never a token or a secret."""

from __future__ import annotations

from collections.abc import Iterable

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from msgspec import Struct

from oauth_taskflow.taskflow.grants.actions import is_testing_allowed
from oauth_taskflow.taskflow.grants.grant_status import GrantStatus, Problem
from oauth_taskflow.taskflow.grants.health import HEALTH, judge_grant
from oauth_taskflow.taskflow.grants.overview import ConnectionOverview
from oauth_taskflow.taskflow.grants.page_hints import name_button
from oauth_taskflow.taskflow.grants.usage import DagUse
from oauth_taskflow.taskflow.page.visibility import find_visible, find_visible_dags

# Links to that many DAGs, and tasks of each, are enough for one connection; counts say how many there are.
_MOST_DAGS = 20
_MOST_TASKS = 20
# Browsers resolve these in the path of an address, even escaped: https://url.spec.whatwg.org/#double-dot-path-segment
_NO_ADDRESS = frozenset({".", ".."})
_OBSTACLE = (
    "Browsers take this name for a folder in addresses, so nothing can be done to it here. "
    "Give the connection another name, and use airflow oauth for its stored grants."
)


class GrantRow(Struct, frozen=True, kw_only=True):
    """One stored grant. ``grant_key`` is a hash. Instants are seconds since the epoch (UTC), None: unknown, or none."""

    grant_key: str
    health: str
    state: str
    version: int | None
    expires_at: int | None
    refreshed_at: int | None
    failing_since: int | None
    asked_again_at: int | None
    consented_at: int | None
    consented_by: str
    consent_due_at: int | None
    consent_is_due: bool
    problem: Problem | None


class DagRow(Struct, frozen=True):
    """The tasks of one DAG that use a connection; ``more_tasks`` are not named."""

    dag_id: str
    task_ids: tuple[str, ...]
    more_tasks: int


class ConnectionRow(Struct, frozen=True, kw_only=True):
    """One connection with its grants, the latest first; ``actions`` are those that the user may take here.

    ``obstacle`` says why no user may take any, ``hint`` that a connection of the same id in another place is not used.
    """

    conn_id: str
    health: str
    source: str
    provider: str
    title: str
    auth_type: str
    grant_type: str
    asks_person: bool
    actions: tuple[str, ...]
    grants: tuple[GrantRow, ...]
    used_by: tuple[DagRow, ...]
    more_dags: int
    obstacle: str
    hint: str


class HealthRow(Struct, frozen=True):
    """One state for the list's filter and labels."""

    name: str
    label: str
    meaning: str


class Listing(Struct, frozen=True, kw_only=True):
    """The answer to ``GET /api/connections``; ``uses_are_known`` is false while DAGs are still being searched."""

    connections: list[ConnectionRow]
    states: tuple[HealthRow, ...]
    uses_are_known: bool
    may_add: bool


STATES = tuple(
    HealthRow(name, each.label, each.meaning)
    for name, each in sorted(HEALTH.items(), key=lambda item: item[1].rank)
)


class ConnectionReading(Struct, frozen=True):
    """Every connection, without regard to who may see it. ``uses_are_known`` is false while DAGs are still being searched."""

    overview: tuple[ConnectionOverview, ...]
    uses_are_known: bool


class View(Struct, frozen=True, kw_only=True):
    """The rights of one user: ids of connections to see and to change, and ids of DAGs to see."""

    visible: frozenset[str]
    changeable: frozenset[str]
    dags: frozenset[str]
    may_add: bool
    may_test: bool


def find_view(user: BaseUser, reading: ConnectionReading) -> View:
    """Asks Airflow's auth manager what of ``reading`` is for ``user``."""
    teams = {one.conn_id: one.team for one in reading.overview}
    visible = find_visible(user, teams)
    changeable = find_visible(user, {conn_id: teams[conn_id] for conn_id in visible}, "PUT")
    shown = (one for one in reading.overview if one.conn_id in visible)
    dags = find_visible_dags(user, {use.dag_id for one in shown for use in one.used_by})
    return View(
        visible=frozenset(visible),
        changeable=frozenset(changeable),
        dags=frozenset(dags),
        may_add=get_auth_manager().is_authorized_connection(method="POST", user=user),
        may_test=is_testing_allowed(),
    )


def make_listing(reading: ConnectionReading, view: View) -> Listing:
    """Everything of ``reading`` that ``view`` shows, the worst first."""
    rows = [_make_row(one, view) for one in reading.overview if one.conn_id in view.visible]
    return Listing(
        connections=sorted(rows, key=lambda row: (HEALTH[row.health].rank, row.conn_id)),
        states=STATES,
        uses_are_known=reading.uses_are_known,
        may_add=view.may_add,
    )


def _make_row(one: ConnectionOverview, view: View) -> ConnectionRow:
    summary = one.summary
    uses = tuple(use for use in one.used_by if use.dag_id in view.dags)
    may_change = one.conn_id in view.changeable
    has_address = one.conn_id not in _NO_ADDRESS
    return ConnectionRow(
        conn_id=one.conn_id,
        health=one.health,
        source=one.source,
        provider=summary.provider if summary else "",
        title=summary.title if summary else "",
        auth_type=summary.auth_type if summary else "",
        grant_type=summary.grant_type if summary else "",
        asks_person=summary.asks_person if summary else False,
        actions=tuple(_list_actions(one, view)) if may_change and has_address else (),
        grants=tuple(make_grant_row(status, one) for status in one.grants),
        used_by=tuple(_shorten(use) for use in uses[:_MOST_DAGS]),
        more_dags=max(len(uses) - _MOST_DAGS, 0),
        obstacle=_OBSTACLE if may_change and not has_address else "",
        hint=_name_shadowed(one),
    )


def _name_shadowed(one: ConnectionOverview) -> str:
    if not one.shadowed:
        return ""
    places = " and the ".join(one.shadowed)
    return f"Airflow finds this connection in the {one.source} first: the one in the {places} is not used."


def _list_actions(one: ConnectionOverview, view: View) -> Iterable[str]:
    """The actions that are possible on the connection as it is."""
    summary = one.summary
    is_oauth = summary is not None and summary.auth_type == "oauth2"
    if summary is not None and summary.asks_person:
        yield "connect"
    if is_oauth and one.health != "never_connected":
        yield "refresh"
    if summary is not None and view.may_test:
        yield "test"
    if is_oauth and one.grants:
        yield "revoke"
    if one.grants:
        yield "forget"


def make_grant_row(status: GrantStatus, one: ConnectionOverview) -> GrantRow:
    """The row of one grant of ``one``."""
    asks_person = one.summary is None or one.summary.asks_person
    return GrantRow(
        grant_key=status.grant_key,
        health=judge_grant(status, asks_person=asks_person),
        state=status.state,
        version=status.version,
        expires_at=_round(status.expires_at),
        refreshed_at=_round(status.refreshed_at),
        failing_since=_round(status.failing_since),
        asked_again_at=_round(status.asked_again_at),
        consented_at=_round(status.consented_at),
        consented_by=status.consented_by,
        consent_due_at=_round(status.consent_due_at),
        consent_is_due=status.consent_is_due,
        problem=_instruct_readers(status.problem),
    )


def _instruct_readers(problem: Problem | None) -> Problem | None:
    return problem and Problem(problem.what, problem.where, name_button(problem.hint))


def _shorten(use: DagUse) -> DagRow:
    more = max(len(use.task_ids) - _MOST_TASKS, 0)
    return DagRow(use.dag_id, use.task_ids[:_MOST_TASKS], more)


def _round(instant: float | None) -> int | None:
    """Whole seconds: the distance between two clocks, measured again each time, would make every answer a new one."""
    return None if instant is None else round(instant)
