"""Writes the records of the benchmark's API to files and prints figures. Started by ``files.py``.

Arguments: what runs, the URL of the API or of a store, a format or the number of records, an output folder.
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


def ours(url: str, name: str, folder: Path) -> Timed:
    """A spec endpoint run by the engine."""
    from pull_child import ours as build

    pull = build(url, folder, file_format=name)

    def run() -> int:
        path = pull()
        return int(json.loads((path.parent / "_manifest.json").read_bytes())["rows"])

    return run


def hand_written(url: str, name: str, folder: Path) -> Timed:
    """Pull without a framework: requests, values of Python, one line per record, and the same codec at the same level."""
    import msgspec

    def split(content: bytes) -> tuple[bytes, int, str | None]:
        page = msgspec.json.decode(content)
        lines = b"".join(msgspec.json.encode(record) + b"\n" for record in page["data"])
        return lines, len(page["data"]), page["paging"]["next"]

    return _loop(url, folder / f"hand-written.{name}", split)


def undecoded(url: str, name: str, folder: Path) -> Timed:
    """The floor: the same loop, with records that are never decoded."""
    import msgspec

    paging = msgspec.defstruct("Paging", [("next", str | None)])
    answers = msgspec.defstruct("Answer", [("data", list[msgspec.Raw]), ("paging", paging)])
    decode: Any = msgspec.json.Decoder(answers).decode
    write_lines = msgspec.json.Encoder().encode_lines

    def split(content: bytes) -> tuple[bytes, int, str | None]:
        page = decode(content)
        return write_lines(page.data), len(page.data), page.paging.next

    return _loop(url, folder / f"undecoded.{name}", split)


def _loop(url: str, path: Path, split: Callable[[bytes], tuple[bytes, int, str | None]]) -> Timed:
    import requests

    def run() -> int:
        rows = 0
        session = requests.Session()
        session.headers["Authorization"] = "Bearer benchmark"
        after: str | None = None
        with path.open("wb") as file:
            write, finish = _codec(path.name.partition(".")[2], file)
            while True:
                params = {"after": after} if after else {}
                answer = session.get(f"{url}/records", params=params, timeout=60)
                answer.raise_for_status()
                lines, count, after = split(answer.content)
                write(lines)
                rows += count
                if after is None:
                    finish()
                    return rows

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


def _records(count: int) -> list[list[Any]]:
    import msgspec

    text = "x" * 250
    lines = [msgspec.Raw(msgspec.json.encode({"id": n, "text": text})) for n in range(count)]
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

    place, pages = _store(url), _records(int(count))

    def run() -> int:
        given = (Page(page, 1, "", number) for number, page in enumerate(pages))
        return transfer(given, FolderDestination(place / "ours"), Run("records")).summary.rows

    return run


def s3_upload(url: str, count: str, folder: Path) -> Timed:
    """One upload of the finished file."""
    import msgspec

    place, pages = _store(url), _records(int(count))
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
        "hand-written": hand_written,
        "undecoded": undecoded,
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
