"""The error of a task when the API server cannot be asked, or has no time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oauth_taskflow.errors import ConnectionConfigError, OAuthTaskflowError, TokenStoreError
from oauth_taskflow.taskflow.broker.budget_client import BrokerBudgetStore
from oauth_taskflow.taskflow.broker.channel import ask_about
from oauth_taskflow.taskflow.broker.notice_client import BrokerNoticeKeeper
from oauth_taskflow.taskflow.broker.watermark_client import BrokerWatermarkStore

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_home")]


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """``supervisor(answer)`` makes this process a task whose look-ups get ``answer``, or raise it."""
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - needs its home first

    def answer_with(answer: Any) -> None:
        class Comms:
            @staticmethod
            def send(_: Any) -> Any:
                if isinstance(answer, Exception):
                    raise answer
                return answer

        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Comms, raising=False)

    return answer_with


def error_of(kind: str) -> Any:
    from airflow.sdk.exceptions import ErrorType  # noqa: PLC0415 - needs its home first
    from airflow.sdk.execution_time.comms import ErrorResponse  # noqa: PLC0415 - as above

    return ErrorResponse(error=ErrorType[kind])


def fail(supervisor: Callable[[Any], None], answer: Any) -> OAuthTaskflowError:
    supervisor(answer)
    with pytest.raises(OAuthTaskflowError) as caught:
        ask_about("crm", "budget")
    return caught.value


@pytest.mark.parametrize("error", [OSError(), EOFError(), RuntimeError("closed")])
def test_a_channel_that_is_closed_is_a_server_that_is_away(
    supervisor: Callable[[Any], None], error: Exception
) -> None:
    failure = fail(supervisor, error)
    assert isinstance(failure, TokenStoreError)
    assert failure.retryable
    assert f"does not answer ({type(error).__name__})" in failure.what


def test_a_task_that_is_denied_the_connection_fails_for_good(
    supervisor: Callable[[Any], None],
) -> None:
    failure = fail(supervisor, error_of("PERMISSION_DENIED"))
    assert isinstance(failure, ConnectionConfigError)
    assert not failure.retryable
    assert failure.what == "Airflow denies this task the connection"


def test_other_errors_of_the_server_may_pass(supervisor: Callable[[Any], None]) -> None:
    from airflow.sdk.exceptions import AirflowRuntimeError  # noqa: PLC0415 - needs its home first

    for answer in (error_of("GENERIC_ERROR"), AirflowRuntimeError(error_of("GENERIC_ERROR"))):
        failure = fail(supervisor, answer)
        assert isinstance(failure, TokenStoreError)
        assert failure.retryable


def test_the_clients_of_the_broker_name_themselves() -> None:
    unused: Any = None
    assert repr(BrokerBudgetStore("crm", unused)) == "BrokerBudgetStore('crm')"
    assert repr(BrokerNoticeKeeper()) == "BrokerNoticeKeeper()"
    assert repr(BrokerWatermarkStore(unused)) == "BrokerWatermarkStore()"
