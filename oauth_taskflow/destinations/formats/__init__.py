"""File formats: one module each, which holds the writer and the reader of the format.

``FORMATS`` is the only list: the spec format, the names of files and the reader of parent records follow it.
"""

from __future__ import annotations

from oauth_taskflow.destinations.formats.base import FileFormat
from oauth_taskflow.destinations.formats.csv_text import CSV
from oauth_taskflow.destinations.formats.jsonl import (
    JSON_LINES,
    JSON_LINES_GZIP,
    JSON_LINES_ZSTD,
)
from oauth_taskflow.destinations.formats.tables import ARROW, PARQUET
from oauth_taskflow.errors import DestinationError

# By the suffix of a part's name, which is also the format's name in a spec.
FORMATS: dict[str, FileFormat] = {
    "jsonl": JSON_LINES,
    "jsonl.gz": JSON_LINES_GZIP,
    "jsonl.zst": JSON_LINES_ZSTD,
    "csv": CSV,
    "parquet": PARQUET,
    "arrow": ARROW,
}


def find_format(name: str) -> FileFormat:
    """Returns the format of a file by its name.

    Raises:
        DestinationError: no format has this suffix.
    """
    suffix = name.partition(".")[2]
    if suffix not in FORMATS:
        raise DestinationError(
            f"No file format has the suffix {suffix!r}",
            where=f"at {name}",
            hint=f"Formats are {', '.join(FORMATS)}.",
        )
    return FORMATS[suffix]
