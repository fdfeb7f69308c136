"""Pulls every record of the benchmark's API into Parquet and prints figures. Started by ``pull_parquet.py``.

Arguments: the kind of client, the API's base URL, an output folder. The clock runs from the first call after the imports until
the file is complete; libraries of Arrow are imported before. Each environment holds one kind of client alone, so imports stand
in the functions.
"""

# ruff: noqa: PLC0415 - see above

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pull_child
from pull_child import Timed, measure

_BLOCK = 8 << 20


def ours(url: str, folder: Path) -> Timed:
    """A spec endpoint run by the engine, as a task runs it, with ``format: parquet``."""
    import oauth_taskflow.destinations.arrow.parquet_files  # noqa: F401 - its import is measured apart

    return pull_child.ours(url, folder, file_format="parquet")


def hand_written(url: str, folder: Path) -> Timed:
    """The best route by hand: undecoded records, pyarrow's JSON reader, one row group a block, zstd."""
    import pyarrow as pa
    import pyarrow.json
    import pyarrow.parquet as pq

    def pull() -> Path:
        path, writer, schema = folder / "records.parquet", None, None
        for data in _blocks(_pages(url)):
            table = pyarrow.json.read_json(
                pa.BufferReader(data),
                read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(data)),
                parse_options=pyarrow.json.ParseOptions(explicit_schema=schema),
            )
            schema = table.schema
            writer = writer or pq.ParquetWriter(path, schema, compression="zstd")
            writer.write_table(table)
        if writer is not None:
            writer.close()
        return path

    return pull


def _pages(url: str) -> Iterator[bytes]:
    """Yields the records of each page as JSON lines."""
    import msgspec
    import requests

    paging = msgspec.defstruct("Paging", [("next", str | None)])
    envelope = msgspec.defstruct("Envelope", [("data", list[msgspec.Raw]), ("paging", paging)])
    read, write = msgspec.json.Decoder(envelope).decode, msgspec.json.Encoder().encode_lines
    session = requests.Session()
    session.headers["Authorization"] = "Bearer benchmark"
    params: dict[str, str] = {}
    while True:
        response = session.get(f"{url}/records", params=params, timeout=60)
        response.raise_for_status()
        page: Any = read(response.content)
        yield write(page.data)
        if page.paging.next is None:
            return
        params = {"after": page.paging.next}


def _blocks(pages: Iterator[bytes]) -> Iterator[bytes]:
    block: list[bytes] = []
    size = 0
    for lines in pages:
        block.append(lines)
        size += len(lines)
        if size >= _BLOCK:
            yield b"".join(block)
            block, size = [], 0
    if block:
        yield b"".join(block)


def dlt(url: str, folder: Path) -> Timed:
    """The ``rest_api`` source of dlt into Parquet files."""
    import pyarrow as pa  # noqa: F401 - its import is measured apart

    return pull_child.dlt(url, folder, file_format="parquet")


def airbyte(url: str, folder: Path) -> Timed:
    """Airbyte's declarative source, and a writer that makes Parquet of its messages as destinations do."""
    import orjson
    import pyarrow as pa
    import pyarrow.parquet as pq

    read = pull_child.airbyte(url, folder)

    def pull() -> Path:
        messages, path = read(), folder / "records.parquet"
        writer: Any = None
        rows: list[Any] = []
        with messages.open("rb") as lines:
            for line in lines:
                message = orjson.loads(line)
                if message["type"] == "RECORD":
                    rows.append(message["record"]["data"])
                if len(rows) == 20_000:
                    writer = _write(pa, pq, writer, path, rows)
                    rows = []
        if rows:
            writer = _write(pa, pq, writer, path, rows)
        writer.close()
        return path

    return pull


def _write(pa: Any, pq: Any, writer: Any, path: Path, rows: list[Any]) -> Any:
    table = pa.Table.from_pylist(rows, schema=None if writer is None else writer.schema)
    writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
    writer.write_table(table)
    return writer


KINDS = {"ours": ours, "hand-written": hand_written, "dlt": dlt, "airbyte": airbyte}


def describe(path: Path) -> dict[str, Any]:
    """The rows and bytes of the Parquet files at ``path``."""
    import pyarrow.parquet as pq

    files = sorted(path.glob("**/*.parquet")) if path.is_dir() else [path]
    rows = sum(pq.ParquetFile(file).metadata.num_rows for file in files)
    return {"rows": rows, "bytes": sum(file.stat().st_size for file in files)}


def main() -> None:
    kind, url = sys.argv[1], sys.argv[2]
    libraries = {
        "ours": "pyarrow",
        "hand-written": "pyarrow",
        "dlt": "dlt",
        "airbyte": "airbyte-cdk",
    }
    measure(kind, Path(sys.argv[3]), lambda own: KINDS[kind](url, own), describe, [libraries[kind]])


if __name__ == "__main__":
    main()
