"""Tasks that are no spec's: after a token failure their link leads to the page that connects again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import dag, task

from oauth_taskflow import OAuth2HttpOperator, OAuth2HttpSensor, OAuthSession, oauth_task
from oauth_taskflow.errors import ApiError, InvalidGrant
from oauth_taskflow.taskflow.http.events import error_event
from oauth_taskflow.taskflow.notices.reconnect_link import KeepReconnect, find_reconnect
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import RunDag, SetConnection

pytestmark = pytest.mark.airflow
KEY = "oauth_taskflow_reconnect"
TASKS = ("read", "read_async", "read_two", "sense", "call", "mapped")


@dag(dag_id="unlike_specs", schedule=None, default_args={"retries": 0})
def build() -> None:
    """One task of each kind, next to each other; a path that the API lacks would be *not yet* for the sensor."""

    @oauth_task(conn_id="crm")
    def read(session: OAuthSession) -> None:
        session.get("/countries").raise_for_status()

    @task.oauth(conn_id="crm")
    async def read_async(session: Any) -> None:
        (await session.get("/countries")).raise_for_status()

    @oauth_task(conn_id={"left": "crm", "right": "other"})
    def read_two(left: OAuthSession, right: OAuthSession) -> None:
        left.get("/countries").raise_for_status()

    @oauth_task(conn_id="{{ task.op_kwargs['tenant'] }}")
    def mapped(tenant: str, session: OAuthSession) -> None:
        session.get("/countries").raise_for_status()

    read()
    read_async()  # type: ignore[call-arg, misc]  # the type of task.oauth asks for the session
    read_two()
    mapped.expand(tenant=["crm"])
    OAuth2HttpSensor(task_id="sense", http_conn_id="crm", endpoint="/countries")
    OAuth2HttpOperator(task_id="call", http_conn_id="crm", endpoint="/countries", method="GET")


def links_of(run: Any) -> dict[str, str | None]:
    return {one: run.result(one, KEY, 0 if one == "mapped" else -1) for one in TASKS}


@pytest.mark.slow
def test_each_kind_of_task_keeps_the_way_to_the_page_after_a_refused_grant(
    oauth_server: OAuthTestServer, set_connection: SetConnection, run_dag: RunDag
) -> None:
    for conn_id in ("crm", "other"):
        set_connection(conn_id, oauth_server.connection(refresh_token="unknown-refresh-token"))
    page = "/plugin/oauth"
    one = f"{page}/connect/crm"
    assert links_of(run_dag(build())) == {**dict.fromkeys(TASKS, one), "read_two": page}


@pytest.mark.slow
# Airflow's HttpOperator warns of itself once it has an answer.
@pytest.mark.filterwarnings("ignore::airflow.utils.deprecation_tools.DeprecatedImportWarning")
def test_a_task_that_got_its_token_keeps_no_link(
    oauth_server: OAuthTestServer, set_connection: SetConnection, run_dag: RunDag
) -> None:
    for conn_id in ("crm", "other"):
        seed = oauth_server.issue_refresh_token()
        set_connection(conn_id, oauth_server.connection(refresh_token=seed))
    oauth_server.fault("/countries", status=418)
    run = run_dag(build())
    assert links_of(run) == dict.fromkeys(TASKS)
    states = {one: run.task_state(one, 0 if one == "mapped" else -1) for one in TASKS}
    assert sorted(states.values()) == ["failed", *["success"] * 5], states


def test_another_failure_and_success_keep_no_link(airflow_home: Any) -> None:
    operator = OAuth2HttpOperator(task_id="a", http_conn_id="crm", endpoint="/x")
    with pytest.raises(ApiError), KeepReconnect(operator, ["crm"]):
        raise ApiError("no")
    assert list(operator.operator_extra_links) == []
    with KeepReconnect(operator, ["crm"]):
        pass
    assert list(operator.operator_extra_links) == []


@pytest.mark.parametrize("kind", [OAuth2HttpOperator, OAuth2HttpSensor])
def test_a_failure_in_the_triggerer_leads_to_the_page_too(airflow_home: Any, kind: Any) -> None:
    operator = kind(task_id="a", http_conn_id="crm", endpoint="x", deferrable=True)
    event = error_event(InvalidGrant(error="invalid_grant", status=400, where=""))
    with pytest.raises(InvalidGrant):
        operator.execute_complete({"ti": SimpleNamespace()}, event)
    (link,) = operator.operator_extra_links
    assert link.get_link(operator, ti_key=None) == "/plugin/oauth/connect/crm"


def test_the_serialised_dag_declares_the_link_and_loads(airflow_home: Any) -> None:
    from airflow.serialization.serialized_objects import DagSerialization  # noqa: PLC0415 - needs its home first

    loaded = DagSerialization.from_dict(DagSerialization.to_dict(build()))
    assert {one: set(loaded.get_task(one).extra_links) for one in TASKS} == {
        one: {"Reconnect"} for one in TASKS
    }


def test_a_task_that_could_not_begin_has_an_empty_link(airflow_home: Any) -> None:
    operator = OAuth2HttpOperator(task_id="a", http_conn_id="crm", endpoint="x")
    (link,) = operator.operator_extra_links
    assert link.get_link(operator, ti_key=None) == ""


def test_the_same_connection_twice_is_one(airflow_home: Any) -> None:
    error = InvalidGrant(error="invalid_grant", status=400, where="")
    assert find_reconnect(error, ["crm", "crm"]) == {"Reconnect": "/plugin/oauth/connect/crm"}
