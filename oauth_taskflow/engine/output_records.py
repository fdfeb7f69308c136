"""Reads the committed records of endpoints back, from whichever kind of destination has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from oauth_taskflow.destinations import DEFAULT_KIND
from oauth_taskflow.destinations.base import Destination, Part, StoreAccess, TableReader
from oauth_taskflow.destinations.kinds import find_kind
from oauth_taskflow.destinations.requirements import Requirement, describe_missing, is_installed
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.json_schema import schema_from_json
from oauth_taskflow.record_schema.model import unite_schemas
from oauth_taskflow.schema.reading import read_as

if TYPE_CHECKING:
    import pyarrow as pa

    from oauth_taskflow.destinations.arrow.converter import TableBuilder

ARROW = Requirement("pyarrow", "parquet")
_ROWS = 10_000  # decoded at once


class StoredOutput(Struct, frozen=True):
    """The output of one task, as its summary in XCom names it; all instances of a mapped endpoint are one output.

    ``manifest`` is that of an endpoint that is not mapped, ``manifests`` are those of the instances of a mapped one.
    ``schema`` is the JSON Schema of the records, if the endpoint keeps one.
    """

    files: list[Part]
    destination: str = DEFAULT_KIND
    conn_id: str | None = None
    manifest: str | None = None
    manifests: list[str] = []
    schema: dict[str, Any] | None = None

    @property
    def all_manifests(self) -> list[str]:
        """The places of the manifests."""
        return self.manifests if self.manifest is None else [self.manifest]


def read_summary(summary: Mapping[str, Any]) -> StoredOutput:
    """Returns the output that a summary of ``EndpointSummary`` or ``EndpointTotal`` names."""
    return read_as(StoredOutput, summary)


class EndpointRecords:
    """The records of an endpoint in one run, or in the runs whose asset events started this one.

    Iterating reads them from the destination, one part after the other. Each iteration reads again; nothing is kept in memory.
    """

    def __init__(
        self, name: str, summaries: Sequence[Mapping[str, Any]], access: StoreAccess
    ) -> None:
        self.name = name
        self.summaries = [dict(summary) for summary in summaries]
        self._outputs = [read_summary(summary) for summary in summaries]
        self._access = access

    def __repr__(self) -> str:
        return f"EndpointRecords({self.name!r}, rows={self.rows}, parts={len(self.parts)})"

    @property
    def parts(self) -> list[Part]:
        """The files or tables, each with its number of records."""
        return [part for output in self._outputs for part in output.files]

    @property
    def rows(self) -> int:
        """The number of records."""
        return sum(part.rows for part in self.parts)

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[Any]:
        """Yields the decoded records.

        Raises:
            ApiError: the records are gone, or on the disk of another machine.
        """
        for output in self._outputs:
            destination = self._connect(output)
            for part in output.files:
                yield from _read_records(destination, part)

    @property
    def manifests(self) -> list[Mapping[str, Any]]:
        """The manifests: one, or one for each instance of a mapped endpoint, and for each run. Tables may have none.

        Raises:
            DestinationError: the destination cannot be read.
        """
        found = [
            self._connect(output).read_manifest(path)
            for output in self._outputs
            for path in output.all_manifests
        ]
        return [each for each in found if each is not None]

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The manifest of an endpoint that is not mapped, in one run.

        Raises:
            DestinationError: there is none, or there are several.
        """
        found = self.manifests
        if len(found) != 1:
            raise DestinationError(
                f"The records of {self.name!r} have {len(found)} manifests",
                hint="Use .manifests: a mapped endpoint has one for each instance.",
            )
        return found[0]

    def arrow_batches(self) -> Iterator[pa.RecordBatch]:
        """Yields the records as Arrow record batches; memory holds one block at a time.

        Each batch has the schema of the records so far, so a later one may have more fields, and wider types.

        Raises:
            DestinationError: pyarrow is not installed.
            InvalidRecord: a record is not an object.
        """
        for table in self._tables(self._builder()):
            yield from table.to_batches()

    def arrow(self) -> pa.Table:
        """Returns all records as one Arrow table, under the schema that fits all of them.

        Raises:
            DestinationError: pyarrow is not installed.
            InvalidRecord: a record is not an object.
        """
        builder = self._builder()
        tables = list(self._tables(builder))
        import pyarrow as pa  # an extra, checked in _builder  # noqa: PLC0415

        from oauth_taskflow.destinations.arrow.widening import widen_table  # needs it  # noqa: PLC0415

        if not tables:
            return pa.table({})
        schema = builder.schema
        return pa.concat_tables([widen_table(table, schema) for table in tables])

    def _builder(self) -> TableBuilder:
        if not is_installed(ARROW):
            what, hint = describe_missing([ARROW])
            raise DestinationError(f"Arrow tables need a library: {what}", hint=hint)
        from oauth_taskflow.destinations.arrow.converter import TableBuilder  # noqa: PLC0415 - an extra

        schemas = [
            schema_from_json(output.schema) for output in self._outputs if output.schema is not None
        ]
        if not schemas or len(schemas) < len(self._outputs) or not self._have_types():
            return TableBuilder()
        return TableBuilder(reduce(unite_schemas, schemas))

    def _have_types(self) -> bool:
        """Whether no output is read back as texts alone, which the schema of its records would not fit."""
        readers = ((self._connect(output), output) for output in self._outputs)
        return all(
            reader.has_types(part.path)
            for reader, output in readers
            if isinstance(reader, TableReader)
            for part in output.files
        )

    def _tables(self, builder: TableBuilder) -> Iterator[pa.Table]:
        for output in self._outputs:
            destination = self._connect(output)
            for part in output.files:
                yield from _read_part(destination, part, builder)
        yield from builder.finish()

    def _connect(self, output: StoredOutput) -> Destination:
        return find_kind(output.destination).connect_for_reading(output.conn_id, self._access)


def _read_records(destination: Destination, part: Part) -> Iterator[Any]:
    return iter(destination.read(part.path, 0, part.rows, host=part.host, selector=part.selector))


def _read_part(destination: Destination, part: Part, builder: TableBuilder) -> Iterator[pa.Table]:
    """Yields the tables of a part: those in its file, or else those that ``builder`` makes of its records."""
    read = destination.read_tables if isinstance(destination, TableReader) else None
    tables = None if read is None else read(part.path, host=part.host)
    if tables is not None:
        for table, known in tables:
            yield from builder.take_table(table, known)
        return
    records = _read_records(destination, part)
    while block := list(islice(records, _ROWS)):
        yield from builder.add(block)
