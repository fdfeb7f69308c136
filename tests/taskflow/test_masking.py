"""What leaves a task's process as a log record holds no secret, whoever reads it afterwards."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import requests

from oauth_taskflow.taskflow.masking import mask
from oauth_taskflow.testing import OAuthTestServer


@pytest.fixture(autouse=True)
def secret() -> None:
    """Known before the test begins: Airflow sets logging up at its first import, which removes pytest's handler."""
    mask(["wire/key+0815"])


def test_the_debug_log_of_the_wire_holds_no_key_of_a_query(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with OAuthTestServer() as server, caplog.at_level(logging.DEBUG, "urllib3.connectionpool"):
        requests.get(f"{server.base_url}/echo", params={"key": "wire/key+0815"}, timeout=20)
    assert "GET /echo?key=*** HTTP/1.1" in caplog.text
    assert "0815" not in caplog.text


def test_other_records_stay_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "httpx"):
        logging.getLogger("httpx").debug("HTTP Request: %s", "GET /echo")
    assert caplog.records[0].args == ("GET /echo",)


class Supervisor:
    """What a task's process tells the process that writes its log."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def send(self, message: Any) -> None:
        self.heard.append(message.value)


def test_the_supervisor_is_told_once_and_the_long_forms_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - Airflow needs its home first

    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    for _ in range(2):
        mask(["one/secret", "another&secret", ""])
    (told,) = supervisor.heard
    assert {"one/secret", "one%2Fsecret", "another%26secret"} <= set(told)
    assert told == sorted(told, key=len)
