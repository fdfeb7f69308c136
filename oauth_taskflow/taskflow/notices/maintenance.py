"""The maintenance DAG: keeps idle grants alive and notifies people in time, one task instance for each connection."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.sdk import DAG, BaseOperator

from oauth_taskflow.errors import ConnectionConfigError, OAuthTaskflowError
from oauth_taskflow.taskflow.notices.notifier import DUE_WITHIN, FAILING_FOR, unsent_error
from oauth_taskflow.taskflow.retry_policy import map_failures, set_default_retry_policy

_UNUSED_FOR = timedelta(days=7)
_DOC = """\
Looks after the grants of OAuth connections: refreshes those that lie idle before the provider ends them, and notifies people when
a connection needs consent, will need it soon, cannot be refreshed, and works again. See docs/notices.md of oauth-taskflow.
"""


class MaintenanceDag(DAG):
    """A DAG with the notifiers of its tasks, which stay out of the serialised DAG."""

    notifiers: Sequence[Any] = ()
    when: Mapping[str, Any] = {}
    looks_after_all = False


def load_maintenance(
    namespace: MutableMapping[str, Any],
    connections: Sequence[str] | None = None,
    *,
    notifiers: Sequence[Any] = (),
    dag_id: str = "oauth_maintenance",
    schedule: Any = "*/15 * * * *",
    due_within: timedelta = DUE_WITHIN,
    failing_for: timedelta = FAILING_FOR,
    unused_for: timedelta = _UNUSED_FOR,
    repeat_after: timedelta | None = None,
    **dag_arguments: Any,
) -> DAG:
    """Puts the maintenance DAG into ``namespace``, the ``globals()`` of a DAG file, and returns it.

    A refresh token that dies unused is used in good time: 14 days before the idle limit that server or preset name, at most
    half-way. Where none is known, once it was unused for ``unused_for``.

    Without notifiers, notices are in the log and the metric ``oauth_taskflow.notice``, and the task of a connection in
    trouble fails.

    Args:
        namespace: the ``globals()`` of the DAG file.
        connections: their ids; by default all connections with a stored grant, wherever they are defined.
        notifiers: Airflow's notifiers, functions of the context, or dotted paths. Their templates name ``notice``:
            ``SlackWebhookNotifier(text="{{ notice.slack }}")``.
        dag_id: id of the DAG; each DAG sends its own notices.
        schedule: as Airflow's.
        due_within: the time before the end of a consent, at most half of its life, from which on people are notified.
        failing_for: the time after which failing refreshes are announced.
        unused_for: see above.
        repeat_after: the time after which a trouble that lasts is announced again; None: never.
        dag_arguments: further arguments of Airflow's DAG, such as ``tags``.

    Raises:
        ValueError: ``connections`` is empty, or a time is not above zero.
    """
    when = {
        "due_within": due_within,
        "failing_for": failing_for,
        "unused_for": unused_for,
        "repeat_after": repeat_after,
    }
    _check(connections, when)
    dag = MaintenanceDag(dag_id, schedule=schedule, **{**_DEFAULTS, **dag_arguments})
    dag.notifiers = tuple(notifiers)
    dag.when = when
    dag.looks_after_all = connections is None
    template = KeepAliveOperator.partial(
        task_id="keep_alive", map_index_template="{{ task.conn_id }}", dag=dag
    )
    if connections is None:
        template.expand(conn_id=ListGrantsOperator(task_id="list_grants", dag=dag).output)
    else:
        template.expand(conn_id=list(dict.fromkeys(connections)))
    namespace[f"dag_{dag_id}"] = dag
    return dag


_DEFAULTS: dict[str, Any] = {
    "start_date": datetime(2024, 1, 1, tzinfo=timezone.utc),
    "catchup": False,
    "max_active_runs": 1,
    "max_active_tasks": 8,
    "dagrun_timeout": timedelta(hours=1),
    # Airflow must not pause the DAG that reports failures because it failed.
    "max_consecutive_failed_dag_runs": 0,
    "default_args": {
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(minutes=10),
    },
    "tags": ["oauth"],
    "doc_md": _DOC,
}


def _check(connections: Sequence[str] | None, when: Mapping[str, timedelta | None]) -> None:
    if isinstance(connections, str) or (connections is not None and not connections):
        raise ValueError(
            f"load_maintenance: connections is {connections!r}. Give a list of connection ids, such as ['crm'], or leave "
            "it out for all connections with a stored grant."
        )
    for name, span in when.items():
        if span is not None and span <= timedelta(0):
            raise ValueError(f"load_maintenance: {name} is {span}, and must be longer than 0.")


class ListGrantsOperator(BaseOperator):
    """Returns the ids of all connections with a stored grant."""

    ui_color = "#eef3ee"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        set_default_retry_policy(self)

    def execute(self, context: Any) -> list[str]:  # noqa: ARG002 - Airflow's name
        """Lists the connections. Called by Airflow.

        Raises:
            OAuthTaskflowError: the token store or the API server is away, or they are too many for one DAG.
        """
        from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - run time only

        from oauth_taskflow.taskflow.notices.grant_watch import list_granted_connections  # noqa: PLC0415 - loads requests

        with map_failures():
            found = list_granted_connections()
            most = conf.getint("core", "max_map_length", fallback=1024)
            if len(found) > most:
                raise OAuthTaskflowError(
                    f"{len(found)} connections have a grant, and [core] max_map_length is {most}",
                    hint="Name the connections in several maintenance DAGs, or raise the limit.",
                )
        if not found:
            self.log.warning("No grant is stored: there is nothing to keep alive.")
        return found


class KeepAliveOperator(BaseOperator):
    """Uses the grant of one connection in good time, and sends the notices about it.

    Returns ``conn_id``, ``troubles``, whether the grant was ``used``, and the notices ``sent`` as pairs of channel and kind.

    Args:
        conn_id: the Airflow connection.
    """

    ui_color = "#d7ebe4"

    def __init__(self, *, conn_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        set_default_retry_policy(self)
        self.conn_id = conn_id

    def execute(self, context: Any) -> dict[str, Any]:
        """Looks after the connection. Called by Airflow.

        Raises:
            OAuthTaskflowError: it cannot be looked at, a notifier failed, or it is in trouble and the DAG has no notifiers.
            AirflowSkipException: the connection of a stored grant is gone, or stores none any more.
        """
        from oauth_taskflow.notices.notice import describe_troubles  # noqa: PLC0415 - loads requests
        from oauth_taskflow.taskflow.notices.delivery import list_channels  # noqa: PLC0415 - as above
        from oauth_taskflow.taskflow.notices.watching import make_rules, watch_over  # noqa: PLC0415 - as above

        dag = self.dag
        assert isinstance(dag, MaintenanceDag), "load_maintenance puts this operator into its DAG"
        channels = list_channels(dag.notifiers, dag.dag_id)
        with map_failures():
            try:
                report = watch_over(self.conn_id, channels, make_rules(**dag.when), context)
            except ConnectionConfigError as error:
                self._skip_orphan(error)
                raise
            if report.unsent:
                raise unsent_error(report.unsent)
            if report.troubles and not dag.notifiers:
                raise OAuthTaskflowError(
                    describe_troubles(self.conn_id, report.troubles),
                    hint="Without notifiers this task is the notice: it fails until the connection works.",
                )
        troubles = [one.kind for one in report.troubles]
        return {
            "conn_id": self.conn_id,
            "troubles": troubles,
            "used": report.was_used,
            "sent": [list(one) for one in report.sent],
        }

    def _skip_orphan(self, error: ConnectionConfigError) -> None:
        """Skips this instance if it came from the list of all grants, and its connection is gone."""
        from airflow.sdk.exceptions import AirflowSkipException  # noqa: PLC0415 - run time only

        from oauth_taskflow.taskflow.notices.grant_watch import NoGrantKept, is_missing  # noqa: PLC0415 - loads requests

        if getattr(self.dag, "looks_after_all", False) and (
            isinstance(error, NoGrantKept) or is_missing(self.conn_id)
        ):
            raise AirflowSkipException(
                f"A grant is stored for {self.conn_id}, whose connection is gone or stores none any more. "
                f"airflow oauth forget {self.conn_id} deletes it."
            ) from error
