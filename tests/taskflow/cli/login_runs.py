"""Running ``airflow oauth login`` in a test; the person and the browser are fixtures (conftest.py)."""

from __future__ import annotations

import json
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from oauth_taskflow.oauth.login.loopback import LoopbackListener
from oauth_taskflow.taskflow.cli.grants import status
from oauth_taskflow.taskflow.cli.login import login
from oauth_taskflow.taskflow.sessions import open_session
from oauth_taskflow.testing import OAuthTestServer


@contextmanager
def person_with_device(server: OAuthTestServer, after_polls: int = 0) -> Iterator[None]:
    """A person who enters the user code elsewhere, once the token endpoint was asked ``after_polls`` times."""
    pause = threading.Event()
    server.desk.device_lifetime = 80.0  # a failing test must not wait ten minutes

    def enter() -> None:
        while not server.desk.devices or server.counters.token_requests < after_polls:
            pause.wait(0.01)
        (device,) = server.desk.devices.values()
        page = f"{server.base_url}/device?user_code={device.user_code}"
        requests.get(page, timeout=60).raise_for_status()

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    yield
    thread.join()


def arguments(**given: Any) -> Namespace:
    """The arguments that Airflow's CLI passes to ``login``."""
    switches = dict.fromkeys(("device", "paste", "no_browser", "revoke_old", "write_back"), False)
    whole = {"conn_id": "crm", "output": "json", "port": 0, "timeout": 120.0, **switches}
    return Namespace(**{**whole, **given})


def read_row(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Returns the one row that a command printed."""
    (row,) = json.loads(capsys.readouterr().out)
    assert isinstance(row, dict)
    return row


def run_failing_login(capsys: pytest.CaptureFixture[str], **given: Any) -> str:
    """Runs a login that must fail, and returns its error output."""
    with pytest.raises(SystemExit) as caught:
        login(arguments(**given))
    assert caught.value.code in {1, 2}
    return capsys.readouterr().err


def read_state(capsys: pytest.CaptureFixture[str]) -> str:
    """Returns the state of the grant as ``airflow oauth status`` prints it."""
    status(Namespace(conn_id="crm", output="json"))
    return str(read_row(capsys)["state"])


@contextmanager
def hold_port() -> Iterator[int]:
    """A port of this machine that another login listens on."""
    with LoopbackListener(bool) as other:
        yield int(other.authority.partition(":")[2])


def call_api(conn_id: str = "crm") -> int:
    """Calls the API as a task does, and returns the status."""
    with open_session(conn_id) as session:
        return session.get("/page/airports").status_code
