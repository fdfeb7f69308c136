"""A notifier for callbacks of tasks and DAGs: it notifies people of the grant behind a failure, once for all tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseNotifier

from oauth_taskflow.errors import OAuthTaskflowError

DUE_WITHIN, FAILING_FOR = timedelta(days=7), timedelta(minutes=10)


class OAuthNotifier(BaseNotifier):
    """Looks at the grant of a task's connection, and sends notices through other notifiers; silent if the grant is healthy.

    ``on_failure_callback=OAuthNotifier([SmtpNotifier(to="ops@example.com", subject="{{ notice.title }}", html_content="{{
    notice.html }}")])``: twenty tasks that fail for one dead grant send one mail. ``on_success_callback`` announces
    recoveries too. https://airflow.apache.org/docs/apache-airflow/stable/howto/notifications.html

    It can be awaited too, as the triggerer does for deadline alerts:
    https://airflow.apache.org/docs/apache-airflow/stable/howto/deadline-alerts.html

    Args:
        notifiers: Airflow's notifiers, functions of the context, or dotted paths. Their templates name ``notice``.
        connections: the connections to look at; by default that of the task (``conn_id`` or ``http_conn_id``).
        due_within: the time before the end of a consent, at most half of its life, from which on people are notified.
        failing_for: the time after which failing refreshes are announced.
        repeat_after: the time after which a trouble that lasts is announced again; None: never.
        context: given by Airflow where the notifier is awaited.
    """

    def __init__(
        self,
        notifiers: Sequence[Any] = (),
        *,
        connections: Sequence[str] | None = None,
        due_within: timedelta = DUE_WITHIN,
        failing_for: timedelta = FAILING_FOR,
        repeat_after: timedelta | None = None,
        context: Any = None,
    ) -> None:
        super().__init__(context)
        self.notifiers = notifiers
        self.connections = connections
        self.due_within, self.failing_for = due_within, failing_for
        self.repeat_after = repeat_after

    def notify(self, context: Any) -> None:
        """Sends the notices that are due. Called by Airflow.

        Raises:
            OAuthTaskflowError: no connection is named, one cannot be looked at, or a notifier failed.
        """
        from oauth_taskflow.taskflow.notices.delivery import list_channels  # noqa: PLC0415 - loads requests
        from oauth_taskflow.taskflow.notices.watching import make_rules, try_watch_over  # noqa: PLC0415 - as above

        rules = make_rules(self.due_within, self.failing_for, self.repeat_after)
        channels = list_channels(self.notifiers, _name_dag(context))
        failures: list[str] = []
        for conn_id in self.connections or _require_task_connections(context):
            failures += try_watch_over(conn_id, channels, rules, context)
        if failures:
            raise unsent_error(failures)

    async def async_notify(self, context: Any) -> None:
        """As ``notify``, in a thread: databases, and the notifiers of others, would hold up the triggerer's other work."""
        await asyncio.to_thread(self.notify, context)


def unsent_error(failures: Sequence[str]) -> OAuthTaskflowError:
    """Returns the error for notices that did not get out; the task can be tried again."""
    error = OAuthTaskflowError(
        "Not all notices about OAuth connections were sent",
        where="; ".join(failures),
        hint="Those that were sent are not sent again.",
    )
    error.retryable = True
    return error


def _require_task_connections(context: Mapping[str, Any]) -> list[str]:
    if not context.get("task") and not context.get("ti"):
        raise OAuthTaskflowError(
            "OAuthNotifier was called without a task, so it does not know which connection to look at",
            hint='Name them: OAuthNotifier([...], connections=["crm"]).',
        )
    return find_connections(context)


def find_connections(context: Mapping[str, Any]) -> list[str]:
    """Returns the connections of the task in ``context``; empty if it names none."""
    task = context.get("task") or getattr(context.get("ti"), "task", None)
    for name in ("conn_id", "http_conn_id"):
        found = getattr(task, name, None)
        if isinstance(found, Mapping):
            return sorted({str(one) for one in found.values()})
        if isinstance(found, str) and found:
            return [found]
    return []


def _name_dag(context: Mapping[str, Any]) -> str:
    """Returns the id of the DAG; a deadline's context has the run alone, as plain data."""
    run = context.get("dag_run")
    found = run.get("dag_id") if isinstance(run, Mapping) else getattr(run, "dag_id", None)
    return str(getattr(context.get("dag"), "dag_id", None) or found or "callback")
