"""The options of a Delta Lake table: ``destination: {type: delta}``."""

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


class DeltaDestination(Options, frozen=True, kw_only=True, tag_field="type", tag="delta"):
    """A Delta Lake table in a folder or an object store; each run is one transaction (docs/lakes.md)."""

    path: Annotated[
        Text | None,
        doc(
            "Folder of the table, local, s3:// or abfs://; a template. All runs are in one table.",
            "s3://lake/crm/{{ endpoint }}",
        ),
    ] = None
    mode: RunMode = "replace_run"
    partition_by: Annotated[
        tuple[Text, ...],
        doc("Columns whose values are folders, when the table is created.", ["country"]),
    ] = ()
    column_prefix: ColumnPrefix = "_"
    conn_id: Annotated[
        Text | None, doc("Airflow connection of the object store.", "aws_default")
    ] = None

    @property
    def address(self) -> str | None:
        """The connection of the store and the path; with the endpoint, since rows of several may be in one table."""
        if self.path is None:
            return None
        place = f"{self.conn_id or ''}|{self.path}"
        return distinguish_rows(place, self.mode)

    def requirements(self) -> Iterator[Requirement]:
        """Yields the library of Delta Lake, pyarrow, and the library of the object store."""
        yield Requirement("deltalake", "delta")
        yield Requirement("pyarrow", "delta")
        yield from find_store_requirements(self.path)

    def templates(self) -> dict[str, str]:
        """Returns the path."""
        return {} if self.path is None else {"path": self.path}

    def locate(self, render: TemplateRenderer, run_id: str) -> str:
        """Returns the table with the run."""
        dag_id, endpoint = find_owner(render)
        table = render(self.path or "").rstrip("/")
        return str(RowsPlace(table, dag_id, endpoint, run_id, prefix=self.column_prefix))

    def connect(
        self, location: str, access: StoreAccess, facts: EndpointFacts = NO_FACTS
    ) -> TableDestination:
        """Returns the rows at ``location``; the table is opened on first use."""
        return _connect(location, self, access, self.conn_id, facts)

    @classmethod
    def connect_for_reading(cls, conn_id: str | None, access: StoreAccess) -> TableDestination:
        """Returns a destination whose ``read`` takes any part of a Delta Lake table."""
        return _connect("", cls(), access, conn_id, NO_FACTS)


def _connect(
    location: str,
    options: DeltaDestination,
    access: StoreAccess,
    conn_id: str | None,
    facts: EndpointFacts,
) -> TableDestination:
    use_system_memory()
    # Loads pyarrow, which parsing a DAG does not need.
    from oauth_taskflow.destinations.tables.delta import DeltaLakeTable, DeltaSettings  # noqa: PLC0415
    from oauth_taskflow.destinations.tables.destination import TableDestination  # noqa: PLC0415

    def open_table(place: RowsPlace) -> DeltaLakeTable:
        settings = DeltaSettings(
            options.mode,
            place.prefix,
            options.partition_by,
            facts.primary_key,
            facts.order_field,
            facts.order_form,
        )
        return DeltaLakeTable(access.open_path(place.table, conn_id), settings)

    return TableDestination(location, open_table, conn_id=conn_id, facts=facts)
