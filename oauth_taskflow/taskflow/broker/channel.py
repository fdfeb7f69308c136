"""A task's way to ask the broker about budgets and watermarks: Airflow's look-up of connections, asked directly.

The public look-up reports "not found" when the API server is away, too. Here the two differ: only an API server that answers
may be one that does not know the question.
"""

from __future__ import annotations

from typing import Any

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.errors import ConnectionConfigError, TokenStoreError
from oauth_taskflow.taskflow.broker.protocol import address_question, read_failure
from oauth_taskflow.taskflow.broker.questions import read_answer, write_question

# Seconds for which a broker that has no time is asked again; the supervisor itself repeats a question for half a minute.
_PATIENCE = 60.0


class UnknownQuestion(Exception):
    """The API server answers, and does not know the question: it has an earlier release, or no broker."""


def ask_about(
    conn_id: str, kind: str, body: Any = None, *, patient: bool = True, clock: Clock = SYSTEM_CLOCK
) -> Any:
    """Asks the broker about connection ``conn_id``, and returns its answer; for a task's process.

    ``patient`` asks again for a while when the broker has no time.

    Raises:
        UnknownQuestion: the API server does not know such questions.
        TooLong: the question does not fit into a look-up.
        TokenStoreError: the API server or its store is away; retryable.
        OAuthTaskflowError: the error that the broker raised.
    """
    end = clock.monotonic() + _PATIENCE
    while True:
        nonce, text = write_question(kind, body)
        found = _look_up(conn_id, address_question(conn_id, text))
        failure = None if found is None else read_failure(found.extra)
        if failure is None:
            answer = None if found is None else read_answer(found.schema_, nonce)
            if answer is None:
                raise UnknownQuestion
            return answer[0]
        pause = failure.retry_after if isinstance(failure, TokenStoreError) else None
        if pause is None or not patient or clock.monotonic() > end:
            raise failure
        clock.sleep(min(max(pause, 0.1), 5.0))


def _look_up(conn_id: str, name: str) -> Any:
    """Returns the connection ``name`` of the API server; None if it answers that there is none.

    Raises:
        TokenStoreError: it does not answer.
        ConnectionConfigError: it denies access.
    """
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType  # noqa: PLC0415 - run time only
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - run time only
    from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection  # noqa: PLC0415 - run time only

    try:
        answer = task_runner.SUPERVISOR_COMMS.send(GetConnection(conn_id=name))
    except AirflowRuntimeError as failure:
        answer = failure.error
    except (
        OSError,
        EOFError,
        RuntimeError,
    ) as failure:  # the task is ending, and its channel is closed
        raise _away_error(conn_id, type(failure).__name__) from failure
    if not isinstance(answer, ErrorResponse):
        return answer
    if answer.error == ErrorType.CONNECTION_NOT_FOUND:
        return None
    if answer.error == ErrorType.PERMISSION_DENIED:
        raise ConnectionConfigError(
            "Airflow denies this task the connection",
            conn_id=conn_id,
            hint="Look into the API server's log.",
        )
    raise _away_error(conn_id, str(answer.error.value))


def _away_error(conn_id: str, reason: str) -> TokenStoreError:
    error = TokenStoreError(
        f"Airflow's API server, which keeps budgets and watermarks in broker mode, does not answer ({reason})",
        where=f"for connection {conn_id!r}",
        hint="Check that it runs; the task can be tried again.",
    )
    error.retryable = True
    return error
