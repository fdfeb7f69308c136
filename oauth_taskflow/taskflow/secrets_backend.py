"""Broker mode: OAuth connections leave the API server without client secret and refresh token.

Set ``[secrets] backend = oauth_taskflow.taskflow.secrets_backend.OAuthBroker`` on the API server. Airflow's Execution API
resolves the connections of tasks there, so that the refresh happens there too. Airflow imports this module while it still
reads its own configuration: everything heavy is imported at the first question.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.secrets.base_secrets import BaseSecretsBackend

from oauth_taskflow.errors import (
    ConnectionConfigError,
    OAuthTaskflowError,
    TokenEndpointUnavailable,
)
from oauth_taskflow.taskflow.broker import protocol
from oauth_taskflow.taskflow.broker.protocol import Question
from oauth_taskflow.taskflow.processes import in_task

if TYPE_CHECKING:
    from oauth_taskflow.connections.parse import AirflowConnection
    from oauth_taskflow.taskflow.broker.questions import Asked

_log = logging.getLogger(__name__)
_DEFAULT_BACKENDS = (
    "airflow.secrets.environment_variables.EnvironmentVariablesBackend",
    "airflow.secrets.metastore.MetastoreBackend",
)


class OAuthBroker(BaseSecretsBackend):
    """Hands out connections that get tokens (``oauth2``, ``session``, ``self_signed_jwt``) without their long-lived secrets.

    Other connections are handed out unchanged. The broker searches where Airflow does: the wrapped ``backend`` if there
    is one, ``AIRFLOW_CONN_*`` variables, the metadata database. After a failure it denies access, because Airflow would
    otherwise go on to the raw connection. In a task's own process it returns None, so that Airflow asks the API server.

    Args:
        backend: dotted path of another secrets backend, asked first, also for variables and configuration.
        backend_kwargs: the arguments of that backend.
    """

    def __init__(
        self, backend: str | None = None, backend_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self._wrapped = _load_class(backend)(**(backend_kwargs or {})) if backend else None

    def __repr__(self) -> str:
        return f"OAuthBroker(backend={type(self._wrapped).__name__ if self._wrapped else None})"

    def _set_connection_class(self, conn_class: type) -> None:
        super()._set_connection_class(conn_class)
        if self._wrapped is not None:
            self._wrapped._set_connection_class(conn_class)  # noqa: SLF001 - Airflow's own protocol

    def get_connection(self, conn_id: str, team_name: str | None = None) -> Any:
        """The connection ``conn_id`` without long-lived secrets, or None when it is not there.

        Raises:
            AirflowSecretsBackendAccessDenied: the broker has no usable token; the message says why.
        """
        from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied  # noqa: PLC0415 - as above

        if in_task():
            return None
        question = Question.read(conn_id)
        if protocol.is_broker_bypassed():
            return self._find_configured(question.conn_id, team_name)
        try:
            return self._answer(question, team_name)
        except AirflowSecretsBackendAccessDenied as denied:
            what = f"A secrets backend denies access ({denied})"
            return self._answer_failure(
                question, ConnectionConfigError(what, conn_id=question.conn_id)
            )
        except OAuthTaskflowError as error:
            return self._answer_failure(question, error)
        except Exception as bug:  # noqa: BLE001 - after any failure the raw connection must not be handed out
            # By name only: the text may quote the connection.
            what = f"The broker failed ({type(bug).__name__})"
            return self._answer_failure(
                question, ConnectionConfigError(what, conn_id=question.conn_id)
            )

    def get_variable(self, key: str, team_name: str | None = None) -> str | None:
        """The variable ``key`` of the wrapped backend; None in a task's own process, so that it asks the API server."""
        if self._wrapped is None or in_task():
            return None
        value: str | None = self._wrapped.get_variable(key, **_make_team_argument(team_name))
        return value

    def get_config(self, key: str) -> str | None:
        """The configuration option ``key`` of the wrapped backend."""
        return None if self._wrapped is None else self._wrapped.get_config(key)

    def _answer(self, question: Question, team_name: str | None) -> Any:
        from oauth_taskflow.taskflow.broker.server import fetch_token, read_brokered_settings  # noqa: PLC0415 - as above

        found = self._find(question.conn_id, team_name) if question.conn_id else None
        if question.about:
            return self._answer_about(question, found, team_name or "")
        if found is None:
            return None
        settings = read_brokered_settings(found)
        if settings is None:
            return None if question.ours else found
        token, now = fetch_token(settings, question.refused, team_name or "")
        fields = protocol.build_token_answer(settings, token, now)
        return self._build_connection(question.conn_id, conn_type=found.conn_type, **fields)

    def _answer_about(self, question: Question, found: AirflowConnection | None, team: str) -> Any:
        """The answer to a question that is not about a token, whose asker may read the connection."""
        from oauth_taskflow.taskflow.broker.desk import answer_question, missing_error  # noqa: PLC0415 - as above
        from oauth_taskflow.taskflow.broker.questions import read_question  # noqa: PLC0415 - as above
        from oauth_taskflow.taskflow.connection_lookup import read_settings  # noqa: PLC0415 - as above

        if not question.conn_id:
            return self._answer_list(question, team)
        if found is None:
            raise missing_error(question.conn_id)
        asked = read_question(question.about)
        answer = answer_question(asked, read_settings(found), team)
        return self._build_answer(question, asked, answer)

    def _answer_list(self, question: Question, team: str) -> Any:
        """The answer to the question which connections with a stored grant there are."""
        from oauth_taskflow.taskflow.broker.desk import answer_briefly  # noqa: PLC0415 - as above
        from oauth_taskflow.taskflow.broker.notice_server import list_connections  # noqa: PLC0415 - as above
        from oauth_taskflow.taskflow.broker.questions import read_question  # noqa: PLC0415 - as above

        asked = read_question(question.about)
        answer = answer_briefly(
            "", lambda: list_connections(asked.body, lambda name: self._find(name, team or None))
        )
        return self._build_answer(question, asked, answer)

    def _build_answer(self, question: Question, asked: Asked, answer: Any) -> Any:
        from oauth_taskflow.taskflow.broker.questions import write_answer  # noqa: PLC0415 - as above

        connection = self._build_connection(question.conn_id, conn_type="oauth2")
        connection.schema = write_answer(asked, answer)
        return connection

    def _answer_failure(self, question: Question, error: OAuthTaskflowError) -> Any:
        from oauth_taskflow.taskflow.broker.denial import make_denial  # noqa: PLC0415 - as above

        _log.warning("connection %r is not handed out: %s", question.conn_id, error)
        if not question.ours:
            raise make_denial(error) from None
        return self._build_connection(question.conn_id, **protocol.build_failure_answer(error))

    def _build_connection(self, conn_id: str, **fields: Any) -> Any:
        password = fields.pop("password", None)
        connection = self._get_connection_class()(conn_id=conn_id, **fields)
        connection.conn_id = (
            conn_id  # the constructor drops one that Airflow would not store; the API needs any
        )
        # Set afterwards: the constructor would register the password with Airflow's masker for good (see log_masking).
        connection.password = password
        # [secrets] use_cache keeps this text for a quarter of an hour; the token ends sooner.
        connection.get_uri = _cache_nothing
        return connection

    def _find(self, conn_id: str, team_name: str | None) -> AirflowConnection | None:
        """The connection of the first backend that has it. A failing backend is skipped, as in Airflow's own chain.

        Raises:
            ConnectionConfigError: no backend has it, and one cannot read what it has.
            TokenEndpointUnavailable: no backend has it, and one failed. After None, Airflow would search again by
                itself, and a task that a retry could save would fail for good.
        """
        from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied  # noqa: PLC0415 - as above

        failed: dict[str, Exception] = {}
        for backend in self._list_backends():
            try:
                found: AirflowConnection | None = backend.get_connection(
                    conn_id, **_make_team_argument(team_name)
                )
            except AirflowSecretsBackendAccessDenied:
                raise
            except Exception as failure:  # noqa: BLE001 - as Airflow's own chain of backends
                failed[_log_failure(backend, failure)] = failure
                continue
            if found is not None:
                return found
        names = ", ".join(failed)
        if any(_is_unreadable(failure) for failure in failed.values()):
            raise ConnectionConfigError(
                f"The connection cannot be read: {names} failed", conn_id=conn_id
            )
        if failed:
            raise TokenEndpointUnavailable(
                f"The connection cannot be looked up: {names} failed",
                where=f"for connection {conn_id!r} on the API server",
                hint="Check that the store of the secrets is running, and that the API server may read it.",
            )
        return None

    def _list_backends(self) -> Iterator[Any]:
        if self._wrapped is not None:
            yield self._wrapped
        for path in _DEFAULT_BACKENDS:
            backend = _load_class(path)()
            backend._set_connection_class(self._get_connection_class())  # noqa: SLF001 - as above
            yield backend

    def _find_configured(self, conn_id: str, team_name: str | None) -> AirflowConnection | None:
        """The stored connection of the wrapped backend; None when it has none or fails: Airflow asks the next one."""
        from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied  # noqa: PLC0415 - as above

        if self._wrapped is None:
            return None
        try:
            found: AirflowConnection | None = self._wrapped.get_connection(
                conn_id, **_make_team_argument(team_name)
            )
        except AirflowSecretsBackendAccessDenied:
            raise
        except Exception as failure:  # noqa: BLE001 - as Airflow's own chain of backends
            _log_failure(self._wrapped, failure)
            return None
        return found


def _is_unreadable(failure: Exception) -> bool:
    """Whether a backend found a connection that it cannot read. A network error may be a ``ValueError`` too."""
    return isinstance(failure, ValueError) and not isinstance(failure, OSError)


def _log_failure(backend: Any, failure: Exception) -> str:
    """Logs and returns the class names of backend and failure. The text of a failure may quote the connection."""
    name = f"{type(backend).__name__} ({type(failure).__name__})"
    _log.warning("%s failed; searching the next secrets backend", name)
    return name


def _cache_nothing() -> None:
    return None


def _make_team_argument(team_name: str | None) -> dict[str, str]:
    """The keyword argument for backends that support teams; those written before Airflow 3.2 do not accept it."""
    return {"team_name": team_name} if team_name else {}


def _load_class(path: str) -> Any:
    """The class at the dotted path ``path``."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)
