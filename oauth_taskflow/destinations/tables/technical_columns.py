"""The columns that say whose row it is: DAG, endpoint, run and task instance."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from oauth_taskflow.destinations.tables.place import RowsPlace
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import RecordSchema


class TechnicalColumns:
    """Their names begin with ``prefix``. They come first, where lakes keep the figures by which they skip files."""

    def __init__(self, prefix: str) -> None:
        self.dag_id, self.endpoint = f"{prefix}dag_id", f"{prefix}endpoint"
        self.run_id, self.map_index = f"{prefix}run_id", f"{prefix}map_index"

    @property
    def names(self) -> tuple[str, str, str, str]:
        """All names, in the order of ``RowsPlace.key``."""
        return (self.dag_id, self.endpoint, self.run_id, self.map_index)

    def remove_from(self, schema: RecordSchema) -> RecordSchema:
        """Returns a schema without these columns."""
        fields = {name: kind for name, kind in schema.fields.items() if name not in self.names}
        return RecordSchema(fields)

    def check(self, records: RecordSchema, uri: str) -> None:
        """Checks that no field of the records has such a name.

        Raises:
            DestinationError: one has.
        """
        taken = [name for name in self.names if name in records.fields]
        if taken:
            raise DestinationError(
                f"Records have a field {taken[0]!r}, which is a technical column of the table",
                where=f"at {uri}",
                hint="Rename the field (fields: move), or set column_prefix of the destination.",
            )

    def extend_schema(self, schema: pa.Schema) -> pa.Schema:
        """Returns the Arrow schema of rows: these columns, then those of the records."""
        texts = [pa.field(name, pa.string()) for name in self.names[:3]]
        return pa.schema([*texts, pa.field(self.map_index, pa.int64()), *schema])

    def extend(
        self, batches: Iterator[pa.RecordBatch], place: RowsPlace, schema: pa.Schema
    ) -> Iterator[pa.RecordBatch]:
        """Yields the batches with these columns before their own; ``schema`` is of ``extend_schema``."""
        *texts, number = place.key
        for batch in batches:
            count = batch.num_rows
            own = [pa.repeat(pa.scalar(text, pa.string()), count) for text in texts]
            columns = [*own, pa.repeat(pa.scalar(number, pa.int64()), count), *batch.columns]
            cast = [c.cast(field.type) for c, field in zip(columns, schema, strict=True)]
            yield pa.RecordBatch.from_arrays(cast, schema=schema)
