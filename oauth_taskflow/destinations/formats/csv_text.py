"""CSV (RFC 4180): a header, then a line per record; a file has one header, so a new column begins another part.

Cells hold numbers and nested JSON exactly as the API wrote them. Null and a missing field are an empty cell, an empty text
is ``""``. Text is in quotes where a reader could misread it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

import msgspec

from oauth_taskflow.api.decoders.numbers import encode
from oauth_taskflow.destinations.formats.base import ByteSink, FileFormat, NextPart
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.record_schema.model import RecordSchema

# The header names the fields of the first block, so that rare ones seldom begin a part.
_BLOCK_ROWS = 1000
_BLOCK_BYTES = 4 << 20
# Separators and quotes; blanks that readers trim; PostgreSQL's end of data; nothing at all.
_NEEDS_QUOTES = re.compile(r'[",\r\n\x00\\]|^\s|\s$|^$')
_CELL = re.compile(r'(?:"(?P<quoted>[^"]*(?:""[^"]*)*)"|(?P<plain>[^,"]*))(?:,|$)')

_Row = Mapping[str, msgspec.Raw]
_decode_row = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode


class _CsvWriter:
    def __init__(
        self, sink: ByteSink, next_part: NextPart, declared: RecordSchema | None = None
    ) -> None:
        self._sink = sink
        self._next_part = next_part
        # In the order in which they were seen.
        self._columns: dict[str, None] = dict.fromkeys(declared.fields if declared else ())
        self._header: tuple[str, ...] = ()
        # Waits for the first records of its file: with more columns, they bring another header.
        self._header_line = b""
        self._held: list[_Row] = []
        self._held_bytes = 0
        self._rows = 0  # in the file, those held back included

    def write(self, records: Sequence[Any], /) -> None:
        rows = [_read_row(record) for record in records]
        if self._header:
            self._write_rows(rows)
            return
        self._held += rows
        self._held_bytes += sum(len(bytes(cell)) for row in rows for cell in row.values())
        if len(self._held) >= _BLOCK_ROWS or self._held_bytes >= _BLOCK_BYTES:
            self._flush()

    def _flush(self) -> None:
        held, self._held, self._held_bytes = self._held, [], 0
        self._write_rows(held)

    def _write_rows(self, rows: Sequence[_Row]) -> None:
        columns = {**self._columns, **dict.fromkeys(name for row in rows for name in row)}
        lines = _lines(tuple(columns), rows)  # first: an error must begin no part
        if len(columns) > len(self._header):
            self._begin_header(columns)
        if rows:
            self._write_header()
        self._sink.write(lines)
        self._rows += len(rows)

    def _begin_header(self, columns: dict[str, None]) -> None:
        if self._rows:
            self._sink = self._next_part(self._rows)
        self._rows, self._columns, self._header = 0, columns, tuple(columns)
        self._header_line = (",".join(map(_quote, columns)) + "\r\n").encode() if columns else b""

    def _write_header(self) -> None:
        self._sink.write(self._header_line)
        self._header_line = b""

    def end_part(self) -> None:
        """Goes on with the same columns."""
        if self._held:
            self._flush()
        if self._rows:
            self._begin_header(self._columns)

    def close(self) -> None:
        if self._held or not self._header:
            self._flush()
        self._write_header()
        self._sink.flush()


def _read_row(record: Any) -> _Row:
    try:
        return _decode_row(record if isinstance(record, msgspec.Raw) else encode(record))
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise InvalidRecord(f"A record is not an object of names and values ({error})") from error


def _lines(header: tuple[str, ...], rows: Sequence[_Row]) -> bytes:
    # A line without anything is not a record to most readers, so a single cell is never empty.
    nothing = '""' if len(header) == 1 else ""
    lines = [
        ",".join([nothing if (cell := row.get(name)) is None else _cell(cell) for name in header])
        for row in rows
    ]
    if len(header) == 1:
        lines = [line or nothing for line in lines]
    return "".join([f"{line}\r\n" for line in lines]).encode()


def _cell(raw: msgspec.Raw) -> str:
    data = bytes(raw)
    if data[:1] == b'"':
        return _quote(_decode_text(data) if b"\\" in data else data[1:-1].decode())
    if data == b"null":
        return ""
    text = data.decode()
    return _quote(text) if data[:1] in {b"{", b"["} else text


def _quote(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text


def _read_csv(file: IO[bytes], skip: int, take: int) -> Iterator[Any]:
    lines = _logical_lines(file)
    header = [cell or "" for cell in _split(next(lines, ""))]
    for line in itertools.islice(lines, skip, skip + take):
        yield dict(zip(header, _split(line), strict=True))


def _logical_lines(file: Iterable[bytes]) -> Iterator[str]:
    """Yields lines without their end; text in quotes may have several."""
    pending: list[bytes] = []
    quotes = 0
    for line in file:
        pending.append(line)
        quotes += line.count(b'"')
        if quotes % 2 == 0:
            yield b"".join(pending).decode().removesuffix("\r\n")
            pending, quotes = [], 0


def _split(line: str) -> list[str | None]:
    cells: list[str | None] = []
    at = 0
    while True:
        found = _CELL.match(line, at)
        if found is None:
            raise InvalidRecord("A line of the file is not as it was written")
        quoted = found["quoted"]
        cells.append(found["plain"] or None if quoted is None else quoted.replace('""', '"'))
        at = found.end()
        if at == len(line) and not found[0].endswith(","):
            return cells


CSV = FileFormat(_CsvWriter, _read_csv, has_types=False)
