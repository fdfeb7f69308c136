"""Reads a block of JSON lines with pyarrow's reader, observes its columns, and finds out whether numbers were rounded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from oauth_taskflow.api.decoders.numbers import build_json_decoder
from oauth_taskflow.destinations.arrow.exact_values import Misfit, is_double
from oauth_taskflow.destinations.arrow.types import make_nullable, to_arrow_type
from oauth_taskflow.record_schema.generated_types import may_lose_digits
from oauth_taskflow.record_schema.model import (
    MOST_LEVELS,
    MOST_NESTED_FIELDS,
    NULL,
    FieldType,
    integer_type,
)

_READ_TYPES = {
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "decimal": pa.string(),
    "text": pa.string(),
    "date": pa.string(),
    "timestamp": pa.string(),
    "json": pa.string(),
}
_TEXTS = {"date", "timestamp", "decimal", "json"}
_SAFE = float(2**53)
# The smallest double with all its digits; below it, fewer and fewer are kept, and at last zero.
_SMALLEST = 2.2250738585072014e-308
_FRACTION = re.compile(rb"-?\d+(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+)")
_SAMPLE = 1 << 16


def read_lines(lines: bytes, fields: Mapping[str, FieldType]) -> pa.Table:
    """Returns the records of JSON lines, with ``fields`` in their types; types of other fields are inferred.

    Texts are never read as timestamps. ``lines`` must not be empty.

    Raises:
        ArrowInvalid: a value has another type, a field comes twice in one object, or the lines are not JSON.
    """
    explicit = _explicit(fields) if fields else _find_dates(lines)
    table = _read(lines, explicit)
    if _is_misread(table):
        table = _read(lines, pa.schema([_with_texts(field) for field in table.schema]))
    return table


def _find_dates(lines: bytes) -> pa.Schema:
    """Returns the fields whose texts pyarrow takes for timestamps in the first records, to read the rest only once."""
    end = lines.find(b"\n", _SAMPLE) + 1
    if not end:
        return pa.schema([])
    try:
        found = _read(lines[:end], pa.schema([])).schema
    except pa.ArrowInvalid:
        return pa.schema([])
    return pa.schema(_dates_of(found))


def _dates_of(fields: Iterable[pa.Field]) -> list[pa.Field]:
    found = []
    for field in fields:
        if pa.types.is_struct(field.type):
            if below := _dates_of(field.type):
                found.append(field.with_type(pa.struct(below)))
        elif pa.types.is_timestamp(field.type):
            found.append(field.with_type(pa.string()))
    return found


def _explicit(fields: Mapping[str, FieldType]) -> pa.Schema:
    known = ((name, _read_type(kind)) for name, kind in fields.items())
    return pa.schema([(name, kind) for name, kind in known if kind is not None])


def _read(lines: bytes, explicit: pa.Schema) -> pa.Table:
    return pa.json.read_json(
        pa.BufferReader(lines),
        read_options=pa.json.ReadOptions(use_threads=False, block_size=len(lines)),
        parse_options=pa.json.ParseOptions(
            explicit_schema=explicit, unexpected_field_behavior="infer"
        ),
    )


def _read_type(field_type: FieldType) -> pa.DataType | None:
    """The type to read a field in; None when it is not known yet, for pyarrow takes null for a type like any other."""
    if field_type.kind == "list":
        item = None if field_type.item is None else _read_type(field_type.item)
        return None if item is None else pa.list_(item)
    if field_type.kind == "object":
        return pa.struct(list(_explicit(field_type.fields)))
    if (
        field_type.kind == "fixed"
    ):  # pyarrow takes the digits of the literal, and refuses one that has too many
        return to_arrow_type(field_type)
    return _READ_TYPES.get(field_type.kind)


def _is_misread(table: pa.Table) -> bool:
    """Returns whether pyarrow took texts for timestamps, or left out a value.

    Where it infers the type of a list that begins with nulls, the values are one too few (pyarrow 26). With that type
    given it reads the same list well.
    """
    if any(_has_timestamps(field.type) for field in table.schema):
        return True
    try:
        table.validate()
    except pa.ArrowInvalid:
        return True
    return False


def _has_timestamps(found: pa.DataType) -> bool:
    if pa.types.is_timestamp(found):
        return True
    return any(_has_timestamps(found.field(place).type) for place in range(found.num_fields))


def _with_texts(field: pa.Field) -> pa.Field:
    return field.with_type(_as_texts(field.type))


def _as_texts(found: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(found):
        return pa.string()
    if pa.types.is_list(found):
        item = found.value_type
        return pa.list_(pa.string() if pa.types.is_null(item) else _as_texts(item))
    if pa.types.is_struct(found):
        return pa.struct([_with_texts(field) for field in found])
    return found


def observe_table(table: pa.Table, known: Mapping[str, FieldType]) -> dict[str, FieldType]:
    """Returns the field types of a table that ``read_lines`` made with the fields ``known``.

    Raises:
        Misfit: a value must be kept as JSON.
    """
    found = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = _observe(pa.concat_arrays(column.chunks), known.get(name), 0)
        found[name] = make_nullable(kind) if column.null_count else kind
    return found


def _observe(array: pa.Array, known: FieldType | None, level: int) -> FieldType:
    found = array.type
    if array.null_count == len(array):  # nulls say nothing
        return known or NULL
    if pa.types.is_nested(found):
        return _observe_nested(array, known, level)
    if pa.types.is_string(found):
        return FieldType(known.kind if known is not None and known.kind in _TEXTS else "text")
    if pa.types.is_integer(found):
        return _observe_integers(array, known)
    if pa.types.is_decimal(found):
        return FieldType("fixed", precision=found.precision, scale=found.scale)
    return FieldType("boolean" if pa.types.is_boolean(found) else "number")


def _observe_nested(array: pa.Array, known: FieldType | None, level: int) -> FieldType:
    if level >= MOST_LEVELS:
        raise Misfit("a list or object is nested too deep for a column")
    observe = _observe_list if pa.types.is_list(array.type) else _observe_object
    return observe(array, known, level)


def _observe_integers(array: pa.Array, known: FieldType | None) -> FieldType:
    if known is not None and known.wide:
        return FieldType("integer", wide=True)
    ends = pc.min_max(array)
    return integer_type(ends["min"].as_py() or 0, ends["max"].as_py() or 0)


def _observe_list(array: pa.Array, known: FieldType | None, level: int) -> FieldType:
    values = array.flatten()
    below = None if known is None else known.item
    if not len(values):
        return FieldType("list", item=below)
    item = _observe(values, below, level + 1)
    return FieldType("list", item=make_nullable(item) if values.null_count else item)


def _observe_object(array: pa.Array, known: FieldType | None, level: int) -> FieldType:
    if array.type.num_fields > MOST_NESTED_FIELDS:
        raise Misfit("an object has too many fields for a column")
    below: Mapping[str, FieldType] = {} if known is None else known.fields
    nulls = array.null_count
    fields = {}
    for place, field in enumerate(array.type):
        child = array.field(place)
        kind = _observe(child, below.get(field.name), level + 1)
        fields[field.name] = make_nullable(kind) if child.null_count > nulls else kind
    return FieldType("object", fields=fields)


def check_numbers(lines: bytes, table: pa.Table) -> None:
    """Makes sure that no number of ``table`` differs from the digits in ``lines``.

    Raises:
        Misfit: a double does not hold one of them, or it is NaN.
    """
    doubles = [found for column in table.columns for found in _find_doubles(column)]
    if not doubles:
        return
    has_zero = False
    for column in doubles:
        # A larger double may have been an integer; infinite and NaN are not below it either.
        size = pc.abs(column)
        is_zero = pc.equal(size, 0)
        is_safe = pc.and_(pc.less(size, _SAFE), pc.or_(is_zero, pc.greater_equal(size, _SMALLEST)))
        if not pc.all(is_safe).as_py():
            raise Misfit("a number is too large for a double, or too small")
        has_zero = has_zero or bool(pc.any(is_zero).as_py())
    if may_lose_digits(lines, has_small=has_zero):
        _check_fractions(lines)


def _find_doubles(column: pa.Array | pa.ChunkedArray) -> list[pa.Array | pa.ChunkedArray]:
    if pa.types.is_floating(column.type):
        return [column]
    if not column.type.num_fields:
        return []
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    below: list[pa.Array] = []
    for chunk in chunks:
        below += [chunk.flatten()] if pa.types.is_list(chunk.type) else chunk.flatten()
    return [found for one in below for found in _find_doubles(one)]


def _check_fractions(lines: bytes) -> None:
    text = lines.replace(rb"\\", b"").replace(rb"\"", b"")
    outside = b" ".join(text.split(b'"')[::2])
    read = build_json_decoder().decode
    numbers = _FRACTION.findall(outside)
    critical = (one for one in numbers if len(one) > 16 or b"e" in one or b"E" in one)
    if not all(is_double(read(number)) for number in critical):
        raise Misfit("a double does not hold a number")
