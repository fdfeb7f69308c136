"""A deployment whose mapped tasks share nothing but one grant, one budget, a database and an object store."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryptography.fernet import Fernet
from upath import UPath

from oauth_taskflow.destinations.formats import find_format
from oauth_taskflow.testing import OAuthTestServer, dataset
from oauth_taskflow.testing.airflow_deployment import AirflowDeployment, free_port
from oauth_taskflow.testing.request_log import LoggedRequest
from tests.celery.parts import (
    freeze_machine,
    isolate_environment,
    kill_machine,
    redis,
    running,
    thaw_machine,
    use_celery,
    wait_until_ready,
    worker,
)
from tests.postgres import create_database

HOSTS = ("five", "six")
# Seconds between two refreshes, less what a request takes: a token is replaced a tenth of its life before its end.
TOKEN_LIFETIME, APART = 3.0, 2.4
BUDGET, PERIOD = 20, 2.0
FORMATS = ("jsonl.gz", "parquet")
_TOKEN_PATH = "/oauth/token"
_PATIENCE = 1200.0
_ALL = 1_000_000
# The settings that only the API server may have in broker mode.
_SECRETS = ("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE")
_BROKER = {"AIRFLOW__SECRETS__BACKEND": "oauth_taskflow.taskflow.secrets_backend.OAuthBroker"}
_SPEC = """\
version: 1
dag_id: countries
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
      - {{path: "s3://lake/jsonl.gz", conn_id: lake, format: jsonl.gz}}
      - {{path: "s3://lake/parquet", conn_id: lake, format: parquet}}
"""
_DAG = """\
from oauth_taskflow import load_specs  # airflow dag

load_specs(globals())
"""


@dataclass(frozen=True)
class Cluster:
    """The parts that the test looks at; ``machines`` has the process id of each machine's worker."""

    airflow: AirflowDeployment
    server: OAuthTestServer
    store: UPath
    machines: Mapping[str, int]

    def kill_one_at_work(self, run_id: str) -> str:
        """Kill -9 for the machine of a task that runs while no token request is under way; the machine's name.

        The test server knows no grace for a spent refresh token, so that each reuse shows. A machine that dies between
        the server's answer and the store would cost the grant, which ``tests/tokens`` is about.
        """

        def find() -> str | None:
            tasks = self.airflow.task_instances("countries", run_id)
            states = {task["state"] for task in tasks}
            # A task that is queued may be on its way to the machine, and would wait until Airflow takes it for lost.
            is_quiet = 0.8 < self._seconds_since_request(time.time()) < 2.0
            can_kill = is_quiet and "queued" not in states and "success" in states
            busy = _list_busy(tasks) if can_kill else []
            return next((host for host in busy if host in self.machines), None)

        while True:
            host = wait_for(find, "no task runs on a machine")
            frozen = freeze_machine(self.machines[host])
            time.sleep(1.0)  # what it sent before has come by then
            is_quiet = self._seconds_since_request(time.time()) > 1.8
            # On a busy machine the task may have ended since it was listed. From here on it cannot.
            tasks = self.airflow.task_instances("countries", run_id)
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


def wait_for(find: Callable[[], str | None], complaint: str) -> str:
    """The first value of ``find``, which is asked until it has one."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if found := find():
            return found
        time.sleep(0.05)
    raise TimeoutError(complaint)


def token_requests(server: OAuthTestServer) -> list[LoggedRequest]:
    return [asked for asked in server.requests if asked.path == _TOKEN_PATH]


def choose_countries(count: int) -> list[str]:
    """Codes of ``count`` countries of a few pages each, the largest first; 185 have at most 60 airports."""
    found = json.loads(dataset.countries())
    found.sort(key=lambda each: (each["airports"], each["code"]), reverse=True)
    few = [each for each in found if each["airports"] <= 60][:count]
    chosen = few if len(few) == count else found[-count:]
    assert len(chosen) == count
    return [each["code"] for each in chosen]


def expected_records(countries: list[str]) -> list[dict[str, Any]]:
    """The airports of these countries, in the order of their codes."""
    rows = [dataset.select(country, "", "") for country in countries]
    return sort_by_code([record for each in rows for record in json.loads(each.page(0, len(each)))])


def sort_by_code(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(records, key=lambda record: str(record["icao"]))


@dataclass(frozen=True)
class Output:
    """The output of one run in one format."""

    store: UPath
    file_format: str
    run_id: str

    @property
    def folder(self) -> UPath:
        return self.store / self.file_format / f"run_id={quote(self.run_id, safe='')}"

    def list_objects(self) -> list[str]:
        """All objects, hidden ones too, by their keys."""
        return sorted(self.store.fs.find(self.folder.path))

    def list_named(self) -> list[str]:
        """The manifests, and the objects that they name."""
        found = []
        for key in self.list_objects():
            if key.endswith("/_manifest.json"):
                folder = key.rpartition("/")[0]
                files = json.loads(self.store.fs.cat_file(key))["files"]
                found += [key, *(f"{folder}/{file['name']}" for file in files)]
        return sorted(found)

    def read_records(self) -> list[dict[str, Any]]:
        """All records that the manifests name, in the order of their codes."""
        records: list[dict[str, Any]] = []
        for key in self.list_named():
            if not key.endswith(".json"):
                with self.store.fs.open(key, "rb") as file:
                    name = key.rpartition("/")[2]
                    records += find_format(name).read_records(file, 0, _ALL)
        return sort_by_code(records)


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


def _worker_environment(
    airflow: AirflowDeployment, home: Path, *, brokered: bool
) -> dict[str, str]:
    own = isolate_environment(airflow, home)
    return {name: value for name, value in own.items() if not brokered or name not in _SECRETS}


def _settings(metadata: str, tokens: str) -> dict[str, str]:
    return {
        "AIRFLOW__API_AUTH__JWT_SECRET": "for-isolated-workers-of-these-tests-and-nothing-else-at-all-0002",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
        "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
        "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": metadata,
        "AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE": tokens,
        # A task without a sign of life is tried again after half a minute, here not after five.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "240",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
    }


@contextlib.contextmanager
def _workers(folder: Path, environment: Mapping[str, str]) -> Iterator[dict[str, int]]:
    """The process id of the worker of each machine."""
    (folder / "home").mkdir()
    with contextlib.ExitStack() as stack:
        machines = {}
        for host in HOSTS:
            shutil.copytree(folder / "dags", folder / host / "dags")
            log, disk = folder / f"{host}.log", folder / host
            machines[host] = stack.enter_context(worker(environment, log, host=host, disk=disk))
        for host in HOSTS:
            wait_until_ready(folder / f"{host}.log")
        yield machines


def _use_pods(folder: Path) -> dict[str, str]:
    return {
        "AIRFLOW__CORE__EXECUTOR": "tests.celery.pods.PodExecutor",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TEST_PODS": str(folder / "pods"),
    }


@contextlib.contextmanager
def deployed(
    folder: Path, postgres_url: str, countries: list[str], *, brokered: bool, pods: bool = False
) -> Iterator[Cluster]:
    """Airflow with CeleryExecutor and two machines, or with a pod for each task, the grant's server and the store."""
    name = "pods" if pods else "brokered" if brokered else "direct"
    dags = folder / "dags"
    dags.mkdir()
    (dags / "specs.py").write_text(_DAG)
    spec = _SPEC.format(budget=BUDGET, period=PERIOD, countries=json.dumps(countries))
    (dags / "countries.yaml").write_text(spec)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(OAuthTestServer(token_lifetime=TOKEN_LIFETIME))
        server.policy = replace(server.policy, tolerance=600.0)
        store = stack.enter_context(_store(folder))
        metadata = create_database(postgres_url, f"metadata_{name}")
        environment = {
            **(_use_pods(folder) if pods else stack.enter_context(redis(folder))),
            **_settings(metadata, create_database(postgres_url, f"tokens_{name}")),
            **(_BROKER if brokered else {}),
        }
        airflow = AirflowDeployment(
            folder / "airflow", dags, environment=environment, database=metadata, parallelism=4
        )
        use_celery(airflow)
        stack.callback(airflow.stop)
        airflow.start()
        airflow.add_connection("crm", server.connection(refresh_token=server.issue_refresh_token()))
        aws = {"endpoint_url": store, "region_name": "us-east-1"}
        airflow.add_connection(
            "lake", {"conn_type": "aws", "login": "any", "password": "any", "extra": aws}
        )
        own = _worker_environment(airflow, folder / "home", brokered=brokered)
        machines = {} if pods else stack.enter_context(_workers(folder, own))
        yield Cluster(airflow, server, open_store(store), machines)
