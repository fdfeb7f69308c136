"""The options of an Iceberg table: ``destination: {type: iceberg}``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from oauth_taskflow.destinations.arrow_memory import use_system_memory
from oauth_taskflow.destinations.base import (
    NO_FACTS,
    EndpointFacts,
    StoreAccess,
    TemplateRenderer,
)
from oauth_taskflow.destinations.output_folders import as_destination_errors
from oauth_taskflow.destinations.requirements import Requirement, find_store_requirements
from oauth_taskflow.destinations.tables.place import RowsPlace
from oauth_taskflow.destinations.tables.table_options import (
    ColumnPrefix,
    RunMode,
    distinguish_rows,
    find_owner,
)
from oauth_taskflow.schema.types import Options, Text, doc

if TYPE_CHECKING:
    from oauth_taskflow.destinations.tables.destination import TableDestination

# Between the parts of a table's text in a place: warehouse, connection of the catalog, name.
SEPARATOR = "|"


class IcebergDestination(Options, frozen=True, kw_only=True, tag_field="type", tag="iceberg"):
    """An Iceberg table; each run is one commit to its catalog (docs/lakes.md)."""

    table: Annotated[
        Text, doc("Namespace and table; a template. All runs are in it.", "crm.{{ endpoint }}")
    ]
    warehouse: Annotated[
        Text | None,
        doc(
            "Folder or s3:// URL below which tables are. A folder holds the catalog too, as a SQLite file.",
            "/data/lake",
        ),
    ] = None
    catalog_conn_id: Annotated[
        Text | None,
        doc(
            "Airflow connection of a shared catalog: host is its URI, login and password are its credential, the extra has "
            "further properties of PyIceberg, such as type.",
            "iceberg_rest",
        ),
    ] = None
    mode: RunMode = "replace_run"
    column_prefix: ColumnPrefix = "_"
    conn_id: Annotated[
        Text | None, doc("Airflow connection of the object store.", "aws_default")
    ] = None

    @property
    def address(self) -> str | None:
        """The catalog and the table; with the endpoint, since rows of several may be in one table."""
        place = f"{self.catalog_conn_id or self.warehouse or ''}|{self.table}"
        return distinguish_rows(place, self.mode)

    def requirements(self) -> Iterator[Requirement]:
        """Yields the library of Iceberg, pyarrow, and the library of the object store."""
        yield Requirement("pyiceberg", "iceberg")
        yield Requirement("pyarrow", "iceberg")
        yield from find_store_requirements(self.warehouse)

    def templates(self) -> dict[str, str]:
        """Returns the table and the warehouse."""
        found = {"table": self.table}
        return found if self.warehouse is None else {**found, "warehouse": self.warehouse}

    def locate(self, render: TemplateRenderer, run_id: str) -> str:
        """Returns the table with the run."""
        dag_id, endpoint = find_owner(render)
        parts = (
            render(self.warehouse or "").rstrip("/"),
            self.catalog_conn_id or "",
            render(self.table),
        )
        table = SEPARATOR.join(parts)
        return str(RowsPlace(table, dag_id, endpoint, run_id, prefix=self.column_prefix))

    def connect(
        self, location: str, access: StoreAccess, facts: EndpointFacts = NO_FACTS
    ) -> TableDestination:
        """Returns the rows at ``location``; the catalog is asked on first use."""
        return _connect(location, self, access, self.conn_id, facts)

    @classmethod
    def connect_for_reading(cls, conn_id: str | None, access: StoreAccess) -> TableDestination:
        """Returns a destination whose ``read`` takes any part of an Iceberg table."""
        return _connect("", cls(table="any.any"), access, conn_id, NO_FACTS)


def _connect(
    location: str,
    options: IcebergDestination,
    access: StoreAccess,
    conn_id: str | None,
    facts: EndpointFacts,
) -> TableDestination:
    use_system_memory()
    # Loads pyarrow, which parsing a DAG does not need.
    from oauth_taskflow.destinations.tables.destination import TableDestination  # noqa: PLC0415
    from oauth_taskflow.destinations.tables.iceberg import IcebergSettings, IcebergTable  # noqa: PLC0415
    from oauth_taskflow.destinations.tables.iceberg_catalog import open_catalog  # noqa: PLC0415

    def open_table(place: RowsPlace) -> IcebergTable:
        settings = IcebergSettings(
            options.mode, place.prefix, facts.primary_key, facts.order_field, facts.order_form
        )
        warehouse, catalog, name = place.table.rsplit(SEPARATOR, 2)
        # A catalog of the kind "sql" makes its tables when it is opened.
        with as_destination_errors("Opening the catalog", warehouse or catalog):
            found = open_catalog(warehouse, catalog, conn_id, access)
        return IcebergTable(found, name, settings)

    return TableDestination(location, open_table, conn_id=conn_id, facts=facts)
