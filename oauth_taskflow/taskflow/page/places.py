"""Where the page is: every absolute URL begins with the path of ``[api] base_url``."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

# Airflow mounts the app here; the menu entry is /plugin/oauth of Airflow's own UI.
PREFIX = "/oauth"
UI_ROUTE = "/plugin/oauth"
# The page of the app that finishes a consent.
CONSENT_PAGE = "/consent"
# The tabs on a DAG, a task and a task instance: what Airflow calls an endpoint's own page differs by its place.
DAG_TAB, TASK_TAB, INSTANCE_TAB = "oauth-endpoints", "oauth-endpoint", "oauth-endpoint-run"


def base_path() -> str:
    """The path of ``[api] base_url`` without a slash at its end; empty when Airflow is at the root of its host."""
    return urlsplit(base_url()).path.rstrip("/")


def base_url() -> str:
    """``[api] base_url``, empty if it is not configured."""
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - run time only

    return (conf.get("api", "base_url", fallback="") or "").strip()


def page_url(path: str = "/") -> str:
    """The absolute path of ``path`` of the app, as in ``page_url("/api/connections")``."""
    return f"{base_path()}{PREFIX}{path}"


def ui_url(path: str = "") -> str:
    """The absolute path of the page inside Airflow's UI; ``path`` is what follows it, such as ``/connect/crm``."""
    return f"{base_path()}{UI_ROUTE}{path}"


def static_url(name: str) -> str:
    """The absolute path of a file of ``static``. It holds the version: browsers keep modules by their address."""
    return page_url(f"/static/{package_version()}/{name}")


@cache
def package_version() -> str:
    """The version of this package."""
    try:
        return version("oauth-taskflow")
    except PackageNotFoundError:
        return "0"
