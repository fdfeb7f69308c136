"""The executors that run mapped tasks on machines: the settings of Airflow with each, and how a machine's worker starts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.celery.parts import celery_is_ready, redis, worker

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


def _is_no_secret(name: str) -> bool:
    return name not in _SECRETS


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


CELERY = Executor(_use_celery, worker)
PODS = Executor(_use_pods)
