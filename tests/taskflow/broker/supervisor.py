"""A task and its API server in one process: what the task asks passes through the messages and models of the real ones."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from oauth_taskflow.taskflow import secrets_backend
from oauth_taskflow.taskflow.secrets_backend import OAuthBroker

Answers = Callable[[str], Any]


class Supervisor:
    """Looks the connections of a task up with ``answers``, one after the other as Airflow's does, and keeps their ids."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self._lock = threading.Lock()

    def send(self, message: Any) -> Any:
        from airflow.api_fastapi.execution_api.datamodels.connection import ConnectionResponse  # noqa: PLC0415 - needs its home first
        from airflow.sdk.exceptions import ErrorType  # noqa: PLC0415 - as above
        from airflow.sdk.execution_time.comms import ConnectionResult, ErrorResponse  # noqa: PLC0415 - as above

        if type(message).__name__ != "GetConnection":
            return None
        with self._lock:
            self.asked.append(message.conn_id)
            found = self.answers(message.conn_id)
        if found is None:
            return ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND)
        if isinstance(found, ErrorResponse):
            return found
        wire = ConnectionResponse.model_validate(found).model_dump_json(by_alias=True)
        return ConnectionResult.model_validate_json(wire)


def not_found(_: str) -> None:
    """Answers of an API server without a broker."""


def broker_answers(team: str | None = None) -> Answers:
    """Answers of an API server with this release's broker."""
    from airflow.models import Connection  # noqa: PLC0415 - needs its home first

    backend = OAuthBroker()
    backend._set_connection_class(Connection)  # noqa: AIR311 - the class that Airflow's server sets
    return lambda conn_id: backend.get_connection(conn_id, team)


def supervise(monkeypatch: pytest.MonkeyPatch, answers: Answers | None = None) -> Supervisor:
    """Makes this process a task, whose connections come from ``answers``, by default those of the broker."""
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - needs its home first

    supervisor = Supervisor(answers or broker_answers())
    monkeypatch.setattr(secrets_backend, "in_task", lambda: False)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    return supervisor
