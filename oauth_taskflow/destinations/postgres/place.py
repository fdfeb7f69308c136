"""The place of an output: a table, and the run whose rows are meant; as a location, and as a URI without credentials."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, unquote, urlencode

from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.destinations.base import Run, StoreConnection
from oauth_taskflow.destinations.postgres.identifiers import TableName
from oauth_taskflow.errors import DestinationError

SCHEME = "postgres"
DEFAULT_PORT = 5432
_URI_START = f"{SCHEME}://"


class OutputPlace(Struct, frozen=True):
    """The rows of one task instance in ``table``; ``map_index`` is -1 for the unmapped one.

    ``work_schema`` is where the register is; empty for the schema of the table.
    """

    table: TableName
    dag_id: str = ""
    endpoint: str = ""
    run_id: str = ""
    map_index: int = -1
    work_schema: str = ""

    def pick_run(self, run: Run) -> OutputPlace:
        """Returns the place of ``run`` in the same table."""
        return replace(
            self,
            dag_id=run.dag_id,
            endpoint=run.endpoint,
            run_id=run.run_id,
            map_index=run.map_index,
        )

    def pick_instance(self, map_index: int) -> OutputPlace:
        """Returns the place of another task instance of the same run."""
        return replace(self, map_index=map_index)

    @property
    def register_schema(self) -> str:
        """The schema of the register."""
        return self.work_schema or self.table.schema

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """Distinguishes this output from all others in its register."""
        return (str(self.table), self.dag_id, self.endpoint, self.run_id, self.map_index)

    def __str__(self) -> str:
        return f"{self.table}, run {self.run_id}"


def write_location(table: TableName, dag_id: str, endpoint: str, run_id: str) -> str:
    """Returns the place of a run, all task instances together, as a text for ``read_location``."""
    run = urlencode({"dag_id": dag_id, "endpoint": endpoint, "run_id": run_id})
    return f"{SCHEME}:{quote(table.schema, safe='')}/{quote(table.name, safe='')}#{run}"


def read_location(location: str) -> OutputPlace:
    """Returns the place of a text that ``write_location`` wrote."""
    table, _, run = location.removeprefix(f"{SCHEME}:").partition("#")
    schema, _, name = table.partition("/")
    return OutputPlace(TableName(unquote(schema), unquote(name)), **dict(parse_qsl(run)))  # type: ignore[arg-type]  # texts


def write_uri(connection: StoreConnection, place: OutputPlace) -> str:
    """Returns ``postgres://host:port/database/schema/table#…``, as Airflow's assets and OpenLineage name tables.

    Everything before ``#`` is the table; the rest names the run. Credentials are not in it.
    """
    host = quote(connection.host or "localhost", safe=".,")
    database = connection.schema or connection.login or SCHEME
    names = (database, place.table.schema, place.table.name)
    path = "/".join(quote(name, safe="") for name in names)
    run = {"dag_id": place.dag_id, "endpoint": place.endpoint, "run_id": place.run_id}
    more = {"work_schema": place.work_schema} if place.work_schema else {}
    fragment = urlencode({**run, "map_index": place.map_index, **more})
    return f"{_URI_START}{host}:{connection.port or DEFAULT_PORT}/{path}#{fragment}"


def read_uri(uri: str) -> OutputPlace:
    """Returns the place that a URI of ``write_uri`` names.

    Raises:
        DestinationError: it is another URI.
    """
    table, _, fragment = uri.partition("#")
    names = table.removeprefix(_URI_START).split("/")
    run: Mapping[str, str] = dict(parse_qsl(fragment, keep_blank_values=True))
    try:
        _, _, schema, name = names
        return OutputPlace(
            TableName(unquote(schema), unquote(name)),
            run["dag_id"],
            run["endpoint"],
            run["run_id"],
            int(run["map_index"]),
            run.get("work_schema", ""),
        )
    except (ValueError, KeyError) as error:
        raise DestinationError(
            "This is not the URI of an output in PostgreSQL",
            where=f"at {table[:200]}",
            hint="Run the task that wrote it again.",
        ) from error
