"""The files of a Delta Lake table: how they are written, and rows read from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import WriterProperties

from oauth_taskflow.destinations.tables.spool import BATCH_ROWS

# Rows and bytes that the library may have in memory before it writes them.
WRITER = WriterProperties(compression="ZSTD", max_row_group_size=65_536)
FILE_BYTES = 32 << 20


def scan_files(
    dataset: Any, may_match: pc.Expression | None, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yields all rows of the files that may have some of ``may_match``, in the order of the files' names.

    Arrow gets no filter of rows: it cannot compare texts with the figures of files that a merge wrote (``string_view``).
    """
    names = None if columns is None else list(columns)
    for fragment in sorted(dataset.get_fragments(may_match), key=lambda one: str(one.path)):
        yield from fragment.scanner(
            schema=dataset.schema, columns=names, batch_size=BATCH_ROWS, use_threads=False
        ).to_batches()


def quote_column(name: str) -> str:
    """Returns the name of a column as conditions write it."""
    return "`" + name.replace("`", "``") + "`"
