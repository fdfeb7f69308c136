"""What tasks import, imported once in the Airflow process that forks them.

LocalExecutor and the DAG processor fork: what the parent has loaded, its children need not load again, and share its
memory. An Airflow plugin whose listener hears the start of the scheduler, the DAG processor and the triggerer does it.
A Kubernetes pod or a fresh interpreter gains nothing and loses nothing.

https://airflow.apache.org/docs/apache-airflow/stable/administration-and-deployment/listeners.html
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

_PACKAGE = "oauth_taskflow.taskflow"
MODULES = (
    f"{_PACKAGE}.decorator",
    f"{_PACKAGE}.operators",
    f"{_PACKAGE}.load",
    f"{_PACKAGE}.async_sessions",
    f"{_PACKAGE}.xcom_guard",
    f"{_PACKAGE}.endpoint_task",
)
log = logging.getLogger(__name__)


@hookimpl
def on_starting(component: object) -> None:
    """Load what tasks need, if ``component`` is a process that forks. Called by Airflow, in task processes as well."""
    job = sys.modules.get("airflow.jobs.job")
    if job is None or not isinstance(component, job.Job):
        return
    for name in MODULES:
        import_module(name)
    log.debug("Preloaded %s", ", ".join(MODULES))


class PreloadPlugin(AirflowPlugin):
    """Registers the listener with Airflow (entry point ``airflow.plugins``)."""

    name = "oauth_taskflow"
    listeners = [sys.modules[__name__]]  # noqa: RUF012 - the shape that Airflow wants
