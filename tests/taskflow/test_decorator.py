"""``@oauth_task`` in real Airflow runs; several tasks share a run, because each run costs seconds."""

from __future__ import annotations

import functools
import gc
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import pytest
import tenacity
from airflow.sdk import DAG, Asset, Metadata, setup, task, task_group, teardown
from airflow.sdk.exceptions import AirflowTaskTimeout
from airflow.serialization.serialized_objects import DagSerialization

from oauth_taskflow import AsyncOAuthSession, OAuthSession, oauth_task
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import RunDag, SetConnection

pytestmark = pytest.mark.airflow
ASSET = Asset("oauth-taskflow-rows")


@oauth_task(conn_id="crm")
def icao_of(session: OAuthSession, code: str, upper: bool = False) -> str:
    icao = str(session.get(f"/airports/{code}").json()["icao"])
    return icao.upper() if upper else icao.lower()


@oauth_task(conn_id="crm", multiple_outputs=True)
def two_outputs(session: OAuthSession) -> dict[str, int]:
    return {"status": session.get("/countries").status_code, "other": 2}


@oauth_task(conn_id="crm")
def context_keys(*, session: OAuthSession, ti: Any = None, **context: Any) -> list[str]:
    return [ti.task_id, context["dag"].dag_id, str("session" in context)]


@oauth_task(conn_id={"left": "crm", "right": "{{ params.cid }}"})
def two_connections(extra: int, left: OAuthSession, right: OAuthSession) -> list[Any]:
    return [left.get("/countries").status_code, right.get("/countries").status_code, extra]


@oauth_task(conn_id={"left": "crm", "right": "keyed"})
def sessions_first(left: OAuthSession, right: OAuthSession, extra: int) -> str:
    return f"{left.conn_id} {right.conn_id} {extra}"


@oauth_task(conn_id="{{ params.cid }}", session_arg="api")
def templated(x: int, api: OAuthSession) -> str:
    return f"{api.conn_id} {x}"


@oauth_task(conn_id="{{ task.op_kwargs['tenant'] }}")
def by_tenant(session: OAuthSession, tenant: str) -> str:
    return session.conn_id


@oauth_task(outlets=[ASSET])
def from_default_args(session: OAuthSession) -> Iterator[Metadata]:
    yield Metadata(ASSET, {"conn": session.conn_id})


@task.oauth(conn_id="crm")
def by_registry(session: OAuthSession) -> int:
    return session.get("/countries").status_code


@pytest.fixture
def connections(oauth_server: OAuthTestServer, set_connection: SetConnection) -> OAuthTestServer:
    set_connection("crm", oauth_server.connection())
    static = {
        "auth_type": "api_key",
        "password": "static-api-key",
        "token_url": None,
        "scope": None,
    }
    keyed = oauth_server.connection(host=f"{oauth_server.base_url}/with/api_key", **static)
    set_connection("keyed", keyed)
    return oauth_server


@task_group
def group() -> None:
    icao_of.override(task_id="inner")("EDDF", upper=True)


def test_calls_outputs_context_connections_templates_groups_and_mapping_work_as_with_task(
    run_dag: RunDag, connections: OAuthTestServer
) -> None:
    order: list[str] = []

    @setup
    @oauth_task(conn_id="crm")
    def begin(session: OAuthSession) -> None:
        order.append(f"begin {session.conn_id}")

    @teardown
    @oauth_task(conn_id="keyed")
    def end(session: OAuthSession) -> None:
        order.append(f"end {session.conn_id}")

    with DAG(
        "every_way", schedule=None, params={"cid": "keyed"}, default_args={"conn_id": "keyed"}
    ) as dag:
        first = icao_of("EDDF", upper=True)
        icao_of.override(task_id="positional")("EDDF", True)
        icao_of.override(task_id="other_connection", conn_id="keyed")(code="EDDF")
        icao_of.override(task_id="mapped").partial(upper=True).expand(code=["EDDF", "EDDM"])
        by_tenant.expand(tenant=["crm", "keyed"])
        by_tenant.override(task_id="by_tenant_kwargs").expand_kwargs([{"tenant": "keyed"}])
        two_outputs()
        context_keys()
        two_connections(3)
        sessions_first(extra=4)
        templated(5)
        from_default_args()
        by_registry()  # type: ignore[call-arg,misc]  # type checkers do not know @task.oauth; @oauth_task is the typed form
        group()
        work = icao_of.override(task_id="work")(first)  # type: ignore[arg-type]  # as with Airflow's @task
        begin() >> work >> end()

    run = run_dag(dag)

    assert run.state == "success"
    assert run.result("icao_of") == "EDDF"
    assert run.result("positional") == "EDDF"
    assert run.result("other_connection") == "eddf"
    assert run.result("mapped", map_index=1) == "EDDM"
    assert [run.result("by_tenant", map_index=i) for i in (0, 1)] == ["crm", "keyed"]
    assert run.result("by_tenant_kwargs", map_index=0) == "keyed"
    assert run.result("two_outputs", key="status") == 200
    assert run.result("context_keys") == ["context_keys", "every_way", "False"]
    assert run.result("two_connections") == [200, 200, 3]
    assert run.result("sessions_first") == "crm keyed 4"
    assert run.result("templated") == "keyed 5"
    assert run.result("by_registry") == 200
    assert run.result("group.inner") == "EDDF"
    assert order == ["begin crm", "end keyed"]
    assert connections.counters.token_requests == 1


Kept = TypeVar("Kept", bound=Callable[..., Any])


def wrapped(function: Kept) -> Kept:
    """A custom decorator, as many projects have one."""

    @functools.wraps(function)
    def around(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return around  # type: ignore[return-value]  # as decorators go


def test_other_decorators_work_below_and_above(
    run_dag: RunDag, connections: OAuthTestServer
) -> None:
    @oauth_task(conn_id="crm")
    @tenacity.retry(stop=tenacity.stop_after_attempt(2))
    @wrapped
    def plain(session: OAuthSession, x: int) -> int:
        return session.get("/countries").status_code + x

    @oauth_task(conn_id="crm")
    @wrapped
    async def on_a_loop(session: AsyncOAuthSession, x: int) -> int:
        return (await session.get("/countries")).status_code + x

    @task.skip_if(lambda _: True)
    @oauth_task(conn_id="crm")
    def skipped(session: OAuthSession) -> None:
        raise AssertionError(session)

    with DAG("stacked", schedule=None) as dag:
        plain(1)
        on_a_loop(2)
        skipped()
    run = run_dag(dag)

    assert (run.result("plain"), run.result("on_a_loop")) == (201, 202)
    assert run.task_state("skipped") == "skipped"


def test_a_time_out_leaves_no_session_for_callbacks_and_trigger_rules_work_as_with_task(
    run_dag: RunDag, connections: OAuthTestServer, set_connection: SetConnection
) -> None:
    seen: list[Any] = []

    @oauth_task(conn_id="deaf", execution_timeout=timedelta(seconds=1))
    def waits(session: OAuthSession) -> None:
        session.get("/")

    @oauth_task(conn_id="deaf", execution_timeout=timedelta(seconds=1))
    async def waits_on_a_loop(session: AsyncOAuthSession) -> None:
        await session.get("/")

    @oauth_task(conn_id="crm", trigger_rule="all_failed")
    def afterwards(session: OAuthSession) -> str:
        return session.conn_id

    def tell(context: Any) -> None:
        seen.append((context["ti"].task_id, type(context["exception"]), "session" in context))

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        set_connection("deaf", {"conn_type": "oauth2", "host": url, "extra": {"auth_type": "none"}})
        with DAG("deaf", schedule=None, default_args={"on_failure_callback": tell}) as dag:
            [waits(), waits_on_a_loop()] >> afterwards()
        run = run_dag(dag)

    gc.collect()  # asyncio logs what Airflow left of the torn loop, which must not happen within another test
    assert run.result("afterwards") == "crm"
    assert sorted(seen) == [
        ("waits", AirflowTaskTimeout, False),
        ("waits_on_a_loop", AirflowTaskTimeout, False),
    ]


def test_type_checkers_know_the_arguments_that_are_left() -> None:
    with DAG("typed", schedule=None):
        icao_of("EDDF", upper=True)
        with pytest.raises(TypeError, match="missing a required argument"):
            icao_of()  # type: ignore[call-arg, misc]  # this is what a checker must say
        with pytest.raises(TypeError, match="unexpected keyword argument 'session'"):
            icao_of("EDDF", session=1)  # type: ignore[call-arg]  # as above
        icao_of.override(task_id="wrong")(5)  # type: ignore[arg-type]  # as above


def test_nothing_of_the_session_is_in_the_serialised_dag() -> None:
    with DAG("serialised", schedule=None) as dag:
        icao_of("EDDF")
        icao_of.override(task_id="mapped").expand(code=["EDDF"])
    text = str(DagSerialization.serialize_dag(dag))
    assert "EDDF" in text
    assert "OAuthSession" not in text
    copied = dag.partial_subset("icao_of")
    assert copied.task_ids == ["icao_of"]
