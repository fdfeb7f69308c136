"""How a task keeps the requests in its progress: sealed by Airflow's keys, or not at all."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow.errors import TokenUndecryptable
from oauth_taskflow.specs.model import Endpoint, Request
from oauth_taskflow.taskflow.dags.suspension import build_resume_options

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_home")]
ENDPOINT = Endpoint(request=Request(path="/contacts"))


def test_a_request_is_sealed_with_the_key_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", old)
    before = build_resume_options(ENDPOINT)
    assert before is not None
    assert before.seal is not None
    sealed = before.seal.close(b"page=2&token=s3cret")
    assert b"s3cret" not in sealed
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", f"{new},{old}")
    after = build_resume_options(ENDPOINT)
    assert after is not None
    assert after.seal is not None
    assert after.seal.open(sealed) == b"page=2&token=s3cret"
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", new)
    other = build_resume_options(ENDPOINT)
    assert other is not None
    assert other.seal is not None
    with pytest.raises(TokenUndecryptable):
        other.seal.open(sealed)


def test_a_task_without_keys_keeps_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "")
    options = build_resume_options(ENDPOINT)
    assert options is not None
    assert options.seal is None


def test_an_endpoint_may_keep_nothing() -> None:
    assert build_resume_options(Endpoint(request=Request(path="/contacts"), resume=False)) is None


def test_a_longest_wait_that_is_no_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("soon", "0", "-5", "inf", "nan"):
        monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__LONGEST_WAIT", text)
        with pytest.raises(
            Exception, match=rf"longest_wait is '{text}'. Write seconds, such as 60"
        ):
            build_resume_options(ENDPOINT)
