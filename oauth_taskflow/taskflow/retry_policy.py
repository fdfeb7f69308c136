"""Maps typed errors to Airflow's retries: permanent errors fail at once, ``Retry-After`` becomes the delay.

Airflow 3.3 asks a ``RetryPolicy`` after each failure; older releases know ``AirflowFailException`` only.
"""

from __future__ import annotations

import logging
import sys
from contextlib import AbstractContextManager
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

from oauth_taskflow.errors import (
    ConnectionConfigError,
    DestinationError,
    OAuthTaskflowError,
    TokenRequestError,
    TokenStoreError,
)
from oauth_taskflow.failure_log import end_expectation, expect_failure

if TYPE_CHECKING:
    from airflow.sdk import RetryDecision, RetryPolicy

    HAS_RETRY_POLICIES = True
else:
    try:
        from airflow.sdk import RetryDecision, RetryPolicy

        HAS_RETRY_POLICIES = True
    except (ImportError, AttributeError):  # Airflow 3.2
        RetryPolicy, HAS_RETRY_POLICIES = object, False

# Beyond the year 9999 Airflow's scheduler, which adds the delay to a date, would fail for every task.
_LONGEST_DELAY = 366 * 86400.0
# A database or a disk that failed may work again in a minute, or never.
_UNDECIDED = (TokenStoreError, DestinationError)
_WITHOUT_TRACEBACK = (ConnectionConfigError, TokenRequestError, TokenStoreError)
# Packages whose frames lie between the author's line and an error of this package.
_LIBRARIES = frozenset(
    {"oauth_taskflow", "requests", "urllib3", "httpx", "contextlib", "concurrent"}
)
_log = logging.getLogger(__name__)


def find_error(exception: BaseException) -> OAuthTaskflowError | None:
    """The typed error that ``exception`` is, or was explicitly raised from."""
    seen: BaseException | None = exception
    while seen is not None and not isinstance(seen, OAuthTaskflowError):
        seen = seen.__cause__
    return seen


def is_permanent(error: OAuthTaskflowError) -> bool:
    """Whether every retry fails until a person changes the configuration."""
    return not error.retryable and type(error) not in _UNDECIDED


class OAuthRetryPolicy(RetryPolicy):
    """Permanent errors fail the task at once; a server's ``Retry-After`` is the delay of the next try.

    A ``RecursionError``, as from JSON that is nested too deep, fails at once too. Other exceptions keep Airflow's
    default: ``retries`` and ``retry_delay``. A task is never retried more often than ``retries`` says. ``@oauth_task`` and
    the spec DAGs use this policy unless they are given another one
    (https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/tasks.html).
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002 - Airflow's signature
        max_tries: int,  # noqa: ARG002 - Airflow's signature
        context: Any = None,  # noqa: ARG002 - Airflow's signature
    ) -> RetryDecision:
        """The decision of Airflow after ``exception``."""
        error = find_error(exception)
        if isinstance(exception, RecursionError):
            return RetryDecision.fail("RecursionError: trying again cannot help")
        if error is None:
            return RetryDecision.default()
        if is_permanent(error):
            return RetryDecision.fail(f"{type(error).__name__}: trying again cannot help")
        if error.retryable and error.retry_after is not None:
            delay = timedelta(seconds=min(error.retry_after, _LONGEST_DELAY))
            return RetryDecision.retry(delay=delay, reason=f"{type(error).__name__}: Retry-After")
        return RetryDecision.default()


def set_default_retry_policy(operator: Any) -> None:
    """Gives ``operator`` an ``OAuthRetryPolicy``, unless its author chose a policy or Airflow has none."""
    if HAS_RETRY_POLICIES and operator.retry_policy is None:
        operator.retry_policy = OAuthRetryPolicy()


def make_airflow_failure(exception: BaseException) -> BaseException:
    """The exception to raise on Airflow releases without retry policies.

    ``AirflowFailException`` for permanent errors; the exception itself otherwise, and always where policies exist.
    """
    error = find_error(exception)
    permanent = isinstance(exception, RecursionError) or (error and is_permanent(error))
    if HAS_RETRY_POLICIES or not permanent:
        return exception
    from airflow.sdk.exceptions import AirflowFailException  # noqa: PLC0415 - Airflow 3.2 only

    failure = AirflowFailException(str(error or exception))
    failure.__cause__ = exception
    return failure


def map_failures() -> AbstractContextManager[None]:
    """Ends a task with the message of its typed error; raises ``make_airflow_failure(error)`` for exceptions of the block.

    The request slots that the task holds are given back while Airflow's API server can still be asked. The traceback through this package is logged at DEBUG.
    """
    return _FailureMapper()


class _FailureMapper:
    """The context manager behind ``map_failures``; ``contextlib`` would restore the whole traceback of the exception."""

    def __enter__(self) -> None:
        """Lets lines in the log leave out the text of an error that Airflow prints."""
        expect_failure()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        leftovers = sys.modules.get("oauth_taskflow.budgets.leftovers")
        if leftovers is not None:  # otherwise no session was opened
            leftovers.return_all()
        typed = None if error is None else find_error(error)
        end_expectation(typed)
        if error is None or (typed is None and not isinstance(error, RecursionError)):
            return
        if typed is not None:
            _log.debug("%s: the whole traceback", type(typed).__name__, exc_info=error)
            _shorten(typed)
        raised = make_airflow_failure(error)
        if raised is error:
            raise error
        raise raised from error


def _shorten(error: OAuthTaskflowError) -> None:
    """Cuts the traceback of ``error`` at the author's line, and drops causes, which the message names.

    Errors of connection, token and store lose the whole traceback: no line of the author caused them.
    """
    error.__cause__ = error.__context__ = None
    if isinstance(error, _WITHOUT_TRACEBACK):
        error.__traceback__ = None
        return
    trace = last = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] not in _LIBRARIES:
            last = trace
        trace = trace.tb_next
    if last is not None:
        last.tb_next = None
