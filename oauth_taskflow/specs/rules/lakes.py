"""Rules about tables of Delta Lake and Iceberg: catalogs, names and keys."""

from __future__ import annotations

from collections.abc import Iterator

from oauth_taskflow.destinations.tables.column_names import plain_column
from oauth_taskflow.destinations.tables.delta_options import DeltaDestination
from oauth_taskflow.destinations.tables.iceberg_options import IcebergDestination
from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule
from oauth_taskflow.specs.rules.tables import find_technical

_TECHNICAL = ("dag_id", "endpoint", "run_id", "map_index")


def _lakes(
    view: EndpointView,
) -> Iterator[tuple[YamlPath, DeltaDestination | IcebergDestination]]:
    """The lakes among the destinations of an endpoint, with their places in the spec."""
    for path, options in view.destinations:
        if isinstance(options, DeltaDestination | IcebergDestination):
            yield path, options


def list_technical(options: DeltaDestination | IcebergDestination) -> frozenset[str]:
    """Returns the names of the columns that the table has besides those of records."""
    return frozenset(f"{options.column_prefix}{name}" for name in _TECHNICAL)


@endpoint_rule("iceberg-catalog")
def iceberg_catalog(view: EndpointView) -> Findings:
    """An Iceberg table needs a catalog: a folder as `warehouse` holds one, everything else needs a shared one.

    Bad: `destination: {type: iceberg, table: crm.contacts, warehouse: "s3://lake"}`

    Good: `destination: {type: iceberg, table: crm.contacts, warehouse: /data/lake}`
    """
    for path, options in _lakes(view):
        if not isinstance(options, IcebergDestination):
            continue
        if "." not in options.table:
            hint = "Write namespace.table, such as crm.contacts."
            yield Finding((*path, "table"), f"table {options.table!r} has no namespace", hint)
        if options.catalog_conn_id is not None:
            continue
        hint = "Name the Airflow connection of a shared catalog: catalog_conn_id."
        if options.warehouse is None:
            hint = f"{hint[:-1]}; or a folder: warehouse."
            yield Finding(path, "neither warehouse nor catalog_conn_id is given", hint)
        elif "://" in options.warehouse and not options.warehouse.startswith("file://"):
            message = "a warehouse in an object store holds no catalog"
            yield Finding((*path, "warehouse"), message, hint)


@endpoint_rule("lake-column")
def lake_column(view: EndpointView) -> Findings:
    """A field that the spec makes does not have the name of a technical column of the table.

    Bad: `fields: {set: {_run_id: "{{ run_id }}"}}`

    Good: `fields: {set: {pulled_in: "{{ run_id }}"}}`
    """
    for _, options in _lakes(view):
        yield from find_technical(view, list_technical(options))


@endpoint_rule("lake-merge")
def lake_merge(view: EndpointView) -> Findings:
    """A lake merges by columns at the top of a record, both for `primary_key` and for the incremental field.

    Bad: `primary_key: owner.id` with `destination: {type: delta, path: /lake/contacts, mode: merge}`

    Good: `fields: {move: {owner.id: owner_id}}` and `primary_key: owner_id`
    """
    if not any(options.mode == "merge" for _, options in _lakes(view)):
        return
    keys, incremental = view.endpoint.primary_key or (), view.endpoint.incremental
    named: list[tuple[YamlPath, str]] = (
        [(("primary_key",), keys)]
        if isinstance(keys, str)
        else [(("primary_key", at), key) for at, key in enumerate(keys)]
    )
    if incremental is not None and incremental.field is not None:
        named.append((("incremental", "field"), incremental.field))
    for path, name in named:
        if plain_column(name) is None:
            hint = "Move the field to the top: fields: {move: …}."
            yield Finding(path, f"{name!r} is not a column at the top of a record", hint)
