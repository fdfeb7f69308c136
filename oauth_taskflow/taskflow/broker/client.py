"""A task's side of broker mode: asks the API server for a token through Airflow's look-up of connections."""

from __future__ import annotations

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.connections.parse import AirflowConnection
from oauth_taskflow.errors import ConnectionConfigError, LeaseTimeout, TokenEndpointUnavailable
from oauth_taskflow.taskflow.broker.protocol import question_id, read_failure

# How long a task waits for a running refresh of the broker, in seconds.
_WAIT = 60.0


def ask_broker(
    conn_id: str, refused: str | None = None, *, clock: Clock = SYSTEM_CLOCK
) -> AirflowConnection:
    """Asks the broker for connection ``conn_id`` with a token other than ``refused``; for a task's process.

    Raises:
        OAuthTaskflowError: the error that the broker raised.
        TokenEndpointUnavailable: the broker does not answer.
    """
    end = clock.monotonic() + _WAIT
    while True:
        found = _ask_once(conn_id, refused)
        failure = read_failure(found.extra)
        if failure is None:
            return found
        if not isinstance(failure, LeaseTimeout) or clock.monotonic() > end:
            raise failure
        clock.sleep(failure.retry_after or 1.0)


def _ask_once(conn_id: str, refused: str | None) -> AirflowConnection:
    from airflow.sdk import BaseHook  # noqa: PLC0415 - run time only
    from airflow.sdk.exceptions import AirflowNotFoundException  # noqa: PLC0415 - run time only

    try:
        return BaseHook.get_connection(question_id(conn_id, refused))
    except AirflowNotFoundException:
        raise TokenEndpointUnavailable(
            "Airflow's API server does not hand out a token",
            where=f"for connection {conn_id!r}",
            hint="Its log says why; [secrets] backend there must be the OAuthBroker.",
        ) from None
    except PermissionError:  # AirflowSecretsBackendAccessDenied
        raise ConnectionConfigError(
            "Airflow denies this task the connection",
            conn_id=conn_id,
            hint="Look into the API server's log.",
        ) from None
