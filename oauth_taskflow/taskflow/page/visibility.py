"""Which connections a user may see or change, asked of Airflow's auth manager for many at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Literal

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails
from airflow.providers.common.compat.sdk import conf

Method = Literal["GET", "PUT", "POST", "DELETE"]


def find_visible(
    user: BaseUser, teams: Mapping[str, str | None], method: Method = "GET"
) -> set[str]:
    """Those of the connections that ``user`` may read, or do ``method`` to; ``teams`` maps each id to its team or None."""
    by_team: defaultdict[str | None, set[str]] = defaultdict(set)
    for conn_id, team in teams.items():
        by_team[team].add(conn_id)
    manager = get_auth_manager()
    return {
        conn_id
        for team, ids in by_team.items()
        for conn_id in manager.filter_authorized_connections(
            conn_ids=ids, user=user, method=method, team_name=team
        )
    }


def has_teams() -> bool:
    """Whether connections and DAGs may belong to teams (``[core] multi_team``)."""
    found: bool = conf.getboolean("core", "multi_team", fallback=False)
    return found


def find_visible_dags(user: BaseUser, dag_ids: set[str]) -> set[str]:
    """Those of the DAGs that ``user`` may read."""
    manager = get_auth_manager()
    if has_teams():
        return dag_ids & manager.get_authorized_dag_ids(user=user)
    return set(manager.filter_authorized_dag_ids(dag_ids=dag_ids, user=user)) if dag_ids else set()


def list_addable_teams(user: BaseUser) -> list[str | None]:
    """The teams for which ``user`` may add a connection; None stands for a connection without one."""
    manager = get_auth_manager()
    teams: list[str | None] = [None]
    if has_teams():
        teams += sorted(manager.get_authorized_teams(user=user))
    return [
        team
        for team in teams
        if manager.is_authorized_connection(
            method="POST", details=ConnectionDetails(team_name=team), user=user
        )
    ]
