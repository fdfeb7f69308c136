"""Parquet and Arrow files. pyarrow is loaded when a file is opened, and not before: DAGs are parsed without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any

from oauth_taskflow.destinations.arrow_memory import use_system_memory
from oauth_taskflow.destinations.formats.base import (
    ByteSink,
    FileFormat,
    NextPart,
    RecordWriter,
    SchemaFiles,
)
from oauth_taskflow.destinations.requirements import Requirement
from oauth_taskflow.record_schema.model import RecordSchema

if TYPE_CHECKING:
    import pyarrow as pa

_PYARROW = (Requirement("pyarrow", "parquet"),)
# The names in a spec, and pyarrow's.
_PARQUET_CODECS = {
    "zstd": "zstd",
    "snappy": "snappy",
    "gzip": "gzip",
    "lz4": "lz4",
    "none": "none",
}
_ARROW_CODECS = {"zstd": "zstd", "lz4": "lz4", "none": None}


def _parquet_files() -> ModuleType:
    use_system_memory()
    from oauth_taskflow.destinations.arrow import parquet_files  # noqa: PLC0415 - loads pyarrow

    return parquet_files


def _ipc_files() -> ModuleType:
    use_system_memory()
    from oauth_taskflow.destinations.arrow import ipc_files  # noqa: PLC0415 - as above

    return ipc_files


def _is_same(first: RecordSchema, second: RecordSchema) -> bool:
    use_system_memory()
    from oauth_taskflow.destinations.arrow.types import have_one_form  # noqa: PLC0415 - as above

    return have_one_form(first, second)


def _build(load: Callable[[], ModuleType], codec: str | None, others: Any) -> FileFormat:
    def open_writer(
        sink: ByteSink, next_part: NextPart, declared: RecordSchema | None
    ) -> RecordWriter:
        writer: RecordWriter = load().open_writer(sink, next_part, declared, compression=codec)
        return writer

    def read_records(file: IO[bytes], skip: int, take: int) -> Iterator[Any]:
        yield from load().read_file(file, skip, take)

    def read_schema(file: IO[bytes]) -> RecordSchema:
        schema: RecordSchema = load().read_schema(file)
        return schema

    def rewrite(file: IO[bytes], sink: ByteSink, schema: RecordSchema) -> None:
        load().rewrite(file, sink, schema, compression=codec)

    def read_tables(file: IO[bytes]) -> Iterator[tuple[pa.Table, RecordSchema]]:
        yield from load().read_tables(file)

    return FileFormat(
        open_writer,
        read_records,
        read_again=read_records,
        requires=_PYARROW,
        schema_files=SchemaFiles(read_schema, _is_same, rewrite, read_tables),
        compressions=others,
    )


PARQUET = _build(
    _parquet_files,
    "zstd",
    {name: partial(_build, _parquet_files, codec, {}) for name, codec in _PARQUET_CODECS.items()},
)
ARROW = _build(
    _ipc_files,
    "zstd",
    {name: partial(_build, _ipc_files, codec, {}) for name, codec in _ARROW_CODECS.items()},
)
