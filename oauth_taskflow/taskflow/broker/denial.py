"""The error that ends Airflow's search for a connection, on the API server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied
from fastapi import HTTPException

from oauth_taskflow.errors import OAuthTaskflowError

_Hook = Callable[[type[BaseException], BaseException, TracebackType | None], Any]
_HOW_TO_SEE_STORED = (
    "Airflow's UI (Admin, Connections) shows what is stored, and this command writes it to a file: "
    "airflow connections export FILE"
)


class BrokerDenied(AirflowSecretsBackendAccessDenied, HTTPException):
    """Without a usable token the broker denies the whole connection.

    As a denial it stops Airflow's chain of secrets backends. As an ``HTTPException`` it makes the Execution API answer
    403, which the task's own chain reads as a denial. Any other error would become a 500, which Airflow retries for a
    minute and then reports as "not found".
    """

    def __init__(self, message: str) -> None:
        PermissionError.__init__(self, message)
        self.status_code = 403
        self.detail: Any = {"reason": "access_denied", "message": message}
        self.headers = None

    def __str__(self) -> str:
        return str(self.args[0])


def make_denial(error: OAuthTaskflowError) -> BrokerDenied:
    """A denial with the message of ``error``; a command that it ends, such as ``airflow connections get``, prints no traceback."""
    if not isinstance(sys.excepthook, _DenialHook):
        sys.excepthook = _DenialHook(sys.excepthook)
    return BrokerDenied(str(error))


@dataclass(frozen=True)
class _DenialHook:
    """Prints a denial that ends the process without a traceback; Airflow's commands catch "not found" only."""

    before: _Hook

    def __call__(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, BrokerDenied):
            self.before(kind, error, trace)
            return
        print(f"The broker denies this connection. {error}\n{_HOW_TO_SEE_STORED}", file=sys.stderr)  # noqa: T201 - the end
