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
    "What is stored is in Airflow's UI (Admin, Connections) and in what this writes: "
    "airflow connections export FILE"
)


class BrokerDenied(AirflowSecretsBackendAccessDenied, HTTPException):
    """No token could be had, and nothing else is handed out instead.

    As a denial it stops Airflow's chain of secrets backends. As an ``HTTPException`` it makes the Execution API answer
    403, which the task's own chain takes for a denial; any other error becomes a 500, which is repeated for a minute
    and then counts as "not found".
    """

    def __init__(self, message: str) -> None:
        PermissionError.__init__(self, message)
        self.status_code = 403
        self.detail: Any = {"reason": "access_denied", "message": message}
        self.headers = None

    def __str__(self) -> str:
        return str(self.args[0])


def make_denial(error: OAuthTaskflowError) -> BrokerDenied:
    """The denial that says what ``error`` says; a command such as ``airflow connections get`` that it ends says no more."""
    if not isinstance(sys.excepthook, _DenialHook):
        sys.excepthook = _DenialHook(sys.excepthook)
    return BrokerDenied(str(error))


@dataclass(frozen=True)
class _DenialHook:
    """Ends a process that a denial ends with sentences; Airflow's commands catch "not found" only."""

    before: _Hook

    def __call__(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, BrokerDenied):
            self.before(kind, error, trace)
            return
        print(f"The broker hands nothing out. {error}\n{_HOW_TO_SEE_STORED}", file=sys.stderr)  # noqa: T201 - the end
