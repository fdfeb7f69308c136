"""Running ``airflow oauth login`` in a test; the person and the browser are fixtures (conftest.py)."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

import pytest

from oauth_taskflow.taskflow.login_command import login
from oauth_taskflow.taskflow.sessions import open_session


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
