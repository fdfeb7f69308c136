"""The operators of a spec's DAG: they pull an endpoint, cut a parent's records into batches, and add up the figures."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from airflow.sdk import BaseOperator

from oauth_taskflow.destinations import DEFAULT_KIND
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.specs.model import Endpoint, ForEachOptions
from oauth_taskflow.taskflow.dags.asset_events import bound_extra, bound_total
from oauth_taskflow.taskflow.dags.lineage import describe_for_openlineage, report_outputs
from oauth_taskflow.taskflow.dags.task_links import LINKS, find_output
from oauth_taskflow.taskflow.notices.reconnect_link import KeepReconnect, make_links
from oauth_taskflow.taskflow.retry_policy import map_failures, set_default_retry_policy


class EndpointOperator(BaseOperator):
    """Pulls one endpoint of a spec and writes its records; one instance per ``item`` where it is mapped.

    Returns a JSON summary (rows, pages, bytes, seconds, files, watermark), which is all that XCom holds; the same
    figures are attached to the event of its asset.

    Arguments stay JSON-simple because Airflow serialises those of mapped tasks whole.

    Args:
        endpoint_name: the endpoint's name in the spec.
        endpoint: the merged endpoint, typed or as plain data.
        conn_id: the Airflow connection.
        item: the mapped item of this instance; see ``oauth_taskflow.engine.for_each``.
        default_params: params as the DAG's author wrote them; values that come with a run may not be paths.
    """

    ui_color = "#d7ebe4"
    _written: dict[str, Any] | None = None
    operator_extra_links = make_links(*LINKS)

    def __init__(
        self,
        *,
        endpoint_name: str,
        endpoint: Endpoint | Mapping[str, Any],
        conn_id: str,
        item: Mapping[str, Any] | None = None,
        default_params: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        set_default_retry_policy(self)
        self.endpoint_name = endpoint_name
        self.endpoint = endpoint
        self.conn_id = conn_id
        self.item = item
        self.default_params = default_params or {}

    @classmethod
    def get_serialized_fields(cls) -> frozenset[str]:
        """Also keeps the connection in the serialised DAG: the page OAuth lists which tasks use which connection."""
        known = super().get_serialized_fields()  # type: ignore[no-untyped-call]  # Airflow's
        return frozenset(known | {"conn_id"})

    @property
    def item_label(self) -> str:
        """The label of a mapped instance in the UI: ``region=eu contact=200…399``."""
        from oauth_taskflow.engine.for_each import item_label  # noqa: PLC0415 - run time only

        return item_label(self.item or {})

    def execute(self, context: Any) -> dict[str, Any]:
        """Runs the endpoint. Called by Airflow.

        Raises:
            OAuthTaskflowError: typed errors of connection, token, API and destination; ``.retryable`` decides about retries.
        """
        from oauth_taskflow.taskflow.dags.endpoint_task import run_in_task  # noqa: PLC0415 - loads requests

        with KeepReconnect(self, [self.conn_id]), map_failures():
            summary = run_in_task(self, context)
        self._written = summary
        self.found_links = find_output(summary, context["ti"])
        for asset in self.outlets:
            context["outlet_events"][asset].extra = bound_extra(summary)
        report_outputs(self, summary)
        return summary

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - OpenLineage's name
        """Returns the datasets that the task wrote. Called by OpenLineage's provider, where it is installed."""
        return describe_for_openlineage(self._written)


# Airflow asks for it at every ``partial()``, and Python would find it again.
EndpointOperator.__init__.__signature__ = inspect.signature(EndpointOperator.__init__)  # type: ignore[attr-defined]


class ParentBatchesOperator(BaseOperator):
    """Cuts the records of the parent endpoints into batches: the list that the child endpoint is mapped over.

    Records stay in the parents' files; each batch names a file, the first record and the count.
    """

    ui_color = "#eef3ee"

    def __init__(
        self, *, for_each: Mapping[str, Any], parent_task_ids: Mapping[str, str], **kwargs: Any
    ) -> None:
        """``parent_task_ids``: for each parent endpoint the task, never a mapped one, that returns its files."""
        super().__init__(**kwargs)
        self.for_each = for_each
        self.parent_task_ids = parent_task_ids

    def execute(self, context: Any) -> list[dict[str, Any]]:
        """Returns the mapped items of the child endpoint. Called by Airflow.

        Raises:
            OAuthTaskflowError: a parent left no result.
        """
        from airflow.configuration import conf  # noqa: PLC0415 - loads configuration at run time only

        from oauth_taskflow.engine.for_each import ParentFile, build_mapped_items  # noqa: PLC0415 - run time only

        options = msgspec.convert(self.for_each, dict[str, ForEachOptions])
        parents: dict[str, Sequence[ParentFile]] = {}
        for parent, task_id in self.parent_task_ids.items():
            summary = context["ti"].xcom_pull(task_ids=task_id, map_indexes=-1)
            if summary is None:
                raise OAuthTaskflowError(
                    f"The parent endpoint {parent!r} left no result in this run",
                    where=f"in task {task_id!r}",
                    hint="Clear that task: it was marked as successful by hand, or its XCom was deleted.",
                )
            parents[parent] = [
                ParentFile(
                    file=file["path"],
                    rows=file["rows"],
                    conn_id=summary.get("conn_id"),
                    host=file.get("host", ""),
                    kind=summary.get("destination", DEFAULT_KIND),
                    selector=file.get("selector", ""),
                )
                for file in summary["files"]
            ]
        most = conf.getint("core", "max_map_length")
        batches = build_mapped_items(options, parents, most=most)
        rows = sum(file.rows for files in parents.values() for file in files)
        self.log.info("%s batches over %s parent records", len(batches), rows)
        return [msgspec.to_builtins(batch) for batch in batches]


class EndpointDoneOperator(BaseOperator):
    """Runs once all instances of a mapped endpoint are done: emits one asset event for all, and removes stale output.

    The instances cannot do this. An event of each would start DAGs that wait for the asset while others still pull.
    After a run is cleared, Airflow keeps the XComs of instances that the new try no longer has, and the destination
    keeps their output.

    Returns the figures of all instances together.

    Args:
        endpoint_name: the endpoint's name in the spec.
        endpoint: the merged endpoint, typed or as plain data.
        instances_task_id: the mapped task.
        batches_task_id: the task whose list it is mapped over; None where the list is in the spec.
        default_params: as of ``EndpointOperator``.
        conn_id: the connection of an endpoint with stored watermarks; None for others.
    """

    ui_color = "#eef3ee"
    _written: dict[str, Any] | None = None

    def __init__(
        self,
        *,
        endpoint_name: str,
        endpoint: Endpoint | Mapping[str, Any],
        instances_task_id: str,
        batches_task_id: str | None = None,
        default_params: Mapping[str, Any] | None = None,
        conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        # A parent without records leaves the endpoint skipped, which is a result: zero rows.
        super().__init__(**{"trigger_rule": "none_failed", **kwargs})
        self.endpoint_name = endpoint_name
        self.endpoint = endpoint
        self.instances_task_id = instances_task_id
        self.batches_task_id = batches_task_id
        self.conn_id = conn_id
        self.default_params = default_params or {}

    def execute(self, context: Any) -> dict[str, Any]:
        """Adds up the figures, removes stale output and emits the event. Called by Airflow.

        Raises:
            OAuthTaskflowError: stale output cannot be removed.
        """
        from oauth_taskflow.taskflow.dags.endpoint_task import finish_in_task  # noqa: PLC0415 - loads requests

        with map_failures():
            total = finish_in_task(self, context)
        self._written = total
        for asset in self.outlets:
            context["outlet_events"][asset].extra = bound_total(total)
        return total

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - OpenLineage's name
        """Returns the datasets that all instances wrote. Called by OpenLineage's provider, where it is installed."""
        return describe_for_openlineage(self._written)
