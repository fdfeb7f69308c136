"""Reads which executors run tasks here, and whether their tasks may run on several machines."""

from __future__ import annotations

import os
from collections.abc import Sequence

_POD_MARK = "AIRFLOW_IS_K8S_EXECUTOR_POD"
# Executors whose tasks all run on the scheduler's machine, and so share its disk.
_ONE_MACHINE = frozenset({"LocalExecutor", "SequentialExecutor", "DebugExecutor"})


def executors() -> Sequence[str]:
    """Class names of the executors whose tasks may run here (``[core] executor``)."""
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - run time only

    names = executor_names(conf.get("core", "executor", fallback="LocalExecutor") or "")
    # The pods of KubernetesExecutor are usually configured as LocalExecutor; this variable marks them.
    return [*names, "KubernetesExecutor"] if os.environ.get(_POD_MARK) else names


def executor_names(configured: str) -> list[str]:
    """Class names in ``[core] executor``: several, aliases, teams and dotted paths are allowed there.

    ``LocalExecutor,fast:my.module.CeleryExecutor`` or ``team_a=CeleryExecutor;LocalExecutor``
    (https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/executor/index.html).
    """
    entries = configured.replace(";", ",").split(",")
    # The alias is before the colon, the team before the equals sign, the package before the last dot.
    names = (entry.rpartition("=")[2].rpartition(":")[2].rpartition(".")[2] for entry in entries)
    return [name.strip() for name in names if name.strip()]


def find_distributed_executors() -> list[str]:
    """Returns those of ``executors`` whose tasks do not share one disk, unknown executors included."""
    return [name for name in executors() if name not in _ONE_MACHINE]
