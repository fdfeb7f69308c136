"""Names the real objects that a task wrote to lineage tools: Airflow's hook lineage, and OpenLineage.

The asset of an endpoint stays ``<dag_id>/<endpoint>``. The folder or table that holds its records is reported next to it, by
the URIs in ``datasets`` of the summary.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any
from urllib.parse import unquote, urlsplit

from oauth_taskflow.taskflow.dags.asset_events import bound_extra

# Schemes whose paths name a table, level by level; OpenLineage joins the levels with dots.
_DATABASES = frozenset(
    {"postgres", "postgresql", "mysql", "mssql", "snowflake", "bigquery", "duckdb"}
)


def report_outputs(operator: Any, summary: Mapping[str, Any]) -> None:
    """Adds the objects that a task wrote to Airflow's hook lineage, which collects nothing unless a plugin reads it.

    A URI that Airflow's providers refuse is left out: lineage never fails a task.
    """
    names = summary.get("datasets") or ()
    if not names:
        return
    from airflow.providers.common.compat.lineage.hook import (  # only where there is something to report  # noqa: PLC0415
        get_hook_lineage_collector,
    )

    extra = {key: value for key, value in bound_extra(summary).items() if key in _SHOWN}
    collector: Any = get_hook_lineage_collector
    try:
        for name in names:
            collector().add_output_asset(context=operator, uri=name, asset_extra=extra)
    # Plugins, and what providers say about URIs, raise exceptions of many kinds.
    except Exception as error:  # noqa: BLE001
        operator.log.info("Lineage does not know %s (%s: %s)", names, type(error).__name__, error)


_SHOWN = frozenset({"endpoint", "rows", "bytes", "interval"})


def describe_for_openlineage(summary: Mapping[str, Any] | None) -> Any:
    """Returns OpenLineage's description of what a task wrote, with rows, bytes and fields; None when it wrote nothing.

    Only OpenLineage's provider asks for it, after the task
    (https://airflow.apache.org/docs/apache-airflow-providers-openlineage/stable/guides/developer.html).
    """
    names = (summary or {}).get("datasets") or ()
    if summary is None or not names:
        return None
    # The provider has loaded these.
    from airflow.providers.common.compat.openlineage.facet import (  # noqa: PLC0415
        OutputDataset,
        OutputStatisticsOutputDatasetFacet,
    )

    extractors = import_module("airflow.providers.openlineage.extractors")
    facets = _schema_facets(summary.get("schema"))
    outputs = [
        OutputDataset(
            *name_for_openlineage(uri),
            facets=facets,
            outputFacets={
                "outputStatistics": OutputStatisticsOutputDatasetFacet(
                    rowCount=summary["rows"], size=size
                )
            },
        )
        for uri, size in zip(names, summary["dataset_bytes"], strict=True)
    ]
    return extractors.OperatorLineage(outputs=outputs)


def _schema_facets(schema: Any) -> dict[str, Any]:
    """The facet of a JSON Schema: the fields of a record, each with its types."""
    from airflow.providers.common.compat.openlineage.facet import (  # noqa: PLC0415 - see above
        SchemaDatasetFacet,
        SchemaDatasetFacetFields,
    )

    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        return {}
    fields = [
        SchemaDatasetFacetFields(name=name, type=_type_text(one))
        for name, one in properties.items()
    ]
    return {"schema": SchemaDatasetFacet(fields=fields)}


def _type_text(schema: Any) -> str:
    kinds = schema.get("type", "any") if isinstance(schema, Mapping) else "any"
    return kinds if isinstance(kinds, str) else " or ".join(map(str, kinds))


def name_for_openlineage(uri: str) -> tuple[str, str]:
    """Returns namespace and name of a dataset (https://openlineage.io/docs/spec/naming).

    A disk's namespace is ``file``, a store's its bucket, a database's its server.
    """
    parts = urlsplit(uri)
    path = unquote(parts.path)
    if parts.scheme == "file":
        return "file", path
    namespace = f"{parts.scheme}://{parts.netloc}"
    levels = path.strip("/")
    return namespace, levels.replace("/", ".") if parts.scheme in _DATABASES else levels
