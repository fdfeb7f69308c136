"""``async def`` functions under ``@oauth_task``, in real Airflow runs that share what they can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from airflow.sdk import DAG, task

from oauth_taskflow import AsyncOAuthSession, OAuthSession, oauth_task
from oauth_taskflow.api.options import PageNumberPaginator
from oauth_taskflow.errors import ConnectionConfigError, ResultRefused
from oauth_taskflow.taskflow import async_sessions
from oauth_taskflow.taskflow.sessions import open_async_session
from oauth_taskflow.taskflow.xcom_guard import reject_iterator
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import RunDag, SetConnection

pytestmark = pytest.mark.airflow


@oauth_task(conn_id="crm")
async def icao_of(session: AsyncOAuthSession, code: str) -> str:
    return str((await session.get(f"/airports/{code}")).json()["icao"])


@oauth_task(conn_id="crm")
async def at_once(session: AsyncOAuthSession, count: int) -> list[int]:
    answers = await asyncio.gather(*(session.get("/countries") for _ in range(count)))
    return [answer.status_code for answer in answers]


@oauth_task(conn_id="crm")
async def pages(session: AsyncOAuthSession) -> int:
    rows = session.paginate(
        "/page/airports",
        params={"country": "NO"},
        records="data",
        paginate=PageNumberPaginator(size=25, size_param="per_page"),
    )
    return len({row["icao"] async for row in rows})


@oauth_task(conn_id={"left": "crm", "right": "{{ params.cid }}"}, multiple_outputs=True)
async def two(extra: int, left: AsyncOAuthSession, right: AsyncOAuthSession) -> dict[str, Any]:
    return {"left": left.conn_id, "right": right.conn_id, "extra": extra}


@oauth_task(conn_id="crm")
async def context_keys(session: AsyncOAuthSession, ti: Any = None, **context: Any) -> list[str]:
    return [ti.task_id, str("session" in context)]


@task.oauth(conn_id="crm")
async def by_registry(session: AsyncOAuthSession) -> int:
    return (await session.get("/countries")).status_code


@oauth_task(conn_id="crm")
def sync(session: OAuthSession) -> int:
    return session.get("/countries").status_code


@oauth_task(conn_id="crm")
async def gives_session_away(session: AsyncOAuthSession) -> object:
    return session


@oauth_task(conn_id="crm")
async def gives_answer_away(session: AsyncOAuthSession) -> object:
    return [await session.get("/countries")]


@oauth_task(conn_id="crm", retries=3)
async def pushes_session(session: AsyncOAuthSession, ti: Any = None) -> None:
    await ti.axcom_push("s", session)


@oauth_task(conn_id="nowhere", retries=3)
async def without_connection(session: AsyncOAuthSession) -> None: ...


@pytest.fixture
def crm(oauth_server: OAuthTestServer, set_connection: SetConnection) -> OAuthTestServer:
    set_connection("crm", oauth_server.connection())
    set_connection("other", oauth_server.connection())
    return oauth_server


def test_calls_pages_connections_mapping_and_context_work_in_async_functions(
    run_dag: RunDag, crm: OAuthTestServer
) -> None:
    with DAG("async_ways", schedule=None, params={"cid": "other"}) as dag:
        first = icao_of("EDDF")
        icao_of.override(task_id="after")(first)  # type: ignore[arg-type]  # as with Airflow's @task
        icao_of.override(task_id="mapped").expand(code=["EDDF", "EDDM"])
        at_once(20)
        pages()
        two(3)
        context_keys()
        by_registry()  # type: ignore[call-arg,misc]  # type checkers do not know @task.oauth
        sync()
    run = run_dag(dag)

    assert run.state == "success"
    assert (run.result("icao_of"), run.result("after")) == ("EDDF", "EDDF")
    assert run.result("mapped", map_index=1) == "EDDM"
    assert run.result("at_once") == [200] * 20
    assert run.result("pages") > 25
    assert [run.result("two", key=key) for key in ("left", "right", "extra")] == ["crm", "other", 3]
    assert run.result("context_keys") == ["context_keys", "False"]
    assert (run.result("by_registry"), run.result("sync")) == (200, 200)
    # Both kinds of task share one token manager.
    assert crm.counters.token_requests == 1


def test_sessions_answers_and_wrong_connections_fail_async_tasks_at_once(
    run_dag: RunDag, crm: OAuthTestServer
) -> None:
    with DAG("async_failures", schedule=None) as dag:
        gives_session_away()
        gives_answer_away()
        pushes_session()
        without_connection()
    run = run_dag(dag)
    for task_id in ("gives_session_away", "gives_answer_away", "pushes_session"):
        assert run.task_state(task_id) == "failed", task_id
        assert run.result(task_id) is None
    assert run.tries("pushes_session") == 1
    assert (run.task_state("without_connection"), run.tries("without_connection")) == ("failed", 1)


def test_an_async_session_opens_in_a_plain_script_too(
    airflow_home: object, crm: OAuthTestServer
) -> None:
    async def main() -> int:
        async with await open_async_session("crm") as session:
            return (await session.get("/countries")).status_code

    assert asyncio.run(main()) == 200
    with pytest.raises(ConnectionConfigError, match="There is no connection by the name 'gone'"):
        asyncio.run(open_async_session("gone"))


def test_a_generator_of_unread_records_is_refused_as_result() -> None:
    async def rows() -> AsyncGenerator[int, None]:
        yield 1

    with pytest.raises(ResultRefused, match="An unread generator is the result"):
        reject_iterator(rows(), "of task 'a'")


def test_dag_files_may_import_async_sessions_from_their_former_module() -> None:
    assert async_sessions.open_async_session is open_async_session
