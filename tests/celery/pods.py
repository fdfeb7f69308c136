"""An executor that runs each task as KubernetesExecutor does: a new process on a new machine with an empty disk.

The pod gets the task as JSON, DAG files as from its image, and the environment that docs/scale.md names: Airflow's Execution API, no
metadata database, no Fernet key, no token store. Airflow names the module in ``[core] executor``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from airflow.executors.base_executor import BaseExecutor

from tests.celery.parts import on_machine

# Folder of the pods, each with its disk, its log and the id of its process.
PODS = "TEST_PODS"
# What the image gives, and the patience of tests.
_GIVEN = (
    "PATH",
    "AIRFLOW__CORE__LOAD_EXAMPLES",
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT",
    "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS",
)
_HOW_TO = Path(__file__).parents[2] / "docs" / "scale.md"
_RUN = "airflow.sdk.execution_time.execute_workload"


class PodExecutor(BaseExecutor):
    """Starts a pod for each task, and reports to Airflow how each ended."""

    is_local = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._pods: dict[Any, subprocess.Popen[bytes]] = {}

    def _process_workloads(self, workload_items: Sequence[Any]) -> None:
        for workload in workload_items:
            key = workload.ti.key
            del self.queued_tasks[key]
            self.running.add(key)
            self._pods[key] = _start(f"pod-{len(self._pods)}-{os.getpid()}", workload)

    def sync(self) -> None:
        """Looks which pods have ended."""
        for key in self.running & self._pods.keys():
            if (status := self._pods[key].poll()) is not None:
                (self.fail if status else self.success)(key)

    def end(self) -> None:
        """Kills what is left."""
        self.terminate()

    def terminate(self) -> None:
        """Kills what is left."""
        for pod in self._pods.values():
            pod.kill()


def _templated() -> dict[str, str]:
    """The variables of the how-to's pod template, with the values of this deployment where it has them."""
    (block,) = re.findall(r"```yaml\n(  apiVersion.*?)```", _HOW_TO.read_text(), re.DOTALL)
    (container,) = yaml.safe_load(block)["spec"]["containers"]
    names = [variable["name"] for variable in container["env"]]
    return {name: os.environ[name] for name in names if name in os.environ}


def _start(host: str, workload: Any) -> subprocess.Popen[bytes]:
    folder = Path(os.environ[PODS])
    place, disk = folder / "home", folder / host
    for path in (place, disk / "temporary"):
        path.mkdir(parents=True, exist_ok=True)
    environment = (
        {name: os.environ[name] for name in _GIVEN}
        | _templated()
        | {
            "AIRFLOW_IS_K8S_EXECUTOR_POD": "True",
            "AIRFLOW_HOME": str(place),
            "HOME": str(place),
            "TMPDIR": str(place / "temporary"),
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{place}/nothing.db",
        }
    )
    command = [sys.executable, "-m", _RUN, "--json-string", workload.model_dump_json()]
    with (folder / f"{host}.log").open("wb") as log:
        pod = subprocess.Popen(
            on_machine(host, disk, place, command), env=environment, stdout=log, stderr=log
        )
    (folder / f"{host}.pid").write_text(str(pod.pid))
    return pod
