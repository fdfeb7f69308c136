"""The parts that the package adds to Airflow's UI. Airflow reads the properties on the API server; nothing of FastAPI loads before that.

https://airflow.apache.org/docs/apache-airflow/stable/administration-and-deployment/plugins.html
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from oauth_taskflow.taskflow.page.places import (
    DAG_TAB,
    INSTANCE_TAB,
    PREFIX,
    TASK_TAB,
    static_url,
)

_log = logging.getLogger(__name__)


class PagePlugin(AirflowPlugin):
    """The page "OAuth" in the menu Admin, and the app that answers it."""

    @cached_property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]  # computed when the API server asks
        """The app below ``/oauth``. A failure is only logged: the API server must start without the page."""
        try:
            from oauth_taskflow.taskflow.page.app import build_app  # noqa: PLC0415 - on the API server only

            return [{"app": build_app(), "url_prefix": PREFIX, "name": "OAuth"}]
        except Exception as failure:  # noqa: BLE001  # by name only: a message may show configuration
            _log.error("The page OAuth is missing: %s", type(failure).__name__)
            return []

    @cached_property
    def react_apps(self) -> list[Any]:  # type: ignore[override]  # as above
        """The page, and what other subjects add."""
        return [
            {
                "name": "OAuth",
                "bundle_url": static_url("main.js"),
                "destination": "nav",
                "category": "admin",
                "url_route": "oauth",
            },
            *_tabs(),
        ]


def _tabs() -> list[dict[str, str]]:
    """The tabs with endpoints: one file, which Airflow gives the ids of its place."""
    places = (
        ("Endpoints", "dag", DAG_TAB),
        ("Endpoint", "task", TASK_TAB),
        ("Endpoint", "task_instance", INSTANCE_TAB),
    )
    url = static_url("endpoints.js")
    return [
        {"name": name, "bundle_url": url, "destination": destination, "url_route": route}
        for name, destination, route in places
    ]
