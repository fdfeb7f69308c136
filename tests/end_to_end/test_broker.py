"""Broker mode in a whole Airflow on PostgreSQL: tasks work, and the secrets stay on the API server."""

from __future__ import annotations

import json
import secrets
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import jwt
import psycopg
import pytest
from cryptography.fernet import Fernet

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.airflow_deployment import AirflowDeployment
from tests.end_to_end import asking, limited
from tests.end_to_end.asking import spend_at_once, write_asking
from tests.end_to_end.growing import read_ids, run_while_it_grows, write_growing
from tests.end_to_end.leak_dags import LOADING
from tests.end_to_end.limited import run_at_once, write_limited
from tests.end_to_end.maintained import read_notices, run_maintenance, write_maintained
from tests.postgres import create_database
from tests.support.grants import kill_grants

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

FERNET_KEY = Fernet.generate_key().decode()
JWT_SECRET = secrets.token_urlsafe(48)
DAGS = """\
import json, os, time
from airflow.sdk import BaseHook, Connection, dag, task
from oauth_taskflow import OAuthSession, oauth_task

PROBE = {folder!r} + "/probe"

@dag(schedule=None)
def brokered():
    @oauth_task(conn_id="crm")
    def read(number: int, session: OAuthSession) -> int:
        end = time.monotonic() + 5
        while time.monotonic() < end:
            session.get("/page/airports", params={{"page": 1, "per_page": 10}}).raise_for_status()
            time.sleep(0.05)
        return number

    @oauth_task(conn_id="filed")
    def wrapped(session: OAuthSession) -> int:
        return session.get("/countries").status_code

    @task
    def probe() -> None:
        from airflow.sdk.execution_time import task_runner
        from airflow.sdk.execution_time.comms import GetConnection
        from oauth_taskflow.taskflow.broker.protocol import question_id

        found = BaseHook.get_connection("crm"), Connection.get("crm")
        raw = [
            repr(task_runner.SUPERVISOR_COMMS.send(GetConnection(conn_id=conn_id)))
            for conn_id in ("crm", question_id("crm"), question_id("crm", found[0].password), "filed")
        ]
        seen = [found[0].as_dict() if hasattr(found[0], "as_dict") else repr(found[0])]
        seen += [f"{{c.login}} {{c.password}} {{c.extra}} {{c.get_uri()}}" for c in found]
        rest = {{k: v for k, v in os.environ.items() if k != "AIRFLOW_CONN_DIRECT"}}
        seen += raw + [repr(rest)]
        with open(PROBE, "w") as file:
            json.dump(seen, file, default=repr)

    read.expand(number=[0, 1])
    wrapped()
    probe()

@dag(schedule=None)
def denied():
    @oauth_task(conn_id="wrong", retries=3)
    def ours(session: OAuthSession) -> None:
        session.get("/countries")

    @task
    def theirs() -> str:
        try:
            return repr(BaseHook.get_connection("wrong").password)
        except Exception as error:
            return type(error).__name__

    ours()
    theirs()

@dag(schedule=None)
def by_itself():
    @oauth_task(conn_id="direct")
    def read(session: OAuthSession) -> int:
        return session.get("/countries").status_code

    read()

brokered()
denied()
by_itself()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[OAuthTestServer]:
    """Tokens to be refreshed every two seconds, refresh tokens that can be used once, no grace."""
    with OAuthTestServer(token_lifetime=2.0, rotate=True, grace=0.0, latency=0.01) as server:
        server.policy = replace(server.policy, tolerance=600.0)
        yield server


@pytest.fixture(scope="module")
def database(postgres_url: str) -> str:
    """A separate database on the test server."""
    return create_database(postgres_url, "broker")


@pytest.fixture(scope="module")
def airflow(
    server: OAuthTestServer, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowDeployment]:
    """Airflow with the broker around a backend that reads connections from a file."""
    home = tmp_path_factory.mktemp("broker")
    dags = home / "dags"
    dags.mkdir()
    (dags / "brokered.py").write_text(DAGS.format(folder=str(home)))
    (dags / "specs.py").write_text(LOADING)
    write_growing(dags, home / "lake" / "growing")
    write_limited(dags, home / "lake" / "limited")
    write_asking(dags)
    write_maintained(dags, home / "notices")
    (home / "temporary").mkdir()
    filed = server.connection()
    (home / "connections.json").write_text(json.dumps({"filed": filed}))
    wrapped = {
        "backend": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
        "backend_kwargs": {"connections_file_path": str(home / "connections.json")},
    }
    environment = {
        "TMPDIR": str(home / "temporary"),
        "AIRFLOW__SECRETS__BACKEND": "oauth_taskflow.taskflow.secrets_backend.OAuthBroker",
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps(wrapped),
        "AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE": database,
        "AIRFLOW__API_AUTH__JWT_SECRET": JWT_SECRET,
        "AIRFLOW__CORE__FERNET_KEY": FERNET_KEY,
        "AIRFLOW__OAUTH_TASKFLOW__WRITE_BACK_CONN_ID": "airflow_api",
    }
    # A connection in the workers' environment reaches the task whole: it refreshes and writes back by itself.
    direct = server.connection(refresh_token=server.issue_refresh_token(), write_back=True)
    environment["AIRFLOW_CONN_DIRECT"] = json.dumps(direct)
    deployment = AirflowDeployment(home, dags, environment=environment, database=database)
    rest_api = {
        "conn_type": "oauth2",
        "host": deployment.url,
        "login": "admin",
        "password": deployment.password,
        "extra": {"auth_type": "session"},
    }
    copied = server.connection(refresh_token=server.issue_refresh_token(), write_back=True)
    with deployment:
        deployment.add_connection("crm", copied)
        deployment.add_connection("direct", direct)
        deployment.add_connection("airflow_api", rest_api)
        deployment.add_connection("wrong", server.connection(password="not-the-secret"))
        yield deployment


def states(airflow: AirflowDeployment, dag_id: str, run_id: str) -> dict[tuple[str, int], Any]:
    return {
        (task["task_id"], task["map_index"]): (task["state"], task["try_number"])
        for task in airflow.task_instances(dag_id, run_id)
    }


def refresh_tokens(server: OAuthTestServer) -> list[str]:
    """Every refresh token of the server, spent ones included."""
    return [token for token in server.state.list_issued() if server.state.family(token)]


def test_tokens_are_refreshed_by_the_api_server_while_tasks_run(
    airflow: AirflowDeployment, server: OAuthTestServer
) -> None:
    run_id = airflow.trigger("brokered")
    assert airflow.wait("brokered", run_id) == "success", states(airflow, "brokered", run_id)
    assert set(states(airflow, "brokered", run_id).values()) == {("success", 1)}
    assert airflow.xcom("brokered", run_id, "wrapped") == 200
    assert server.counters.refreshes > 2
    assert server.counters.reuse_detected == 0


def test_no_secret_is_readable_in_the_tasks_process(
    airflow: AirflowDeployment, server: OAuthTestServer
) -> None:
    seen = (airflow.home / "probe").read_text()
    hidden = [server.client_secret, server.client_id, *refresh_tokens(server)]
    assert len(hidden) > 4
    assert [secret for secret in hidden if secret in seen] == []
    assert any(token in seen for token in server.state.list_issued())


def test_the_execution_api_itself_shows_no_secret(
    airflow: AirflowDeployment, server: OAuthTestServer
) -> None:
    now = int(time.time())
    claims = {"sub": str(uuid.uuid4()), "scope": "execution", "aud": "urn:airflow.apache.org:task"}
    times = {"iat": now, "nbf": now, "exp": now + 600}
    token = jwt.encode({**claims, **times}, JWT_SECRET, algorithm="HS512")
    request = urllib.request.Request(
        f"{airflow.url}/execution/connections/crm", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        shown = answer.read().decode()
    assert json.loads(shown)["password"] in server.state.list_issued()
    hidden = [server.client_secret, server.client_id, *refresh_tokens(server)]
    assert [secret for secret in hidden if secret in shown] == []


def test_a_failure_is_a_denial_and_our_client_knows_the_reason(airflow: AirflowDeployment) -> None:
    run_id = airflow.trigger("denied")
    assert airflow.wait("denied", run_id) == "failed"
    # Retries cannot mend a wrong client secret, and the task learns it although the API server made the request.
    assert states(airflow, "denied", run_id) == {
        ("ours", -1): ("failed", 1),
        ("theirs", -1): ("success", 1),
    }
    assert airflow.xcom("denied", run_id, "theirs") == "AirflowSecretsBackendAccessDenied"


def read_stored_extra(database: str, conn_id: str) -> dict[str, Any]:
    """Returns the connection's extra as the metadata database holds it."""
    with psycopg.connect(urlunsplit(("postgresql", *urlsplit(database)[1:]))) as connection:
        query = "SELECT extra FROM connection WHERE conn_id = %s"
        row = connection.execute(query, (conn_id,)).fetchone()
    assert row is not None
    return dict(json.loads(Fernet(FERNET_KEY).decrypt(row[0].encode())))


def test_rotated_refresh_tokens_are_written_back_by_the_broker_and_by_a_task(
    airflow: AirflowDeployment, server: OAuthTestServer, database: str
) -> None:
    run_id = airflow.trigger("by_itself")
    assert airflow.wait("by_itself", run_id) == "success"
    for conn_id in ("crm", "direct"):
        extra = read_stored_extra(database, conn_id)
        family = server.state.family(extra["refresh_token"])
        assert family is not None
        assert extra["refresh_token"] in family.live
        assert family.spent_at
        assert extra["token_url"] == server.token_url


def read_rows(database: str, query: str) -> list[Any]:
    """Returns the first column of ``query`` in the API server's token store."""
    with psycopg.connect(urlunsplit(("postgresql", *urlsplit(database)[1:]))) as connection:
        return [row[0] for row in connection.execute(query)]


def test_mapped_tasks_of_a_spec_keep_to_the_budgets_that_the_api_server_keeps(
    airflow: AirflowDeployment, server: OAuthTestServer, database: str
) -> None:
    api, state = run_at_once(airflow, server.connection())
    assert state == "success"
    assert len(api.came) == limited.REGIONS * limited.PAGES
    assert api.most_in_any(limited.PERIOD) <= limited.BUDGET
    labels = read_rows(database, "SELECT label FROM oauth_taskflow_budget")
    # The API server writes the connection before the label of what a spec states.
    assert [label for label in labels if label.startswith("limited: 5 per PT2S")]
    assert list(airflow.home.rglob("budgets.db")) == [], "a task kept a budget by itself"


def test_a_killed_task_and_a_hostile_one_leave_the_budget_to_the_others(
    airflow: AirflowDeployment, server: OAuthTestServer
) -> None:
    api, run_id, state = spend_at_once(airflow, server.connection())
    assert state == "success", states(airflow, "asking", run_id)
    assert len(api.came) == asking.TASKS * asking.REQUESTS + asking.BEFORE_THE_KILL
    assert api.most_in_any(asking.PERIOD) <= asking.BUDGET
    # It may ask for its own connections alone; what it holds there is another ledger.
    seen = airflow.xcom("asking", run_id, "hostile")
    assert seen == ["answered", "ConnectionConfigError", "ConnectionConfigError"]


def test_a_dag_in_watermark_mode_goes_on_where_its_last_run_ended(
    airflow: AirflowDeployment, server: OAuthTestServer, database: str
) -> None:
    assert run_while_it_grows(airflow, server.connection()) == ["success", "failed", "success"]
    lake = airflow.home / "lake" / "growing"
    assert read_ids(lake / "contacts") == list(range(1, 16))
    assert read_ids(lake / "notes") == sorted([*range(1, 16)] * 3)
    places = read_rows(database, "SELECT DISTINCT conn_id FROM oauth_taskflow_watermark")
    assert places == ["growing"]


def test_people_get_one_notice_of_each_dag_from_tasks_that_never_see_the_grant(
    airflow: AirflowDeployment, oauth_server: OAuthTestServer
) -> None:
    seed = oauth_server.issue_refresh_token()
    kill_grants(oauth_server)
    airflow.add_connection("ended", oauth_server.connection(refresh_token=seed))
    run_id = run_maintenance(airflow)
    grants = airflow.xcom("all_grants", run_id, "list_grants")
    assert {"crm", "ended"} <= set(grants)
    done = airflow.xcom("all_grants", run_id, "keep_alive", grants.index("ended"))
    assert done["troubles"] == ["needs_consent"]
    kept = [t for t in airflow.task_instances("all_grants", run_id) if t["map_index"] >= 0]
    assert sorted(task["rendered_map_index"] for task in kept) == sorted(grants)
    assert airflow.call("GET", "/dags/oauth_maintenance/dagVersions")["total_entries"] == 1
    notices = read_notices(airflow.home / "notices", "ended")
    assert [dag_id for dag_id, _ in notices] == ["oauth_maintenance", "all_grants"]
    assert all(f"{airflow.url}/plugin/oauth/connect/ended" in text for _, text in notices)
    assert oauth_server.counters.token_requests == 1
