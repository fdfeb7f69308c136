"""The server, started once, with fixtures of the page and of Airflow."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.taskflow.conftest import (  # fixtures, and Airflow's home before Airflow is imported
    SetConnection,
    _home_is_thrown_away,
    airflow_home,
    no_grants_of_others,
    own_store,
    set_connection,
)
from tests.taskflow.page.conftest import admin, at_loopback, browse, root_app
from tests.taskflow.page.consents import CALLBACK

__all__ = [
    "_home_is_thrown_away",
    "admin",
    "airflow_home",
    "at_loopback",
    "browse",
    "no_grants_of_others",
    "own_store",
    "root_app",
    "set_connection",
]

HERE = Path(__file__).parent
SECRET = "a-secret-of-this-test-alone"


@pytest.fixture(scope="session")
def issuers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The issuers of both servers, ``plain`` and ``strict``."""
    log = tmp_path_factory.mktemp("oidc_provider") / "log"
    with log.open("wb") as errors:
        server = subprocess.Popen(
            ["node", str(HERE / "server.mjs"), CALLBACK],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        ready = server.stdout.readline()
        if not ready:
            pytest.fail(f"oidc-provider did not start: {log.read_text()}")
        yield json.loads(ready)
    finally:
        server.stdin.close()  # it ends with its standard input
        server.wait(30)
        server.stdout.close()


Register = Callable[..., str]


@pytest.fixture
def register(issuers: Mapping[str, str], set_connection: SetConnection) -> Register:
    """``register("strict", dpop=True)`` makes the connection ``crm`` to that server, whose API is its userinfo endpoint."""

    def register(kind: str = "plain", *, client: str = "airflow", **extra: Any) -> str:
        known = {
            "grant_type": "authorization_code",
            "issuer": issuers[kind],
            "scope": "openid offline_access",
            "authorize_params": {"prompt": "consent"},
        }
        public = {"client_auth": "none"} if client == "terminal" else {}
        connection = {
            "conn_type": "oauth2",
            "host": issuers[kind],
            "login": client,
            "password": "" if public else SECRET,
            "extra": {**known, **public, **extra},
        }
        return set_connection("crm", connection)

    return register
