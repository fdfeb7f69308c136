"""The error that ends Airflow's search for a connection, on the API server."""

from __future__ import annotations

from typing import Any

from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied
from fastapi import HTTPException

from oauth_taskflow.errors import OAuthTaskflowError


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


def denial(error: OAuthTaskflowError) -> BrokerDenied:
    """The denial that says what ``error`` says."""
    return BrokerDenied(str(error))
