"""A deployment whose mapped tasks share nothing but one grant, one budget, a database and an object store."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from upath import UPath

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.airflow_deployment import AirflowDeployment, free_port
from tests.celery.executors import Executor
from tests.celery.outcome import (
    BUDGET,
    PERIOD,
    TOKEN_LIFETIME,
    check_budget,
    check_grant,
    check_output,
    choose_countries,
    token_requests,
)
from tests.celery.parts import (
    freeze_machine,
    isolate_environment,
    kill_machine,
    running,
    thaw_machine,
    use_celery,
    wait_until_ready,
)
from tests.postgres import create_database

HOSTS = ("five", "six")
_PATIENCE = 1200.0
# Seconds. Tasks at work ask for a token every three.
_LONG_QUIET = 30.0
_FINAL = frozenset({"failed", "success", "upstream_failed"})
_ENDED = "no host: all tasks have ended"
_BROKER = {"AIRFLOW__SECRETS__BACKEND": "oauth_taskflow.taskflow.secrets_backend.OAuthBroker"}
_SPEC = """\
version: 1
dag_id: {dag_id}
connection: crm
rate_limit: {{requests: {budget}, per: PT{period:.0f}S}}
default_args: {{retries: 4, retry_delay: PT1S}}
endpoints:
  airports:
    for_each: {{country: {countries}}}
    request: {{path: "/countries/{{{{ country }}}}/airports", params: {{per_page: 10}}}}
    records: data
    paginate: {{type: page, param: page, total_pages: meta.pages}}
    destinations:
      - {{path: "s3://lake/{dag_id}/jsonl.gz", conn_id: lake, format: jsonl.gz}}
      - {{path: "s3://lake/{dag_id}/parquet", conn_id: lake, format: parquet}}
"""
_DAG = """\
from oauth_taskflow import load_specs  # airflow dag

load_specs(globals())
"""


@dataclass(frozen=True)
class Cluster:
    """Two machines with a new grant; ``machines`` has the process id of each machine's worker."""

    airflow: AirflowDeployment
    server: OAuthTestServer
    store: UPath
    machines: Mapping[str, int]

    def check_run_with_a_death(self, count: int) -> None:
        """Runs ``count`` mapped tasks, kills one machine, and checks tasks, grant, budget and output."""
        airflow, dag_id = self.airflow, name_dag(count)
        dead = None
        while dead is None:  # a few tasks may all end before there is a moment to kill at
            run_id = airflow.trigger(dag_id)
            dead = self.kill_one_at_work(dag_id, run_id)
        assert airflow.wait(dag_id, run_id, timeout=14_400) == "success"

        instances = [t for t in airflow.task_instances(dag_id, run_id) if t["map_index"] >= 0]
        assert [task["state"] for task in instances] == count * ["success"]
        tried_again = [task for task in instances if task["try_number"] > 1]
        assert tried_again
        assert dead not in {task["hostname"] for task in tried_again}
        check_grant(self.server)
        check_budget(self.server)
        check_output(self.store, dag_id, run_id, choose_countries(count))

    def kill_one_at_work(self, dag_id: str, run_id: str) -> str | None:
        """Kill -9 for the machine of a task that runs while no token request is under way; the machine's name.

        None where the run ended before that.

        The test server knows no grace for a spent refresh token, so that each reuse shows. A machine that dies between
        the server's answer and the store would cost the grant, which ``tests/tokens`` is about.
        """

        states = Counter[str]()

        def find() -> str | None:
            # Looked at first, because each question costs the API server as much as a page costs a task.
            since = self._seconds_since_request(time.time())
            is_quiet = 0.8 < since < 2.0
            if not is_quiet:
                if since < _LONG_QUIET:
                    return None
                time.sleep(1.0)
            tasks = self.airflow.task_instances(dag_id, run_id)
            states.clear()
            states.update(str(task["state"]) for task in tasks)
            if states and set(states) <= _FINAL:
                assert set(states) == {"success"}, states
                return _ENDED
            # A task that is queued may be on its way to the machine, and would wait until Airflow takes it for lost.
            can_kill = is_quiet and "queued" not in states and "success" in states
            busy = _list_busy(tasks) if can_kill else []
            return next((host for host in busy if host in self.machines), None)

        while True:
            host = wait_for(find, "no task runs on a machine", states)
            if host == _ENDED:
                return None
            frozen = freeze_machine(self.machines[host])
            time.sleep(1.0)  # what it sent before has come by then
            is_quiet = self._seconds_since_request(time.time()) > 1.8
            # On a busy machine the task may have ended since it was listed. From here on it cannot.
            tasks = self.airflow.task_instances(dag_id, run_id)
            if is_quiet and host in _list_busy(tasks):
                kill_machine(self.machines[host])
                return host
            thaw_machine(frozen)

    def _seconds_since_request(self, moment: float) -> float:
        """How long before ``moment`` the last token request came."""
        times = (asked.time for asked in token_requests(self.server))
        return moment - max((each for each in times if each <= moment), default=0.0)


def _list_busy(tasks: Iterable[Mapping[str, Any]]) -> list[str]:
    """The hosts with a running task."""
    return [task["hostname"] for task in tasks if task["state"] == "running"]


def wait_for(find: Callable[[], str | None], *complaint: object) -> str:
    """The first value of ``find``, which is asked until it has one; after twenty minutes a TimeoutError shows ``complaint``."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if found := find():
            return found
        time.sleep(0.05)
    raise TimeoutError(*complaint)


def name_dag(count: int) -> str:
    """The DAG that reads the airports of ``choose_countries(count)``."""
    return f"countries_{count}"


@dataclass(frozen=True)
class Site:
    """A running Airflow and an object store; machines and grants come and go. ``brokered``: its API server is a broker."""

    folder: Path
    airflow: AirflowDeployment
    executor: Executor
    store_url: str
    brokered: bool

    @contextlib.contextmanager
    def cluster(self, *, brokered: bool) -> Iterator[Cluster]:
        """Two new machines and a new grant; without a broker here, machines in broker mode have an API server of that kind."""
        with contextlib.ExitStack() as stack:
            url = self.airflow.url
            if brokered and not self.brokered:
                url = stack.enter_context(self._broker())
            server = stack.enter_context(OAuthTestServer(token_lifetime=TOKEN_LIFETIME))
            server.policy = replace(server.policy, tolerance=600.0)
            crm = server.connection(refresh_token=server.issue_refresh_token())
            self.airflow.add_connection("crm", crm)
            own = self._worker_environment(url, brokered=brokered)
            machines = stack.enter_context(self._machines(own))
            wait_for(lambda: _is_healthy(url), f"the API server at {url} did not start")
            yield Cluster(self.airflow, server, open_store(self.store_url), machines)

    @contextlib.contextmanager
    def _broker(self) -> Iterator[str]:
        """The URL of one more API server, which is a broker; it may not have started yet."""
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        own = {"AIRFLOW__API__PORT": str(port), "AIRFLOW__API__BASE_URL": url, **_BROKER}
        command = [sys.executable, "-m", "airflow", "api-server"]
        with running(command, self.folder / "broker.log", {**self.airflow.environment, **own}):
            yield url

    @contextlib.contextmanager
    def _machines(self, environment: Mapping[str, str]) -> Iterator[dict[str, int]]:
        """The process id of the worker of each machine."""
        start = self.executor.start
        if start is None:
            yield {}
            return
        disks = Path(tempfile.mkdtemp(dir=self.folder))
        machines = {}
        with contextlib.ExitStack() as stack:
            for host in HOSTS:
                shutil.copytree(self.folder / "dags", disks / host / "dags")
                worker = start(environment, disks / f"{host}.log", host, disks / host)
                machines[host] = stack.enter_context(worker)
            for host in HOSTS:
                wait_until_ready(disks / f"{host}.log", disks / host, self.executor.is_ready)
            yield machines

    def _worker_environment(self, url: str, *, brokered: bool) -> dict[str, str]:
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        own = isolate_environment(self.airflow, home)
        own["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] = f"{url}/execution/"
        may_have = self.executor.may_have
        return {name: value for name, value in own.items() if not brokered or may_have(name)}


def _is_healthy(url: str) -> str | None:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/api/v2/monitor/health"):
        return url
    return None


@contextlib.contextmanager
def _store(folder: Path) -> Iterator[str]:
    """The address of an S3 with the bucket ``lake``."""
    port = free_port()
    command = [sys.executable, "-m", "tests.stores.s3_server", str(port)]
    with running(command, folder / "s3.log", {**os.environ, "PYTHONPATH": str(Path.cwd())}):
        url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(OSError):
                open_store(url).fs.mkdir("lake")
                break
            assert time.monotonic() < end, "moto's server did not start"
            time.sleep(0.2)
        yield url


def open_store(url: str) -> UPath:
    return UPath("s3://lake", key="any", secret="any", client_kwargs={"endpoint_url": url})


def _settings(tokens: str) -> dict[str, str]:
    return {
        "AIRFLOW__API_AUTH__JWT_SECRET": "for-isolated-workers-of-these-tests-and-nothing-else-at-all-0002",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
        "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",  # no file changes
        "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE": tokens,
        # A task without a sign of life is tried again after half a minute, here not after five.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "240",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
    }


def _write_dags(dags: Path, counts: Sequence[int]) -> None:
    dags.mkdir()
    (dags / "specs.py").write_text(_DAG)
    for count in counts:
        countries = json.dumps(choose_countries(count))
        values = {"dag_id": name_dag(count), "budget": BUDGET, "period": PERIOD}
        spec = _SPEC.format(countries=countries, **values)
        (dags / f"{name_dag(count)}.yaml").write_text(spec)


@contextlib.contextmanager
def running_site(
    folder: Path, postgres_url: str, executor: Executor, counts: Sequence[int], *, brokered: bool
) -> Iterator[Site]:
    """Airflow with that executor, a DAG for each of ``counts``, and the object store."""
    _write_dags(folder / "dags", counts)
    port = free_port()
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(_store(folder))
        settings = executor.settings(folder, f"http://127.0.0.1:{port}")
        environment = {
            **stack.enter_context(settings),
            **_settings(create_database(postgres_url, f"tokens_{port}")),
            **(_BROKER if brokered else {}),
        }
        airflow = AirflowDeployment(
            *(folder / "airflow", folder / "dags"),
            environment=environment,
            database=create_database(postgres_url, f"metadata_{port}"),
            parallelism=4,
            port=port,
        )
        use_celery(airflow)
        stack.callback(airflow.stop)
        airflow.start()
        aws = {"endpoint_url": store, "region_name": "us-east-1"}
        airflow.add_connection(
            "lake", {"conn_type": "aws", "login": "any", "password": "any", "extra": aws}
        )
        yield Site(folder, airflow, executor, store, brokered)
