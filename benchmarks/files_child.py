"""Writes records to files or a store and prints figures. Started by ``files.py``.

Arguments: what runs, the URL of a store, a format or the number of records, an output folder.
"""

# ruff: noqa: PLC0415 - each process loads what it measures alone

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Timed = Callable[[], int]
PAGE = 100
COUNT = 100_000


def ours(_url: str, name: str, folder: Path) -> Timed:
    """Pages of undecoded records through the file destination: lines, codec, checksum, fsync, manifest."""
    from oauth_taskflow.api.pull.page import Page
    from oauth_taskflow.destinations.base import Run
    from oauth_taskflow.destinations.files import FolderDestination
    from oauth_taskflow.destinations.transfer import transfer

    pages = _pages(COUNT)

    def run() -> int:
        given = (Page(page, 1, "", number) for number, page in enumerate(pages))
        return transfer(given, FolderDestination(folder / "ours", name), Run("x")).summary.rows

    return run


def raw(_url: str, name: str, folder: Path) -> Timed:
    """The same pages to the same codec at the same level, by hand."""
    import msgspec

    pages = _pages(COUNT)
    write_lines = msgspec.json.Encoder().encode_lines

    def run() -> int:
        with (folder / f"raw.{name}").open("wb") as file:
            write, finish = _codec(name, file)
            for page in pages:
                write(write_lines(page))
            finish()
        return sum(map(len, pages))

    return run


def _codec(name: str, file: Any) -> tuple[Callable[[bytes], object], Callable[[], object]]:
    if name == "jsonl.gz":
        from oauth_taskflow.content_coding import gzip_library

        stream = gzip_library().GzipFile(
            filename="", mode="wb", compresslevel=2, fileobj=file, mtime=0
        )
        return stream.write, stream.close
    if name == "jsonl.zst":
        import zstandard

        frame = zstandard.ZstdCompressor(1, write_checksum=True).compressobj()
        return lambda data: file.write(frame.compress(data)), lambda: file.write(frame.flush())
    return file.write, lambda: None


def _pages(count: int) -> list[list[Any]]:
    import msgspec

    lines = [
        msgspec.Raw(
            msgspec.json.encode(
                {
                    "id": number,
                    "name": f"name {number * 7919 % 100_003}",
                    "email": f"u{number}@example.com",
                    "text": "lorem ipsum dolor " * (number % 25),
                    "deep": {"a": [number, number + 1], "b": None},
                }
            )
        )
        for number in range(count)
    ]
    return [lines[at : at + PAGE] for at in range(0, count, PAGE)]


def _store(url: str) -> Any:
    from upath import UPath

    place = UPath("s3://lake", key="any", secret="any", client_kwargs={"endpoint_url": url})
    if not place.fs.exists("lake"):
        place.fs.mkdir("lake")
    return place


def s3_ours(url: str, count: str, _folder: Path) -> Timed:
    """Pages to an object store, as they come."""
    from oauth_taskflow.api.pull.page import Page
    from oauth_taskflow.destinations.base import Run
    from oauth_taskflow.destinations.files import FolderDestination
    from oauth_taskflow.destinations.transfer import transfer

    place, pages = _store(url), _pages(int(count))

    def run() -> int:
        given = (Page(page, 1, "", number) for number, page in enumerate(pages))
        return transfer(given, FolderDestination(place / "ours"), Run("records")).summary.rows

    return run


def s3_upload(url: str, count: str, folder: Path) -> Timed:
    """One upload of the finished file."""
    import msgspec

    place, pages = _store(url), _pages(int(count))
    path = folder / "finished.jsonl"
    lines = [line for page in pages for line in page]
    path.write_bytes(msgspec.json.Encoder().encode_lines(lines))

    def run() -> int:
        place.fs.put_file(str(path), "lake/upload/finished.jsonl")
        return len(lines)

    return run


def main(kind: str, url: str, name: str, folder: str) -> None:
    """Runs once and prints the figures."""
    kinds = {
        "ours": ours,
        "raw": raw,
        "s3-ours": s3_ours,
        "s3-upload": s3_upload,
    }
    run = kinds[kind](url, name, Path(folder))
    began, used = time.perf_counter(), time.process_time()
    rows = run()
    figures = {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - used,
        "rows": rows,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
