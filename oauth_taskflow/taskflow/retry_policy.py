"""Typed errors → Airflow's retry machinery: what cannot get better fails at once, ``Retry-After`` becomes the delay.

Airflow 3.3 asks a ``RetryPolicy`` after each failure; older releases know ``AirflowFailException`` only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from oauth_taskflow.errors import DestinationError, OAuthTaskflowError, TokenStoreError

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

    Exceptions of other kinds keep Airflow's default: ``retries`` and ``retry_delay``. Nothing is retried more often
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
        if error is None:
            return RetryDecision.default()
        if is_permanent(error):
            return RetryDecision.fail(f"{type(error).__name__}: trying again cannot help")
        if error.retryable and error.retry_after is not None:
            delay = timedelta(seconds=min(error.retry_after, _LONGEST_DELAY))
            return RetryDecision.retry(delay=delay, reason=f"{type(error).__name__}: Retry-After")
        return RetryDecision.default()


def fail_fast(exception: BaseException) -> BaseException:
    """The exception to raise on Airflow releases without retry policies.

    ``AirflowFailException`` for permanent errors; the exception itself otherwise, and always where policies exist.
    """
    error = find_error(exception)
    if HAS_RETRY_POLICIES or error is None or not is_permanent(error):
        return exception
    from airflow.sdk.exceptions import AirflowFailException  # noqa: PLC0415 - Airflow 3.2 only

    failure = AirflowFailException(str(error))
    failure.__cause__ = exception
    return failure


@contextmanager
def failing_fast() -> Iterator[None]:
    """Raises what ``fail_fast`` makes of an exception."""
    try:
        yield
    except Exception as error:
        raised = fail_fast(error)
        if raised is error:
            raise
        raise raised from error
