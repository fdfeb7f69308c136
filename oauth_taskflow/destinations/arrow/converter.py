"""Turns records into Arrow tables, block by block, under one schema that grows with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from oauth_taskflow.api.decoders.json_outline import replace_half_characters
from oauth_taskflow.api.decoders.numbers import build_json_decoder, decode, encode, json_encoder
from oauth_taskflow.destinations.arrow.exact_values import Misfit, observe_records, rewrite
from oauth_taskflow.destinations.arrow.json_reader import check_numbers, observe_table, read_lines
from oauth_taskflow.destinations.arrow.types import holds_texts, to_arrow_schema, to_arrow_type
from oauth_taskflow.destinations.arrow.widening import widen_array, widen_table
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.record_schema.model import JSON, FieldType, RecordSchema, unite_schemas
from oauth_taskflow.redaction import redact_text

# Of JSON: larger blocks are read no faster, and take several times their size of memory.
BLOCK_BYTES = 2 << 20
BLOCK_ROWS = 100_000
_SLICE = 1000  # records of a large page that are encoded at once
_SHOWN = 80
_NULL_LINE = b"\nnull\n"
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode_lines
_object_decoder = build_json_decoder(dict[str, Any])
_decode_object, _decode_objects = _object_decoder.decode, _object_decoder.decode_lines


class TableBuilder:
    """Gathers records in blocks, and makes a table of each.

    Nothing is rounded and no text is read as a date. ``schema`` is the union of ``declared`` and of everything seen so
    far; each table has the schema of its moment, so an earlier one may be narrower: ``widening.widen_table`` brings it
    to a later schema. The schema at the end is the same for any size of blocks, but for the order of fields.

    Args:
        declared: the schema that the spec gives. Only here a text becomes a timestamp, a date or a decimal. Records that
            do not fit widen it.
        block_bytes: a block ends after this many bytes of JSON,
        block_rows: or after this many records.
        nested: whether objects and lists have columns of their own type; otherwise they are kept as JSON, exactly.
    """

    def __init__(
        self,
        declared: RecordSchema | None = None,
        *,
        block_bytes: int = BLOCK_BYTES,
        block_rows: int = BLOCK_ROWS,
        nested: bool = True,
    ) -> None:
        fields = {} if declared is None else declared.fields
        self._nested = nested
        self._declared: Mapping[str, FieldType] = fields if nested else flatten_fields(fields)
        self.schema = RecordSchema(self._declared)
        self._has_records = False
        self._block_bytes, self._block_rows = block_bytes, block_rows
        self._lines: list[bytes] = []
        self._bytes = self._rows = 0
        # Whether pyarrow read the last block as it came: duplicate names, for one, come in every record or in none.
        self._is_plain = True

    def add(self, records: Sequence[Any]) -> Iterator[pa.Table]:
        """Takes records, each ``msgspec.Raw`` or a Python value, and yields the tables of the blocks that they fill.

        Raises:
            InvalidRecord: a record is not an object, or not JSON.
        """
        for first in range(0, len(records), _SLICE):
            some = records[first : first + _SLICE]
            lines = json_encoder.encode_lines(some)
            self._lines.append(lines)
            self._bytes += len(lines)
            self._rows += len(some)
            if self._bytes >= self._block_bytes or self._rows >= self._block_rows:
                yield from self.finish()

    def take_table(self, table: pa.Table, known: RecordSchema) -> Iterator[pa.Table]:
        """Yields the records that wait, then ``table`` of the schema ``known``, in the columns of all records so far.

        Raises:
            InvalidRecord: a record that waited is not an object, or not JSON.
        """
        yield from self.finish()
        self.schema, self._has_records = self._unite(known.fields), True
        yield widen_table(table, self.schema, known)

    def finish(self) -> Iterator[pa.Table]:
        """Yields the table of the records that fill no block, if there are any. More may be added after it.

        Raises:
            InvalidRecord: a record is not an object, or not JSON.
        """
        if not self._rows:
            return
        table = self._convert(b"".join(self._lines))  # after an error, the records are still here
        assert table.num_rows == self._rows
        self._lines, self._bytes, self._rows = [], 0, 0
        yield table

    def _convert(self, lines: bytes) -> pa.Table:
        before = self.schema
        has_texts = any(holds_texts(kind) for kind in before.fields.values())
        convert = (
            self._convert_rewritten if has_texts or not self._is_plain else self._convert_plain
        )
        try:
            return convert(lines)
        # Values nested hundreds of levels deep are kept as JSON, and their types in Arrow are too deep to walk through.
        except (pa.ArrowInvalid, Misfit, msgspec.MsgspecError, RecursionError):
            table = self._convert_exactly(lines)
        self._is_plain = self.schema != before
        return table

    def _convert_plain(self, lines: bytes) -> pa.Table:
        table = read_lines(lines, self.schema.fields)
        # pyarrow makes a record without fields of null.
        if all(column.null_count for column in table.columns) and _has_null(lines):
            raise Misfit("a record is null")
        check_numbers(lines, table)
        return self._take(table)

    def _convert_rewritten(self, lines: bytes) -> pa.Table:
        """Decodes only the fields that are kept as texts; the last of two fields with one name counts."""
        texts = {name: kind for name, kind in self.schema.fields.items() if holds_texts(kind)}
        records = _decode_members(lines)
        for record in records:
            for name in texts.keys() & record.keys():
                value = rewrite(decode(record[name]), texts[name], self._declared.get(name))
                record[name] = msgspec.Raw(encode(value))
        return self._convert_plain(json_encoder.encode_lines(records))

    def _convert_exactly(self, lines: bytes) -> pa.Table:
        """Decodes every value, finds the schema, and lets pyarrow read what then certainly fits."""
        records = _decode_records(lines)
        observed = observe_records(records, self._declared)
        schema = self._unite(observed if self._nested else flatten_fields(observed))
        fields, declared = schema.fields, self._declared
        written = json_encoder.encode_lines(
            {name: rewrite(value, fields[name], declared.get(name)) for name, value in one.items()}
            for one in records
        )
        return self._take(read_lines(written, fields), schema)

    def _unite(self, observed: Mapping[str, FieldType]) -> RecordSchema:
        found = RecordSchema(observed)
        is_first = not (self._has_records or self._declared)
        return found if is_first else unite_schemas(self.schema, found)

    def _take(self, table: pa.Table, schema: RecordSchema | None = None) -> pa.Table:
        """Takes a table with the types of ``schema``, by default those seen so far, into the schema."""
        known = self.schema if schema is None else schema
        observed = observe_table(table, known.fields)
        if not self._nested and flatten_fields(observed) != observed:
            raise Misfit("an object or a list is to be kept as JSON")
        united = (
            self._unite(observed)
            if schema is None
            else unite_schemas(schema, RecordSchema(observed))
        )
        for name, seen in observed.items():
            if _is_kept_otherwise(united.fields[name], seen):
                raise Misfit("a value is to be kept as JSON or as digits")
        columns = [
            widen_array(table.column(name).combine_chunks(), observed[name], kind)
            if name in observed
            else pa.nulls(table.num_rows, to_arrow_type(kind))
            for name, kind in united.fields.items()
        ]
        self.schema, self._has_records = united, True
        if not columns:
            return table
        return pa.Table.from_arrays(columns, schema=to_arrow_schema(united))


def _has_null(lines: bytes) -> bool:
    return lines.startswith(_NULL_LINE[1:]) or _NULL_LINE in lines


def flatten_fields(fields: Mapping[str, FieldType]) -> dict[str, FieldType]:
    """Returns the fields with JSON in place of every object and list."""
    return {
        name: JSON if kind.kind in {"list", "object"} else kind for name, kind in fields.items()
    }


def _is_kept_otherwise(kept: FieldType, seen: FieldType) -> bool:
    """Returns whether pyarrow made of a field, or of one within it, something else than the text that it is kept as."""
    if kept.kind in {"json", "decimal", "fixed"}:
        return seen.kind not in {kept.kind, "null"}
    if kept.kind == "list" and kept.item is not None and seen.item is not None:
        return _is_kept_otherwise(kept.item, seen.item)
    return any(_is_kept_otherwise(kept.fields[name], one) for name, one in seen.fields.items())


def _decode_records(lines: bytes) -> list[dict[str, Any]]:
    try:
        return _decode_objects(lines)
    except (msgspec.MsgspecError, RecursionError):
        # A text that the API cut within an emoji is kept, as it is when a page is read.
        return [_decode_record(replace_half_characters(line)) for line in lines.splitlines()]


def _decode_record(line: bytes) -> dict[str, Any]:
    try:
        record: dict[str, Any] = _decode_object(line)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        shown = line[:_SHOWN].decode("utf-8", "replace")
        raise InvalidRecord(
            f"A record has no columns ({error}): {redact_text(shown)}",
            hint="Tables take JSON objects: select objects with records, or let the format be jsonl.",
        ) from error
    return record
