"""Typed errors → Airflow's retry machinery: what cannot get better fails at once, ``Retry-After`` becomes the delay.

Airflow 3.3 asks a ``RetryPolicy`` after each failure; older releases know ``AirflowFailException`` only.
"""

from __future__ import annotations

import logging
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
# A database or a disk that failed may be back in a minute: neither certain to heal nor certain not to.
_UNDECIDED = (TokenStoreError, DestinationError)
_WITHOUT_TRACEBACK = (ConnectionConfigError, TokenRequestError, TokenStoreError)
# Packages whose frames stand between the author's line and an error of ours.
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
    """Whether trying again is certain to fail until somebody changes something."""
    return not error.retryable and type(error) not in _UNDECIDED


class OAuthRetryPolicy(RetryPolicy):
    """Permanent errors fail the task at once; a server's ``Retry-After`` is the delay of the next try.

    So does a ``RecursionError``, as of JSON that is nested too deep. Exceptions of other kinds keep Airflow's default:
    ``retries`` and ``retry_delay``. Nothing is retried more often
    than ``retries`` says. ``@oauth_task`` and the spec DAGs use it unless they are given another policy
    (https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/tasks.html).
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002 - Airflow's signature
        max_tries: int,  # noqa: ARG002 - Airflow's signature
        context: Any = None,  # noqa: ARG002 - Airflow's signature
    ) -> RetryDecision:
        """What Airflow shall do after ``exception``."""
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
    """Raises what ``make_airflow_failure`` makes of an exception. A typed error ends the task with its message.

    Its way through this package goes to the log at DEBUG.
    """
    return _FailureMapper()


class _FailureMapper:
    """Not a generator: ``contextlib`` gives an exception that passes one its whole traceback back."""

    def __enter__(self) -> None:
        """Nothing: all is done on the way out."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        typed = None if error is None else find_error(error)
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
    """Leave of the traceback of ``error`` the way to the author's line, and drop causes, which the message names.

    Connection, token and store are no matter of the line that needed them: of those nothing is left.
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
