"""dlt, kept away from everything but our own settings: a session is one connection to a warehouse, and loads of Arrow data.

Nothing is read from ``config.toml``, ``secrets.toml``, the environment or an Airflow variable, nothing is written to the
home of the user, nothing is sent to other servers. https://dlthub.com/docs/general-usage/credentials/advanced
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import CustomLoaderDocProvider
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.destination import Destination
from dlt.common.runtime.run_context import RunContext
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from oauth_taskflow.destinations.arrow.types import to_arrow_type
from oauth_taskflow.destinations.tables.dlt_credentials import Warehouse
from oauth_taskflow.destinations.tables.dlt_errors import as_dlt_errors
from oauth_taskflow.destinations.temporary_folder import open_temporary_folder
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import MOST_DIGITS, FieldType, name_kind, read_fixed

_NAME = "oauth_taskflow"
_SETTINGS = {
    "runtime": {"dlthub_telemetry": False, "intercept_signals": False, "log_level": "CRITICAL"},
    "intercept_signals": False,
    "providers": {"enable_airflow_secrets": False},
    # The state of a pull is ours.
    "restore_from_destination": False,
    # Its processes break under Airflow, and one thread keeps the memory small.
    "extract": {"workers": 1},
    "normalize": {"workers": 1},
    "load": {"workers": 1, "raise_on_max_retries": 3, "delete_completed_jobs": True},
}
# Destinations that end a load well and have other values then, by their kind.
_CHANGES_VALUES = {
    "sqlalchemy": "writes JSON as a text within JSON; MySQL takes texts that differ in case for one, SQLite rounds decimals"
}
# Column -> data type of dlt.
Types = Mapping[str, str]
_ARROW_TYPES = {
    "bool": pa.bool_(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "text": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "json": pa.string(),
}


class _OwnContext(RunContext):  # type: ignore[misc]  # of a library without types here
    """Gives dlt a folder of ours and settings of ours in place of everything it would look for."""

    def __init__(self, folder: str, settings: Mapping[str, Any]) -> None:
        super().__init__(folder)
        self._folder, self._global_dir, self._settings = folder, folder, settings

    @property
    def run_dir(self) -> str:
        return self._folder

    @property
    def local_dir(self) -> str:
        return str(Path.cwd())

    @property
    def data_dir(self) -> str:
        return self._folder

    def initial_providers(self) -> list[Any]:
        return [CustomLoaderDocProvider(_NAME, lambda: dict(self._settings))]


@contextmanager
def open_session(
    warehouse: Warehouse, dataset: str, naming: str, what: str, attempt: str = "reader"
) -> Iterator[DltSession]:
    """Opens a connection to the warehouse; ``what`` failed is what an error says.

    Raises:
        DestinationError: the warehouse cannot be reached, refuses something, replaces no rows, or changes values.
    """
    if reason := _CHANGES_VALUES.get(warehouse.kind):
        raise _refusal(warehouse, reason)
    settings = {**_SETTINGS, "schema": {"naming": naming}} if naming else _SETTINGS
    with (
        as_dlt_errors(what, warehouse),
        open_temporary_folder("dlt") as folder,
        Container().injectable_context(PluggableRunContext(_OwnContext(folder, settings))),
    ):
        pipeline = dlt.pipeline(
            f"{_NAME}_{attempt}",
            pipelines_dir=folder,
            destination=Destination.from_reference(warehouse.name, **warehouse.arguments),
            dataset_name=dataset,
        )
        try:
            with pipeline.destination_client() as client:
                yield DltSession(pipeline, client, warehouse)
        finally:
            pipeline.deactivate()


class DltSession:
    """One connection. Identifiers are as dlt normalised them; statements get their values as parameters (``%s``)."""

    def __init__(self, pipeline: Any, client: Any, warehouse: Warehouse) -> None:
        self._pipeline, self._client = pipeline, client
        self.warehouse = warehouse
        strategies = client.capabilities.supported_merge_strategies or ()
        if "delete-insert" not in strategies:
            raise _refusal(warehouse, "cannot replace rows, so a run could be there twice")

    def normalize(self, name: str) -> str:
        """Returns the identifier that dlt makes of a name."""
        return str(self._client.schema.naming.normalize_identifier(name))

    def fold(self, identifier: str) -> str:
        """Returns an identifier as the warehouse lists it."""
        return str(self._client.capabilities.casefold_identifier(identifier))

    def quote(self, column: str) -> str:
        """Returns a column for a statement."""
        return str(self._client.sql_client.escape_column_name(column))

    def quote_table(self, table: str) -> str:
        """Returns a table of the dataset for a statement."""
        return str(self._client.sql_client.make_qualified_table_name(table))

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Runs a statement and returns its rows."""
        found = self._client.sql_client.execute_sql(statement, *values)
        return [tuple(row) for row in found or ()]

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """As ``execute``; nothing when a table is missing."""
        try:
            return self.execute(statement, *values)
        except DatabaseUndefinedRelation:
            return []

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything within is done or nothing, where the warehouse has transactions."""
        with self._client.sql_client.begin_transaction():
            yield

    def find_columns(self, table: str) -> Types:
        """Returns dlt's types of the columns of a table, as the warehouse lists them; none without the table."""
        _, columns = self._client.get_storage_table(table)
        return {name: _name_type(column) for name, column in columns.items()}

    def ensure(self, tables: Mapping[str, Types]) -> None:
        """Creates tables and adds columns, as far as they are missing."""
        self._run([self._resource(name, columns, iter([])) for name, columns in tables.items()])

    def load(
        self, table: str, columns: Types, batches: Iterator[pa.RecordBatch], file_format: str
    ) -> None:
        """Fills a new table."""
        self._run([self._resource(table, columns, batches)], file_format)

    def drop(self, tables: Sequence[str]) -> None:
        """Drops tables."""
        self._client.sql_client.drop_tables(*tables)

    def forget(self, schema_name: str) -> None:
        """Removes what dlt wrote down about the loads of a session."""
        schema = self._client.schema
        column = self.quote(self.normalize("schema_name"))
        for table in (schema.version_table_name, schema.loads_table_name):
            statement = f"DELETE FROM {self.quote_table(table)} WHERE {column} = %s"  # noqa: S608 - names are quoted
            self.query(statement, schema_name)

    def _resource(self, table: str, columns: Types, batches: Iterator[pa.RecordBatch]) -> Any:
        hints = {name: _build_hint(name, kind) for name, kind in columns.items()}

        def tables() -> Iterator[Any]:
            first = next(batches, None)
            if (
                first is None
            ):  # a table without rows lets dlt create its columns, and none of its own
                texts = [pa.field(name, _arrow_type(kind)) for name, kind in columns.items()]
                yield pa.schema(texts).empty_table()
                return
            yield pa.Table.from_batches([first])
            for batch in batches:
                yield pa.Table.from_batches([batch])

        return dlt.resource(
            tables, name=table, table_name=table, columns=hints, write_disposition="append"
        )

    def _run(self, resources: list[Any], file_format: str = "") -> None:
        given = {"loader_file_format": file_format} if file_format else {}
        # A folder for each: dlt would load what a run that failed has left there, and leave out what it is given now.
        with tempfile.TemporaryDirectory(dir=self._pipeline.pipelines_dir) as folder:
            pipeline = dlt.pipeline(
                self._pipeline.pipeline_name,
                pipelines_dir=folder,
                destination=self._pipeline.destination,
                dataset_name=self._pipeline.dataset_name,
            )
            try:
                pipeline.run(resources, **given)
            finally:
                pipeline.deactivate()
                self._pipeline.activate()


def _refusal(warehouse: Warehouse, reason: str) -> DestinationError:
    return DestinationError(
        f"The dlt destination {warehouse.name!r} {reason}",
        where=f"at {warehouse.address}",
        hint="Write files (type: file), or choose a SQL warehouse that docs/dlt.md names.",
    )


def _name_type(column: Mapping[str, Any]) -> str:
    """Returns dlt's type of a column that is listed, a decimal with its digits where the warehouse says them."""
    kind, precision = str(column["data_type"]), column.get("precision")
    if kind != "decimal" or not precision or int(precision) > MOST_DIGITS:
        return kind
    scale = int(column.get("scale") or 0)
    return name_kind(FieldType("fixed", precision=int(precision), scale=scale))


def _build_hint(name: str, kind: str) -> dict[str, Any]:
    hint = {"name": name, "data_type": kind, "nullable": True}
    if (fixed := read_fixed(kind)) is not None:
        return {**hint, "data_type": "decimal", "precision": fixed.precision, "scale": fixed.scale}
    return hint


def _arrow_type(kind: str) -> pa.DataType:
    fixed = read_fixed(kind)
    return _ARROW_TYPES[kind] if fixed is None else to_arrow_type(fixed)
