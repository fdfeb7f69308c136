"""Finds an Airflow Connection by its id, in a task, a script and a command, and reads its settings."""

from __future__ import annotations

import os

from oauth_taskflow.connections.parse import AirflowConnection, parse_connection
from oauth_taskflow.connections.settings import ConnectionSettings
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.redaction import redact_line
from oauth_taskflow.suggestions import did_you_mean
from oauth_taskflow.taskflow import log_masking
from oauth_taskflow.taskflow.broker.client import ask_broker
from oauth_taskflow.taskflow.broker.protocol import bypass_broker
from oauth_taskflow.taskflow.config import presets_folder
from oauth_taskflow.taskflow.processes import in_task

_LONGEST_REASON = 160


def find_connection(conn_id: str) -> AirflowConnection:
    """Returns the Connection ``conn_id``, as far as this process can see it.

    A task asks Airflow's Execution API, where the broker may answer (``secrets_backend``). Elsewhere the SDK knows
    secrets backends and ``AIRFLOW_CONN_*`` variables only, so the metadata database is asked next
    (https://airflow.apache.org/docs/apache-airflow/stable/howto/connection.html).

    Raises:
        ConnectionConfigError: a connection of that id does not exist.
        OAuthTaskflowError: the broker could not get a token for it; says why.
    """
    if not conn_id:
        raise _empty_id_error()
    found = _from_api_server(conn_id) if in_task() else _from_here(conn_id)
    if found is None:
        raise _missing_error(conn_id)
    return found


def _from_api_server(conn_id: str) -> AirflowConnection | None:
    from airflow.sdk import BaseHook  # noqa: PLC0415 - run time only
    from airflow.sdk.exceptions import AirflowNotFoundException  # noqa: PLC0415 - run time only

    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return None
    except PermissionError:
        # Airflow loses the reason on its way; the broker answers it to a direct question.
        return ask_broker(conn_id)


def _from_here(conn_id: str) -> AirflowConnection | None:
    from airflow.sdk import BaseHook  # noqa: PLC0415 - run time only
    from airflow.sdk.exceptions import AirflowNotFoundException  # noqa: PLC0415 - run time only

    # This process can read the secrets anyway, and its token manager works with them.
    with bypass_broker():
        try:
            return BaseHook.get_connection(conn_id)
        except AirflowNotFoundException:
            return _from_database(conn_id)
        except PermissionError as denied:
            what = f"A secrets backend denies access ({denied})"
            raise ConnectionConfigError(what, conn_id=conn_id) from None


def _from_database(conn_id: str) -> AirflowConnection | None:
    # The ORM loads here only, in processes other than tasks.
    from airflow.models import Connection  # noqa: PLC0415
    from airflow.sdk.exceptions import AirflowNotFoundException  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    try:
        # The SDK's Connection cannot read the metadata database, which a script or command line may.
        found: AirflowConnection = Connection.get_connection_from_secrets(conn_id)  # noqa: AIR311
    except (AirflowNotFoundException, SQLAlchemyError):
        return None
    return found


def _empty_id_error() -> ConnectionConfigError:
    hint = "Name one, as in conn_id='crm'; a template may have come out empty."
    error = ConnectionConfigError(
        "No connection was named: conn_id is empty", conn_id="", hint=hint
    )
    error.where = ""
    return error


def _missing_error(conn_id: str) -> ConnectionConfigError:
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    names, why_not = _list_names()
    near = did_you_mean(conn_id.lower(), names)
    hint = f"{near} Add it in Airflow (Admin, Connections) or set {variable}.".lstrip()
    if why_not and variable not in os.environ:
        error = _unreachable_error(conn_id, why_not, names)
        error.may_pass = True
        return error
    if variable in os.environ:
        hint = (
            f"{variable} is set, but Airflow cannot read it: write a connection URI, or a JSON mapping of conn_type, "
            "host, login, password and extra."
        )
    elif conn_id in names:
        return ConnectionConfigError(
            "Airflow has this connection and cannot read it",
            conn_id=conn_id,
            hint="Its password or extra was encrypted with another [core] fernet_key, or extra is not a JSON object. Set the "
            "earlier key too, or enter the connection again.",
        )
    error = ConnectionConfigError("There is no connection", conn_id=conn_id, hint=hint)
    error.where = f"by the name {conn_id!r}"  # "in" it, as the class says, there is nothing
    # Airflow does not say that a secrets backend failed, which may hold it.
    error.may_pass = variable not in os.environ
    return error


def _unreachable_error(conn_id: str, why_not: str, names: set[str]) -> ConnectionConfigError:
    """Returns the error for a machine that cannot read the metadata database: adding the connection would not help."""
    near = did_you_mean(conn_id.lower(), names)
    return ConnectionConfigError(
        f"Connection {conn_id!r} is not in this machine's variables and secrets backends, and Airflow's metadata "
        f"database, which may hold it, cannot be read from here ({why_not})",
        conn_id=conn_id,
        where="",
        hint=f"{near} Run this on the machine of the scheduler or the API server, in broker mode of the "
        f"API server, or set AIRFLOW_CONN_{conn_id.upper()} here.".lstrip(),
    )


def _list_names() -> tuple[set[str], str]:
    """Returns the ids of connections in variables and, outside of tasks, in the metadata database; and why that cannot be read."""
    prefix = "AIRFLOW_CONN_"
    names = {name[len(prefix) :].lower() for name in os.environ if name.startswith(prefix)}
    if in_task():
        return names, ""
    from airflow.models import Connection  # noqa: PLC0415 - the ORM loads in processes other than tasks only
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above
    from sqlalchemy import select  # noqa: PLC0415 - as above
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - as above

    try:
        with create_session() as session:
            names |= set(session.scalars(select(Connection.conn_id)))  # noqa: AIR311 - the ORM's
    except SQLAlchemyError as failure:
        return names, _reason(getattr(failure, "orig", None) or failure)
    except RuntimeError:
        return names, "Airflow keeps this process off it"
    return names, ""


def _reason(failure: BaseException) -> str:
    return f"{type(failure).__name__}: {redact_line(str(failure), _LONGEST_REASON)}"


def load_settings(conn_id: str) -> ConnectionSettings:
    """Returns the checked settings of the Connection ``conn_id``.

    Raises:
        ConnectionConfigError: it is missing, or a field of it is wrong.
    """
    return read_settings(find_connection(conn_id))


def read_settings(connection: AirflowConnection) -> ConnectionSettings:
    """Returns the checked settings of ``connection``, whose secrets are hidden from logs from now on.

    Raises:
        ConnectionConfigError: a field of it is wrong.
    """
    log_masking.install()
    return parse_connection(connection, presets_folder=presets_folder())
