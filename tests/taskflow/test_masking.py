"""What leaves a task's process as a log record holds no secret, whoever reads it afterwards."""

from __future__ import annotations

import logging

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
