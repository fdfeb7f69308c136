"""The executors that run mapped tasks on machines: the settings of Airflow with each, and how a machine's worker starts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.celery.parts import celery_is_ready, edge_worker, redis, worker

Settings = Callable[[Path, str], AbstractContextManager[Mapping[str, str]]]
StartWorker = Callable[[Mapping[str, str], Path, str, Path], AbstractContextManager[int]]

# The settings that only the API server may have in broker mode; with the last one a task could sign tokens like Airflow's.
_SECRETS = frozenset(
    {
        "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE",
        "AIRFLOW__API_AUTH__JWT_SECRET",
    }
)
# All that an Edge worker has, its own places aside (docs/scale.md); here with the patience of tests.
_EDGE_SITE = frozenset(
    {
        "PATH",
        "PYTHONPATH",
        "AIRFLOW_HOME",
        "AIRFLOW__API_AUTH__JWT_LEEWAY",
        "AIRFLOW__API_AUTH__JWT_SECRET",
        "AIRFLOW__CORE__DAGS_FOLDER",
        "AIRFLOW__CORE__EXECUTOR",
        "AIRFLOW__CORE__LOAD_EXAMPLES",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "AIRFLOW__EDGE__API_URL",
        "AIRFLOW__EDGE__JOB_POLL_INTERVAL",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT",
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS",
    }
)


def _is_no_secret(name: str) -> bool:
    return name not in _SECRETS


def _edge_is_ready(_: Path, disk: Path) -> bool:
    """Whether the API server knows the worker: it writes the file with its process id then."""
    return (disk / "airflow-edge-worker.pid").exists()


@dataclass(frozen=True)
class Executor:
    """How tasks come to machines.

    ``settings`` are those of the scheduler and the API server, by a folder for files and the API server's URL.
    ``start`` gives the process id of a worker, by its environment, log, host and disk; without it, there are no workers.
    ``may_have`` says whether a worker in broker mode has a setting, ``is_ready`` whether one takes tasks, by log and disk.
    """

    settings: Settings
    start: StartWorker | None = None
    may_have: Callable[[str], bool] = _is_no_secret
    is_ready: Callable[[Path, Path], bool] = celery_is_ready


@contextlib.contextmanager
def _use_celery(folder: Path, _: str) -> Iterator[Mapping[str, str]]:
    with redis(folder) as settings:
        yield settings


@contextlib.contextmanager
def _use_pods(folder: Path, _: str) -> Iterator[Mapping[str, str]]:
    yield {
        "AIRFLOW__CORE__EXECUTOR": "tests.celery.pods.PodExecutor",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TEST_PODS": str(folder / "pods"),
    }


def key_of_airflow(folder: Path) -> Path:
    """The file with which Airflow signs its tokens when its workers are at Edge sites."""
    return folder / "jwt.pem"


@contextlib.contextmanager
def _use_edge(folder: Path, url: str) -> Iterator[Mapping[str, str]]:
    key = key_of_airflow(folder)
    generated = Ed25519PrivateKey.generate()
    key.write_bytes(generated.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    yield {
        "AIRFLOW__CORE__EXECUTOR": "airflow.providers.edge3.executors.EdgeExecutor",
        # With it jwt_secret, which Edge workers must have, opens the Edge API and nothing else.
        "AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH": str(key),
        # A worker whose sign of life waits longer for a busy API server is refused, and takes no more tasks.
        "AIRFLOW__API_AUTH__JWT_LEEWAY": "300",
        "AIRFLOW__EDGE__API_ENABLED": "True",
        "AIRFLOW__EDGE__API_URL": f"{url}/edge_worker/v1/rpcapi",
        "AIRFLOW__EDGE__JOB_POLL_INTERVAL": "1",
    }


CELERY = Executor(_use_celery, worker)
PODS = Executor(_use_pods)
EDGE = Executor(_use_edge, edge_worker, _EDGE_SITE.__contains__, _edge_is_ready)
