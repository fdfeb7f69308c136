"""JSON Lines: one record per line, plain or compressed with gzip or Zstandard."""

from __future__ import annotations

import gzip
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any, Protocol

import msgspec

from oauth_taskflow.api.decoders.numbers import decode, json_encoder
from oauth_taskflow.content_coding import gzip_library
from oauth_taskflow.destinations.formats.base import ByteSink, FileFormat, NextPart
from oauth_taskflow.destinations.requirements import Requirement
from oauth_taskflow.record_schema.model import RecordSchema

_GZIP_LEVEL = 2  # twice as fast as 6 and a tenth larger on JSON
_ZSTD_PIECE = 1 << 12  # bytes of a frame, which become at most 128 MiB at once
_ZSTD_LEVEL = 1  # faster than 3, and no larger on JSON


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


class _Frame(Protocol):
    """A compressed piece of a file, which can be read alone."""

    def write(self, lines: bytes, /) -> Any:
        """Compresses ``lines`` into the sink, sooner or later."""

    def close(self) -> None:
        """Ends the piece, and leaves the sink open."""


def _begin_member(sink: ByteSink) -> _Frame:
    # Neither name nor time inside: the same records give the same bytes, with one library.
    member: _Frame = gzip_library().GzipFile(
        filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=sink, mtime=0
    )
    return member


class _ZstdFrame:
    def __init__(self, sink: ByteSink) -> None:
        import zstandard  # noqa: PLC0415 - an extra

        self._sink = sink
        # One for each frame: it takes 100 kB, and a writer that rests shall take nothing.
        compressor = zstandard.ZstdCompressor(_ZSTD_LEVEL, write_checksum=True)
        self._compress: Any = compressor.compressobj()

    def write(self, lines: bytes, /) -> None:
        if data := self._compress.compress(lines):
            self._sink.write(data)

    def close(self) -> None:
        self._sink.write(self._compress.flush())


class _FramedLineWriter:
    """Writes frames one after the other: several of them are one file, with gzip (RFC 1952 §2.2) and Zstandard (RFC 8878 §3.1)."""

    def __init__(self, sink: ByteSink, begin_frame: Callable[[ByteSink], _Frame]) -> None:
        self._sink, self._begin_frame = sink, begin_frame
        # Begun by the first record: what an earlier attempt wrote may come first.
        self._frame: _Frame | None = None
        self._has_frame = False

    def write(self, records: Sequence[Any], /) -> None:
        lines = json_encoder.encode_lines(records)
        self._begin().write(lines)

    def _begin(self) -> _Frame:
        if self._frame is None:
            self._frame, self._has_frame = self._begin_frame(self._sink), True
        return self._frame

    def pause(self) -> None:
        if self._frame is not None:
            self._frame.close()
        self._frame = None
        self._sink.flush()

    def close(self) -> None:
        if not self._has_frame:
            self._begin()
        self.pause()


def _write_gzip(
    sink: ByteSink, _next_part: NextPart, _declared: RecordSchema | None = None
) -> _FramedLineWriter:
    return _FramedLineWriter(sink, _begin_member)


def _write_zstd(
    sink: ByteSink, _next_part: NextPart, _declared: RecordSchema | None = None
) -> _FramedLineWriter:
    return _FramedLineWriter(sink, _ZstdFrame)


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


class _ZstdFrames(io.RawIOBase):
    """The content of all frames of an open file; zstandard's own reader takes a frame without its end for a whole one."""

    def __init__(self, file: IO[bytes]) -> None:
        import zstandard  # noqa: PLC0415 - an extra

        self._file = file
        self._decompressor = zstandard.ZstdDecompressor()
        self._frame: Any = None
        self._input = b""
        self._output = memoryview(b"")

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Reads into ``buffer``.

        Raises:
            EOFError: the last frame has no end.
        """
        while not self._output:
            self._input = self._input or self._file.read(_ZSTD_PIECE)
            if not self._input:
                if self._frame is not None:
                    raise EOFError("The file ends within a frame of Zstandard")
                return 0
            self._frame = self._frame or self._decompressor.decompressobj()
            self._output = memoryview(self._frame.decompress(self._input))
            self._input = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        size = min(len(buffer), len(self._output))
        buffer[:size] = self._output[:size]
        self._output = self._output[size:]
        return size


def _open_zstd(file: IO[bytes]) -> io.BufferedReader:
    return io.BufferedReader(_ZstdFrames(file), 1 << 16)


def _read_zstd(file: IO[bytes], skip: int, take: int) -> Iterator[Any]:
    with _open_zstd(file) as lines:
        yield from _read_plain(lines, skip, take)


def _read_zstd_lines(file: IO[bytes], skip: int, take: int) -> Iterator[Any]:
    with _open_zstd(file) as lines:
        yield from _read_lines(lines, skip, take)


JSON_LINES = FileFormat(_LineWriter, _read_plain, _read_lines, returns_bytes=True)
JSON_LINES_GZIP = FileFormat(_write_gzip, _read_gzip, _read_gzip_lines, returns_bytes=True)
JSON_LINES_ZSTD = FileFormat(
    _write_zstd,
    _read_zstd,
    _read_zstd_lines,
    returns_bytes=True,
    requires=(Requirement("zstandard", "zstd"),),
)
