"""JSON Lines: one record per line, plain or compressed with gzip."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

import msgspec

from oauth_taskflow.api.decoders.numbers import decode, json_encoder
from oauth_taskflow.content_coding import gzip_library
from oauth_taskflow.destinations.formats.base import ByteSink, FileFormat, NextPart
from oauth_taskflow.record_schema.model import RecordSchema

_GZIP_LEVEL = 2  # twice as fast as 6 and a tenth larger on JSON


class _LineWriter:
    def __init__(
        self,
        sink: ByteSink,
        _next_part: NextPart,
        _declared: RecordSchema | None = None,
    ) -> None:
        self._sink = sink

    def write(self, records: Sequence[Any], /) -> None:
        self._sink.write(json_encoder.encode_lines(records))

    def pause(self) -> None:
        self._sink.flush()

    def close(self) -> None:
        self._sink.flush()


class _GzipLineWriter:
    def __init__(
        self,
        sink: ByteSink,
        _next_part: NextPart,
        _declared: RecordSchema | None = None,
    ) -> None:
        self._sink = sink
        # Begun by the first record: what an earlier attempt wrote may come first.
        self._file: Any = None
        self._has_member = False

    def _begin_member(self) -> Any:
        self._has_member = True
        # Neither name nor time inside: the same records give the same bytes, with one library.
        return gzip_library().GzipFile(
            filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=self._sink, mtime=0
        )

    def write(self, records: Sequence[Any], /) -> None:
        if self._file is None:
            self._file = self._begin_member()
        self._file.write(json_encoder.encode_lines(records))

    def pause(self) -> None:
        # A file of several members is one gzip file (RFC 1952 §2.2).
        if self._file is not None:
            self._file.close()
        self._file = None

    def close(self) -> None:
        if not self._has_member:
            self._file = self._begin_member()
        self.pause()


def _read_plain(file: Iterable[bytes], skip: int, take: int) -> Iterator[Any]:
    return map(decode, itertools.islice(file, skip, skip + take))


def _read_gzip(file: IO[bytes], skip: int, take: int) -> Iterator[Any]:
    with gzip.open(file, "rb") as lines:
        yield from _read_plain(lines, skip, take)


def _read_lines(file: Iterable[bytes], skip: int, take: int) -> Iterator[Any]:
    return (msgspec.Raw(line.rstrip(b"\n")) for line in itertools.islice(file, skip, skip + take))


def _read_gzip_lines(file: IO[bytes], skip: int, take: int) -> Iterator[Any]:
    with gzip.open(file, "rb") as lines:
        yield from _read_lines(lines, skip, take)


JSON_LINES = FileFormat(_LineWriter, _read_plain, _read_lines)
JSON_LINES_GZIP = FileFormat(_GzipLineWriter, _read_gzip, _read_gzip_lines)
