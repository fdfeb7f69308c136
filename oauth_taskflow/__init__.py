"""OAuth-protected REST APIs in Apache Airflow 3.

Every public name is imported on first use, so ``import oauth_taskflow`` in a DAG file costs next to nothing. It does not
load ``requests``, and loads Airflow only for the names that need it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers; at run time __getattr__ imports the names
    from oauth_taskflow.api.aio.session import AsyncOAuthSession
    from oauth_taskflow.api.auth import OAuth2Auth
    from oauth_taskflow.api.session import OAuthSession
    from oauth_taskflow.taskflow.dags.factory import build_dag, endpoint_tasks
    from oauth_taskflow.taskflow.dags.load import load_specs
    from oauth_taskflow.taskflow.dags.records import endpoint_records
    from oauth_taskflow.taskflow.decorator import oauth_task
    from oauth_taskflow.taskflow.http.hook import OAuth2Hook
    from oauth_taskflow.taskflow.http.operator import OAuth2HttpOperator
    from oauth_taskflow.taskflow.http.sensor import OAuth2HttpSensor
    from oauth_taskflow.taskflow.notices.maintenance import load_maintenance
    from oauth_taskflow.taskflow.notices.notifier import OAuthNotifier
    from oauth_taskflow.taskflow.retry_policy import OAuthRetryPolicy

__version__ = "0.1.0"

_EXPORTS = {
    "AsyncOAuthSession": "oauth_taskflow.api.aio.session",
    "OAuth2Auth": "oauth_taskflow.api.auth",
    "OAuth2Hook": "oauth_taskflow.taskflow.http.hook",
    "OAuth2HttpOperator": "oauth_taskflow.taskflow.http.operator",
    "OAuth2HttpSensor": "oauth_taskflow.taskflow.http.sensor",
    "OAuthNotifier": "oauth_taskflow.taskflow.notices.notifier",
    "OAuthRetryPolicy": "oauth_taskflow.taskflow.retry_policy",
    "OAuthSession": "oauth_taskflow.api.session",
    "build_dag": "oauth_taskflow.taskflow.dags.factory",
    "endpoint_records": "oauth_taskflow.taskflow.dags.records",
    "endpoint_tasks": "oauth_taskflow.taskflow.dags.factory",
    "load_maintenance": "oauth_taskflow.taskflow.notices.maintenance",
    "load_specs": "oauth_taskflow.taskflow.dags.load",
    "oauth_task": "oauth_taskflow.taskflow.decorator",
}

__all__ = [
    "AsyncOAuthSession",
    "OAuth2Auth",
    "OAuth2Hook",
    "OAuth2HttpOperator",
    "OAuth2HttpSensor",
    "OAuthNotifier",
    "OAuthRetryPolicy",
    "OAuthSession",
    "build_dag",
    "endpoint_records",
    "endpoint_tasks",
    "load_maintenance",
    "load_specs",
    "oauth_task",
]


def __getattr__(name: str) -> Any:
    module = _EXPORTS.get(name)
    if module is None:
        msg = f"module 'oauth_taskflow' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
