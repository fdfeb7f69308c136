"""The DAGs of the scan for leaks, as text for a deployment: authors who print and break, operators, triggers, a spec.

Each task uses several connections, because a task costs Airflow two seconds whatever it does.
"""

from __future__ import annotations

_HEAD = """\
from datetime import timedelta
from airflow.providers.http.operators.http import HttpOperator
from airflow.sdk import BaseHook, dag, task
from oauth_taskflow import (
    AsyncOAuthSession, OAuth2Hook, OAuth2HttpOperator, OAuth2HttpSensor, OAuthSession, oauth_task
)
# Airflow 3.3 may take a late "I have deferred" of LocalExecutor for the end of a task that has gone on already.
AGAIN = {"deferrable": True, "retries": 3, "retry_delay": timedelta(0)}

def use(conn_id: str, path: str) -> int:
    method, path = path.split() if " " in path else ("GET", path)
    body = {"json": {"page": 1}} if method == "POST" else {}
    with OAuth2Hook(http_conn_id=conn_id).get_conn() as session:
        answer = session.request(method, path, **body)
        answer.raise_for_status()
        # A proof is of no use without its token, and is not masked.
        shown = {name: value for name, value in answer.request.headers.items() if name != "DPoP"}
        print("what the author prints:", shown, answer.request.url, session.auth, session.headers)
    return OAuth2Hook(http_conn_id=conn_id, method=method).run(path, **body).status_code
"""

_DIRECT = """
GROUPS = {groups!r}
INTROSPECTION = {introspection!r}

@dag(schedule=None)
def direct():
    @oauth_task(conn_id="client")
    def read(kinds: dict[str, str], session: OAuthSession) -> list[int]:
        session.get("/countries").raise_for_status()
        return [use(conn_id, path) for conn_id, path in kinds.items()]

    for name, kinds in GROUPS.items():
        read.override(task_id=name)(kinds)

    @oauth_task(conn_id="rotating")
    async def at_once(session: AsyncOAuthSession) -> int:
        answer = await session.get("/countries")
        print("what the author prints:", answer.request.headers, session.headers)
        return answer.status_code

    @task
    def asks_and_ends() -> bool:
        from oauth_taskflow.oauth.endpoint.introspection import introspect
        from oauth_taskflow.oauth.endpoint.revocation import revoke
        from oauth_taskflow.taskflow.grants.managed_grant import load_managed_grant

        grant = load_managed_grant("posting")
        token = grant.manager.token().access_token
        state = introspect(grant.endpoint, INTROSPECTION, token, "access_token")
        place = INTROSPECTION.replace("introspect", "revoke")
        revoke(grant.endpoint, place, token, "access_token", grant.options)
        print("what the author prints:", grant, state, grant.manager)
        return state.active

    @oauth_task(conn_id="refused", retries=0)
    def refused(session: OAuthSession) -> None:
        session.get("/countries")

    @oauth_task(conn_id="rotating", retries=0)
    def breaks(session: OAuthSession) -> None:
        headers = session.get("/echo").request.headers
        raise RuntimeError(f"the author shows {{dict(headers)}}")

    at_once()
    asks_and_ends()
    refused()
    breaks()
    OAuth2HttpOperator(
        task_id="deferred", http_conn_id="query", endpoint="/countries", method="GET", **AGAIN
    )
    HttpOperator(task_id="stock", http_conn_id="bearer", endpoint="/countries", method="GET", log_response=True)

direct()
"""

_BROKERED = """
GROUP = {group!r}

@dag(schedule=None)
def brokered():
    @task
    def read(kinds: dict[str, str]) -> list[int]:
        for conn_id in kinds:
            found = BaseHook.get_connection(conn_id)
            print("what the author prints:", found, found.login, found.password, found.extra)
        return [use(conn_id, path) for conn_id, path in kinds.items()]

    @oauth_task(conn_id="wrong", retries=0)
    def denied(session: OAuthSession) -> None:
        session.get("/countries")

    read(GROUP)
    denied()
    how = {{"http_conn_id": "crm", "endpoint": "/countries"}}
    OAuth2HttpOperator(task_id="ours", method="GET", log_response=True, **how)
    OAuth2HttpOperator(task_id="deferred", method="GET", **how, **AGAIN)
    OAuth2HttpSensor(task_id="sensed", **how, **AGAIN)

brokered()
"""

SPEC = """\
version: 1
dag_id: pulled
start_date: 2026-01-01
connection: crm
rate_limit: {{requests: 100, per: PT1S}}
endpoints:
  countries:
    request: {{path: /countries, params: {{since: "{{{{ window.start }}}}"}}}}
    records: data
    incremental: {{by: watermark, field: changed, missing: include, start: 2026-01-01}}
    destination: {{type: file, path: "{folder}", format: jsonl}}
"""

LOADING = "from oauth_taskflow import load_specs  # airflow dag\nload_specs(globals(), '.')\n"


def write_direct_dag(groups: dict[str, dict[str, str]], introspection: str) -> str:
    """The DAG ``direct``: a task per group of connections, each with the path that it calls."""
    return _HEAD + _DIRECT.format(groups=groups, introspection=introspection)


def write_brokered_dag(group: dict[str, str]) -> str:
    """The DAG ``brokered``: all connections of ``group`` in one task, and operators."""
    return _HEAD + _BROKERED.format(group=group)
