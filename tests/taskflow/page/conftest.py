"""The app of the page under Starlette's test client, with Airflow's real database and auth manager."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from starlette.testclient import TestClient

os.environ.setdefault("AIRFLOW__API_AUTH__JWT_SECRET", "a secret of these tests alone " * 3)
os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] = "admin:admin,viewer:viewer"

# ``browse("admin")``: a client that is logged in as that user by cookie; ``browse()`` is not logged in.
Browse = Callable[..., "TestClient"]
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
SAME_ORIGIN_FORM = {
    "Sec-Fetch-Site": "same-origin",
    "Content-Type": "application/x-www-form-urlencoded",
}


@pytest.fixture(scope="session")
def root_app(airflow_home: Path) -> Any:
    """An app that mounts the page where Airflow does."""
    with warnings.catch_warnings():
        # What Airflow's own dependencies warn of among themselves is not ours to fix.
        warnings.simplefilter("ignore")
        from airflow.api_fastapi.app import init_auth_manager  # noqa: PLC0415 - needs its home first
        from fastapi import FastAPI  # noqa: PLC0415 - as above

        from oauth_taskflow.taskflow.page.app import build_app  # noqa: PLC0415 - as above

        root = FastAPI()
        init_auth_manager(root)
    root.mount("/oauth", build_app())
    return root


@pytest.fixture
def browse(root_app: Any) -> Iterator[Browse]:
    """See ``Browse``."""
    from airflow.api_fastapi.app import get_auth_manager  # noqa: PLC0415 - needs its home first
    from airflow.api_fastapi.auth.managers.simple.user import (  # noqa: PLC0415 - as above
        SimpleAuthManagerUser,
    )
    from starlette.testclient import TestClient  # noqa: PLC0415 - as above

    opened: list[TestClient] = []

    def browse(name: str = "") -> TestClient:
        client = TestClient(root_app, base_url="http://airflow.test", raise_server_exceptions=False)
        if name:
            user = SimpleAuthManagerUser(username=name, role=name.upper())
            manager: Any = get_auth_manager()
            client.cookies.set("_token", manager.generate_jwt(user))
        # Changes of a test are to be seen at once.
        client.headers["Cache-Control"] = "no-cache"
        opened.append(client)
        return client

    yield browse
    for client in opened:
        client.close()


@pytest.fixture
def admin(browse: Browse) -> TestClient:
    """A client of the user who may do everything."""
    client: TestClient = browse("admin")
    return client


@pytest.fixture
def at_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow is served on this machine: the test server sends browsers nowhere else."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://127.0.0.1:8080")


@pytest.fixture
def no_connections(root_app: Any) -> Iterator[None]:
    """No stored connection and no row of the audit log before and after a test."""
    from tests.taskflow.page.stored_rows import empty  # noqa: PLC0415 - Airflow needs its home first

    assert root_app
    empty()
    yield
    empty()
