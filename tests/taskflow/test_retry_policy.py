"""Typed errors → Airflow's decision, with and without the retry policies of Airflow 3.3."""

from __future__ import annotations

import logging
import math
import runpy
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import airflow.sdk
import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from oauth_taskflow.api.auth import NoAuth
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.errors import (
    ApiRequestFailed,
    ConnectionConfigError,
    ConsentRequired,
    DestinationError,
    InvalidClient,
    InvalidGrant,
    InvalidRecord,
    InvalidTokenResponse,
    LeaseTimeout,
    OAuthTaskflowError,
    TokenEndpointUnavailable,
    TokenStoreError,
    TokenUndecryptable,
)
from oauth_taskflow.taskflow import retry_policy
from oauth_taskflow.taskflow.decorator import OAuthDecoratedOperator, oauth_task
from oauth_taskflow.taskflow.retry_policy import (
    HAS_RETRY_POLICIES,
    OAuthRetryPolicy,
    find_error,
    make_airflow_failure,
    map_failures,
)
from oauth_taskflow.testing import OAuthTestServer

if HAS_RETRY_POLICIES:
    from airflow.sdk import RetryDecision

with_policies = pytest.mark.skipif(not HAS_RETRY_POLICIES, reason="retry policies came with 3.3")


def decide(exception: BaseException) -> RetryDecision:
    return OAuthRetryPolicy().evaluate(exception, 1, 3)


def chain_error(by: BaseException) -> Exception:
    outer = RuntimeError("the author's own error")
    outer.__cause__ = by
    return outer


DEAD = InvalidGrant(error="invalid_grant", status=400, where="at x", grant="refresh_token")
PERMANENT = [
    DEAD,
    ConnectionConfigError("Unknown field", conn_id="crm"),
    ApiRequestFailed("Not found", where="at x", status=404),
    TokenUndecryptable("No key opens it"),
    InvalidTokenResponse("A web page came"),
    InvalidClient(error="invalid_client", status=401, where="at x"),
    ConsentRequired(error="login_required", status=400, where="at x"),
    chain_error(DEAD),
]


@with_policies
@pytest.mark.parametrize("exception", PERMANENT)
def test_permanent_errors_fail_at_once(exception: BaseException) -> None:
    name = type(find_error(exception)).__name__
    assert decide(exception) == RetryDecision.fail(f"{name}: trying again cannot help")


@with_policies
def test_a_recursion_error_fails_at_once() -> None:
    verdict = RetryDecision.fail("RecursionError: trying again cannot help")
    assert decide(RecursionError("maximum recursion depth exceeded")) == verdict


@with_policies
def test_a_truncated_page_keeps_the_retries_of_the_task() -> None:
    cut = InvalidRecord("The API's answer is not JSON", retryable=True)
    assert decide(cut) == RetryDecision.default()
    assert decide(InvalidRecord("NaN")).reason == "InvalidRecord: trying again cannot help"


@with_policies
def test_retry_after_becomes_the_delay() -> None:
    limited = ApiRequestFailed("Busy", where="at x", status=429, retryable=True, retry_after=1800.0)
    assert decide(limited) == RetryDecision.retry(
        delay=timedelta(minutes=30), reason="ApiRequestFailed: Retry-After"
    )


@with_policies
@pytest.mark.parametrize("seconds", [math.inf, 1e12, 251_602_300_799.0])
def test_a_delay_longer_than_a_year_is_cut_to_a_year(seconds: float) -> None:
    limited = ApiRequestFailed("Busy", where="at x", retryable=True, retry_after=seconds)
    assert decide(limited).retry_delay == timedelta(days=366)


@with_policies
@pytest.mark.parametrize(
    "exception",
    [
        TokenEndpointUnavailable("No answer"),
        LeaseTimeout("Still held"),
        TokenStoreError("The database is down"),
        DestinationError("The bucket is away"),
        ValueError("something else"),
        chain_error(ValueError("something else")),
    ],
)
def test_errors_that_may_heal_keep_the_retries_of_the_task(exception: BaseException) -> None:
    assert decide(exception) == RetryDecision.default()


@with_policies
def test_with_retry_policies_the_exception_itself_is_raised() -> None:
    assert make_airflow_failure(DEAD) is DEAD


def test_without_retry_policies_permanent_errors_become_airflow_fail_exceptions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry_policy, "HAS_RETRY_POLICIES", False)
    failed = make_airflow_failure(DEAD)
    assert isinstance(failed, AirflowFailException)
    assert str(failed) == str(DEAD)
    assert failed.__cause__ is DEAD
    transient = TokenEndpointUnavailable("No answer")
    assert make_airflow_failure(transient) is transient
    other = ValueError("something else")
    assert make_airflow_failure(other) is other
    assert isinstance(make_airflow_failure(RecursionError("too deep")), AirflowFailException)


@with_policies
def test_an_airflow_without_retry_policies_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(airflow.sdk, "RetryPolicy", raising=False)
    monkeypatch.delitem(vars(airflow.sdk)["__lazy_imports"], "RetryPolicy")
    older = runpy.run_path(str(retry_policy.__file__))
    assert older["HAS_RETRY_POLICIES"] is False
    assert older["OAuthRetryPolicy"].__bases__ == (object,)


def test_without_retry_policies_a_task_fails_for_good_on_a_broken_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry_policy, "HAS_RETRY_POLICIES", False)
    monkeypatch.setenv("AIRFLOW_CONN_CRM", '{"conn_type": "oauth2"}')
    operator = task_of()
    assert operator.retry_policy is None
    ti: Any = type("TaskInstance", (), {"task_id": "f"})()
    ti.xcom_push = ti.axcom_push = None
    with pytest.raises(AirflowFailException, match="The API's address is missing"):
        operator.execute({"ti": ti})


def task_of(**kwargs: Any) -> OAuthDecoratedOperator:
    @oauth_task(conn_id="crm", **kwargs)
    def f(session: Any) -> None:
        """Never called."""

    with DAG("one", schedule=None) as dag:
        f()
    operator = dag.get_task("f")
    assert isinstance(operator, OAuthDecoratedOperator)
    return operator


@with_policies
def test_the_policy_is_attached_unless_the_author_chose_one() -> None:
    class Own(OAuthRetryPolicy):
        """The author's."""

    assert type(task_of().retry_policy) is OAuthRetryPolicy
    own = Own()
    assert task_of(retry_policy=own).retry_policy is own


def _raise_token_error() -> None:
    raise DEAD from OSError("no route")


def _callers_line() -> None:
    fetch()


def fetch() -> None:
    """Stands for the code of an author, which a module of the package calls in turn."""
    with OAuthTestServer() as server, OAuthSession(server.base_url, NoAuth()) as session:
        session.get("/nowhere").raise_for_status()


def frames(error: BaseException) -> list[str]:
    return [entry.name for entry in traceback.extract_tb(error.__traceback__)]


def run_to_failure(work: Callable[[], None]) -> BaseException:
    with pytest.raises(OAuthTaskflowError) as caught, map_failures():
        work()
    return caught.value


def test_a_refused_token_ends_a_task_with_its_message_and_a_handful_of_frames(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG, retry_policy.__name__):
        error = run_to_failure(_raise_token_error)
    assert len(frames(error)) < 5
    assert "_raise_token_error" not in frames(error)
    assert error.__cause__ is None
    assert "no route" in caplog.text
    assert "_raise_token_error" in caplog.text


def test_an_error_of_the_api_ends_at_the_line_of_the_author() -> None:
    error = run_to_failure(_callers_line)
    assert frames(error)[-1] == "fetch"
    assert isinstance(error, ApiRequestFailed)


def test_an_authors_own_exception_keeps_its_traceback_and_its_typed_cause() -> None:
    def own() -> None:
        try:
            _raise_token_error()
        except OAuthTaskflowError as error:
            raise ValueError("no contacts") from error

    with pytest.raises(ValueError, match="no contacts") as caught, map_failures():
        own()
    assert frames(caught.value)[-1] == "own"
    assert caught.value.__cause__ is DEAD
