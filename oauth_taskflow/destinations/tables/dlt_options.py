"""The options of a table that dlt writes: ``destination: {type: dlt}``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode

import msgspec

from oauth_taskflow.destinations.arrow_memory import use_system_memory
from oauth_taskflow.destinations.base import (
    NO_FACTS,
    EndpointFacts,
    StoreAccess,
    TemplateRenderer,
)
from oauth_taskflow.destinations.requirements import Requirement
from oauth_taskflow.destinations.tables.place import RowsPlace
from oauth_taskflow.destinations.tables.table_options import (
    Mode,
    RunMode,
    distinguish_rows,
    find_owner,
)
from oauth_taskflow.schema.types import Options, Text, doc

if TYPE_CHECKING:
    from oauth_taskflow.destinations.tables.destination import TableDestination

FileFormat = Literal["parquet", "csv", "jsonl", "insert_values"]


class DltDestination(Options, frozen=True, kw_only=True, tag_field="type", tag="dlt"):
    """A table in any SQL warehouse that dlt writes to; each run is one transaction of it (docs/dlt.md)."""

    destination: Annotated[
        Text,
        doc("dlt's name of the warehouse, or the dotted path of a destination.", "snowflake"),
    ]
    dataset: Annotated[Text, doc("Dataset or schema of the table; a template.", "crm")]
    table: Annotated[Text, doc("Table; a template. All runs are in it.", "{{ endpoint }}")]
    conn_id: Annotated[
        Text | None,
        doc(
            "Airflow connection of the warehouse: host, port, login, password and schema (the database). credentials in its "
            "extra holds what dlt calls credentials.",
            "warehouse",
        ),
    ] = None
    options: Annotated[
        Mapping[str, Any],
        doc(
            "Further arguments of dlt's destination, without secrets.",
            {"create_indexes": False},
            {"credentials": "/data/warehouse.duckdb"},
        ),
    ] = {}
    mode: RunMode = "replace_run"
    column_prefix: Annotated[
        str,
        doc(
            "Begins the names of the technical columns: _dag_id, _endpoint, _run_id, _map_index, _row.",
            "load_",
            max_length=30,
        ),
    ] = "_"
    naming: Annotated[
        Text | None,
        doc(
            "dlt's naming convention of columns, table and dataset; by default that of the warehouse, mostly snake_case.",
            "direct",
        ),
    ] = None
    file_format: Annotated[
        FileFormat | None,
        doc("Format of the files that dlt loads; by default the best one.", "parquet"),
    ] = None

    @property
    def address(self) -> str | None:
        """The warehouse and the table; with the endpoint, since rows of several may be in one table."""
        warehouse = self.conn_id or _encode(self.options)
        place = f"{self.destination}|{warehouse}|{self.dataset}|{self.table}"
        return distinguish_rows(place, self.mode)

    def requirements(self) -> Iterator[Requirement]:
        """Yields dlt and pyarrow; the driver of a warehouse is missed when the task opens the table."""
        yield Requirement("dlt", "dlt")
        yield Requirement("pyarrow", "dlt")

    def templates(self) -> dict[str, str]:
        """Returns dataset and table."""
        return {"dataset": self.dataset, "table": self.table}

    def locate(self, render: TemplateRenderer, run_id: str) -> str:
        """Returns the table with the run."""
        dag_id, endpoint = find_owner(render)
        given = {
            "dataset": render(self.dataset),
            "table": render(self.table),
            "prefix": self.column_prefix,
            "naming": self.naming or "",
            "format": self.file_format or "",
            "options": _encode(self.options),
        }
        return str(RowsPlace(f"{self.destination}?{urlencode(given)}", dag_id, endpoint, run_id))

    def connect(
        self, location: str, access: StoreAccess, facts: EndpointFacts = NO_FACTS
    ) -> TableDestination:
        """Returns the rows at ``location``; the warehouse is asked on first use."""
        return _connect(location, access, self.conn_id, facts, self.mode)

    @classmethod
    def connect_for_reading(cls, conn_id: str | None, access: StoreAccess) -> TableDestination:
        """Returns a destination whose ``read`` takes any part of a table that dlt wrote for us."""
        return _connect("", access, conn_id, NO_FACTS, "append")


def _encode(options: Mapping[str, Any]) -> str:
    return msgspec.json.encode(options, order="sorted").decode()


def _connect(
    location: str, access: StoreAccess, conn_id: str | None, facts: EndpointFacts, mode: Mode
) -> TableDestination:
    use_system_memory()
    # Loads pyarrow, and with the first table dlt, which parsing a DAG does not need.
    from oauth_taskflow.destinations.tables.destination import TableDestination  # noqa: PLC0415
    from oauth_taskflow.destinations.tables.dlt import DltTable, DltTableSettings  # noqa: PLC0415
    from oauth_taskflow.destinations.tables.dlt_credentials import read_warehouse  # noqa: PLC0415

    def open_table(place: RowsPlace) -> DltTable:
        name, _, query = place.table.partition("?")
        given = dict(parse_qsl(query, keep_blank_values=True))
        options = msgspec.json.decode(given["options"])
        warehouse = read_warehouse(name, options, conn_id, access)
        settings = DltTableSettings(
            dataset=given["dataset"],
            table=given["table"],
            prefix=given["prefix"],
            naming=given["naming"],
            file_format=given["format"],
            mode=mode,
            keys=facts.primary_key,
            order=facts.order_field,
            order_form=facts.order_form,
        )
        return DltTable(warehouse, settings)

    return TableDestination(location, open_table, conn_id=conn_id, facts=facts)
