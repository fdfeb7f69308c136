"""Imports the modules of tasks once, in the Airflow process that forks the tasks.

LocalExecutor and the DAG processor fork: their children share the loaded modules and the memory of the parent. An Airflow
plugin listens to the start of the scheduler, the DAG processor and the triggerer; in Celery and Edge workers,
``worker_forks`` does the same. The token store's driver is loaded too, if tasks open the store. A Kubernetes pod or a fresh
interpreter gains nothing and loses nothing.

https://airflow.apache.org/docs/apache-airflow/stable/administration-and-deployment/listeners.html
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module

from airflow.listeners import hookimpl

from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.taskflow.config import is_broker_configured, store_url
from oauth_taskflow.taskflow.page.plugin import PagePlugin

_PACKAGE = "oauth_taskflow.taskflow"
MODULES = (
    f"{_PACKAGE}.decorator",
    f"{_PACKAGE}.dags.operators",
    f"{_PACKAGE}.dags.load",
    "oauth_taskflow.api.aio.session",
    f"{_PACKAGE}.xcom_guard",
    f"{_PACKAGE}.dags.endpoint_task",
    # Loaded by tasks that refresh a token, log in or have budgets; in a process that forks, before each of them would.
    f"{_PACKAGE}.broker.budget_stores",
    "oauth_taskflow.api.login_source",
    "oauth_taskflow.budgets.shared_gates",
    "oauth_taskflow.oauth.endpoint.client_auth_fallback",
    "oauth_taskflow.oauth.endpoint.discovered_endpoint",
    "oauth_taskflow.oauth.endpoint.introspection",
    "oauth_taskflow.tokens.refresh.attempt",
)
log = logging.getLogger(__name__)


@hookimpl
def on_starting(component: object) -> None:
    """Loads the modules of tasks, if ``component`` is a process that forks. Called by Airflow, in task processes as well."""
    job = sys.modules.get("airflow.jobs.job")
    if job is None or not isinstance(component, job.Job):
        return
    load_all()


def load_all() -> None:
    """Loads the modules of tasks. A failure is only logged: the task will report it, and the process that forks must go on."""
    try:
        for name in MODULES:
            import_module(name)
        if not is_broker_configured():
            import_module("oauth_taskflow.tokens.sql.engine").load_driver(store_url())
    except OAuthTaskflowError as failure:
        log.warning("Tasks will not reach the token store: %s", failure)
    except Exception as bug:  # noqa: BLE001  # by name only: a message may show the store's password
        log.warning("Nothing was loaded ahead of the tasks: %s", type(bug).__name__)
    log.debug("Preloaded %s", ", ".join(MODULES))


class PreloadPlugin(PagePlugin):
    """The one plugin of this package (entry point ``airflow.plugins``): the listener, and the page in Airflow's UI."""

    name = "oauth_taskflow"
    listeners = [sys.modules[__name__]]  # noqa: RUF012 - the shape that Airflow wants
