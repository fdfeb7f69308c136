"""Running ``airflow oauth login`` in a test, and a person with a browser."""

from __future__ import annotations

import json
import webbrowser
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from oauth_taskflow.taskflow.login_command import login
from oauth_taskflow.taskflow.sessions import open_session
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import SetConnection

Connect = Callable[..., str]


@pytest.fixture
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token store of this test alone, and no desktop."""
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE", f"sqlite:///{tmp_path}/tokens.db")
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def connect(oauth_server: OAuthTestServer, set_connection: SetConnection) -> Connect:
    """``connect(par_url=...)`` makes the connection ``crm`` for a person to authorize."""

    def connect(**overrides: Any) -> str:
        place = oauth_server.base_url
        known = {
            "grant_type": "authorization_code",
            "authorize_url": f"{place}/oauth/authorize",
            "device_url": f"{place}/oauth/device",
        }
        return set_connection("crm", oauth_server.connection(**{**known, **overrides}))

    return connect


@pytest.fixture
def browser(own_store: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A browser that follows redirects; the addresses that it was sent to. (Python asks for one once per process.)"""
    monkeypatch.setenv("BROWSER", "any")
    opened: list[str] = []

    def visit(url: str) -> bool:
        opened.append(url)
        requests.get(url, timeout=5)
        return True

    monkeypatch.setattr(webbrowser, "open", visit)
    return opened


def arguments(**given: Any) -> Namespace:
    """What Airflow's CLI hands over."""
    switches = dict.fromkeys(("device", "paste", "no_browser", "revoke_old", "write_back"), False)
    whole = {"conn_id": "crm", "output": "json", "port": 0, "timeout": 20.0, **switches}
    return Namespace(**{**whole, **given})


def shown(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one row that was printed."""
    (row,) = json.loads(capsys.readouterr().out)
    assert isinstance(row, dict)
    return row


def refused(capsys: pytest.CaptureFixture[str], **given: Any) -> str:
    """What a login says that must fail."""
    with pytest.raises(SystemExit) as caught:
        login(arguments(**given))
    assert caught.value.code in {1, 2}
    return capsys.readouterr().err


def call_api(conn_id: str = "crm") -> int:
    """What a task does."""
    with open_session(conn_id) as session:
        return session.get("/page/airports").status_code
