"""The result of one trial call, whatever the API does; the call never raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oauth_taskflow.taskflow.connection_lookup import load_settings
from oauth_taskflow.taskflow.grants import trial_call
from oauth_taskflow.taskflow.grants.trial_call import TrialResult, try_call
from tests.api.scripted import Reply, scripted
from tests.taskflow.conftest import SetConnection

pytestmark = pytest.mark.airflow
Try = Callable[..., TrialResult]


@pytest.fixture
def try_with(set_connection: SetConnection) -> Try:
    """``try_with(reply)`` calls an API that gives this reply."""

    def run(reply: Any, **options: Any) -> TrialResult:
        with scripted(lambda _: reply) as api:
            extra = {"auth_type": "none"}
            set_connection("crm", {"conn_type": "oauth2", "host": api.url, "extra": extra})
            return try_call(load_settings("crm"), **options)

    return run


@pytest.mark.parametrize(
    ("reply", "ok", "said"),
    [
        (Reply({}), True, "The API answered: HTTP 200 from http://127.0.0.1"),
        (Reply({}, 500), True, "The API answered: HTTP 500"),
        (Reply({}, 401), False, "The credentials were refused: HTTP 401"),
        (Reply(drop=True), False, "127.0.0.1"),
    ],
)
def test_every_reply_has_its_sentence(try_with: Try, reply: Reply, ok: bool, said: str) -> None:
    result = try_with(reply)
    assert result.ok is ok
    assert said in result.text


def test_an_api_that_hangs_is_left_after_a_while(try_with: Try) -> None:
    assert try_with(Reply(silent=True), patience=0.2) == TrialResult(
        ok=False, text="The API did not answer within 0.2 s."
    )


def test_a_defect_shows_by_name_only(try_with: Try, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise LookupError("s3cret")

    monkeypatch.setattr(trial_call, "call_api", fail)
    assert try_with(Reply({})).text == "The call failed (LookupError)."
