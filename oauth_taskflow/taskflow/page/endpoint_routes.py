"""The tab on DAG and task: endpoints with the figures of their last run, their YAML, and what changed in it.

Everything comes from Airflow's database; nothing is opened in object stores or tables.
"""

from __future__ import annotations

from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.serialized_dag import SerializedDagModel
from airflow.utils.session import create_session
from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.responses import Response
from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.orm import Session

from oauth_taskflow.taskflow.page.access import GetUserDep, may_read_dag
from oauth_taskflow.taskflow.page.endpoint_figures import RunFigures, read_figures
from oauth_taskflow.taskflow.page.endpoint_tasks import (
    EndpointTask,
    diff_specs,
    find_by_task,
    find_endpoints,
)
from oauth_taskflow.taskflow.page.rendering import answer_json

router = APIRouter(prefix="/api/dags/{dag_id}")
_MOST_VERSIONS = 50
# A text that every database takes.
_ID = r"^[^\x00]*$"
# Whole numbers of the database.
_MOST_INDEX = 2**31 - 1


class EndpointView(Struct, frozen=True):
    """An endpoint as the tab shows it; ``run`` and ``spec`` are None for users who may not read them.

    ``spec`` is None in a list of all endpoints too, which would be long.
    """

    name: str
    task_id: str
    is_mapped: bool
    description: str
    spec: str | None
    run: RunFigures | None


class Version(Struct, frozen=True):
    """A version of a DAG; ``created`` is ISO 8601."""

    number: int
    created: str


@router.get("/endpoints", dependencies=[Depends(may_read_dag)])
def list_endpoints(
    dag_id: str,
    user: GetUserDep,
    task_id: str | None = None,
    run_id: Annotated[str | None, Query(pattern=_ID)] = None,
    map_index: Annotated[int, Query(ge=-1, le=_MOST_INDEX)] = -1,
) -> Response:
    """The endpoints of a DAG with the figures of their last run, or of one run or instance; of a task its own, with its YAML."""
    with create_session() as session:
        permitted = _Permitted(user, dag_id, session)
        endpoints = find_endpoints(_read_serialized(session, dag_id))
        if task_id is not None:
            one = find_by_task(endpoints, task_id)
            endpoints = [] if one is None else [one]
        latest, figures = run_id, dict[str, RunFigures]()
        if endpoints and permitted.may_read(DagAccessEntity.XCOM, DagAccessEntity.RUN):
            latest, figures = read_figures(
                session, dag_id, endpoints, run_id=run_id, map_index=map_index
            )
        shows_spec = task_id is not None and permitted.may_read(DagAccessEntity.TASK)
    views = [_view(one, figures.get(one.task_id), shows_spec=shows_spec) for one in endpoints]
    return answer_json({"dag_id": dag_id, "run_id": latest, "endpoints": views})


@router.get("/endpoints/{task_id}/changes", dependencies=[Depends(may_read_dag)])
def compare_versions(
    dag_id: str,
    task_id: str,
    user: GetUserDep,
    since: Annotated[int | None, Query(ge=1, le=_MOST_INDEX)] = None,
) -> Response:
    """The lines of an endpoint's YAML that changed between version ``since`` of the DAG, or the one before, and the latest."""
    with create_session() as session:
        permitted = _Permitted(user, dag_id, session)
        if not permitted.may_read(DagAccessEntity.VERSION, DagAccessEntity.TASK):
            raise HTTPException(403, "You may not read the versions of this DAG.")
        query = select(DagVersion.version_number, DagVersion.created_at)
        query = query.where(DagVersion.dag_id == dag_id)
        query = query.order_by(DagVersion.version_number.desc()).limit(_MOST_VERSIONS)
        versions = [
            Version(number, when.isoformat(timespec="seconds"))
            for number, when in session.execute(query)
        ]
        now = find_by_task(find_endpoints(_read_serialized(session, dag_id)), task_id)
        if now is None:
            raise HTTPException(404, "This task is not one of an endpoint.")
        earlier = [one.number for one in versions[1:]]
        chosen = since if since is not None else next(iter(earlier), None)
        if chosen is None:
            return answer_json({"versions": versions, "since": None, "is_new": False, "lines": []})
        before = find_by_task(find_endpoints(_read_serialized(session, dag_id, chosen)), task_id)
    lines = diff_specs("" if before is None else before.spec, now.spec)
    return answer_json(
        {"versions": versions, "since": chosen, "is_new": before is None, "lines": lines}
    )


class _Permitted:
    """The parts of a DAG that a user may read, as Airflow's own routes ask."""

    def __init__(self, user: Any, dag_id: str, session: Session) -> None:
        self._user = user
        team = DagModel.get_team_name(dag_id, session=session)
        self._details = DagDetails(id=dag_id, team_name=team)

    def may_read(self, *entities: DagAccessEntity) -> bool:
        manager = get_auth_manager()
        return all(
            manager.is_authorized_dag(
                method="GET", access_entity=entity, details=self._details, user=self._user
            )
            for entity in entities
        )


def _read_serialized(session: Session, dag_id: str, version: int | None = None) -> dict[str, Any]:
    """What Airflow serialised of a DAG, in its latest version or another one.

    Raises:
        HTTPException: 404 where there is none.
    """
    query = (
        select(SerializedDagModel)
        .join(DagVersion, SerializedDagModel.dag_version_id == DagVersion.id)
        .where(SerializedDagModel.dag_id == dag_id)
    )
    if version is not None:
        query = query.where(DagVersion.version_number == version)
    row = session.scalar(query.order_by(DagVersion.version_number.desc()).limit(1))
    if row is None:
        raise HTTPException(404, "There is no such DAG, or no such version of it.")
    data: dict[str, Any] = row.data or {}
    return data


def _view(one: EndpointTask, run: RunFigures | None, *, shows_spec: bool) -> EndpointView:
    return EndpointView(
        name=one.name,
        task_id=one.task_id,
        is_mapped=one.done_task_id is not None,
        description=one.description,
        spec=one.spec if shows_spec else None,
        run=run,
    )
