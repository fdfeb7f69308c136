"""JMESPath over records, of which only the members that an expression names are decoded.

Comparisons, fields and their combinations become functions; everything else is left to JMESPath itself. Both give the
same values.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult

from oauth_taskflow.api.decoders.json import compile_path, explain_misfit
from oauth_taskflow.api.decoders.numbers import build_json_decoder, decode
from oauth_taskflow.api.pull.path_roots import root_keys
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.record_values import find_cause

_Reader = Callable[[Any], Any]
_ORDERS: Mapping[str, Callable[[Any, Any], Any]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}


class RecordExpression:
    """A JMESPath that starts from a record, in which ``names`` are visible as well as the record's fields.

    Raises:
        RecordsNotFound: ``text`` is not a JMESPath expression.
    """

    def __init__(self, text: str, names: Collection[str] = (), *, option: str = "where") -> None:
        self.text = text
        self._option = option
        self._read = _compile(compile_path(text).parsed)
        roots = {keys[0] if keys else None for keys in root_keys(text)}
        self.names = frozenset(names) & roots
        self.keys = None if None in roots else tuple(sorted(map(str, roots)))
        self._view = _view_decoder(self.keys)
        self._given: Mapping[str, Any] = {}

    def give(self, names: Mapping[str, Any]) -> None:
        """Sets the values of the names besides the record's fields; names that the expression does not use are ignored."""
        self._given = {name: names[name] for name in self.names if name in names}

    def search(self, record: Any) -> Any:
        """Returns the value that the expression finds in ``record``, decoded or ``msgspec.Raw``.

        Raises:
            InvalidRecord: a function met a value of another type, or the record has a field with the name of a parent.
        """
        view = self._view(record) if isinstance(record, msgspec.Raw) else record
        if self._given and isinstance(view, dict):
            view = self._add_names(view)
        try:
            return self._read(view)
        except (JMESPathError, TypeError) as error:  # TypeError: a text was compared with a number
            raise InvalidRecord(
                f"The JMESPath {self.text!r} of {self._option} does not fit a record: "
                f"{explain_misfit(error):.200}",
                hint="Let it test the type first, or correct it.",
            ) from find_cause(error)

    def accepts(self, record: Any) -> bool:
        """Whether the value found is true in JMESPath's sense: neither absent, null, false nor empty."""
        return not _is_false(self.search(record))

    def _add_names(self, view: dict[str, Any]) -> dict[str, Any]:
        clash = next((name for name in self._given if view.get(name) is not None), None)
        if clash is not None:
            raise InvalidRecord(
                f"The name {clash!r} in {self._option} means the record of for_each and a field of the record",
                hint=f"Give {clash!r} another name under for_each.",
            )
        return {**view, **self._given}


def _view_decoder(keys: tuple[str, ...] | None) -> Callable[[msgspec.Raw], Any]:
    """Returns a decoder of the members ``keys`` alone; of the whole record without ``keys``."""
    if keys is None:
        return decode
    fields = [(f"f{n}", Any, msgspec.field(name=key, default=None)) for n, key in enumerate(keys)]
    read = build_json_decoder(msgspec.defstruct("View", fields)).decode
    take = msgspec.structs.astuple

    def view(record: msgspec.Raw) -> Any:
        try:
            return dict(zip(keys, take(read(record)), strict=True))
        except msgspec.ValidationError:
            return decode(record)  # a single value has no fields

    return view


def _compile(node: Any) -> _Reader:
    """Returns a function from a value to what the JMESPath ``node`` finds in it."""
    kind, children = node["type"], node["children"]
    if kind == "field":
        return _read_field(node["value"])
    if kind == "literal":
        return _read_constant(node["value"])
    if kind == "subexpression" and all(child["type"] == "field" for child in children[1:]):
        return _read_chain([_compile(child) for child in children])
    if kind in {"comparator", "and_expression", "or_expression", "not_expression"}:
        return _read_condition(kind, node.get("value"), [_compile(child) for child in children])
    return ParsedResult("", node).search


def _read_constant(value: Any) -> _Reader:
    return lambda _: value


def _read_field(name: str) -> _Reader:
    return lambda value: value.get(name) if isinstance(value, dict) else None


def _read_chain(steps: list[_Reader]) -> _Reader:
    def read(value: Any) -> Any:
        for step in steps:
            value = step(value)
        return value

    return read


def _read_condition(kind: str, symbol: Any, parts: list[_Reader]) -> _Reader:
    if kind == "not_expression":
        (only,) = parts
        return lambda value: _is_false(only(value))
    left, right = parts
    if kind == "and_expression":
        return lambda value: found if _is_false(found := left(value)) else right(value)
    if kind == "or_expression":
        return lambda value: right(value) if _is_false(found := left(value)) else found
    if symbol in _ORDERS:
        compare = _ORDERS[symbol]
        return lambda value: _order(compare, left(value), right(value))
    wanted = symbol == "eq"
    return lambda value: _equals(left(value), right(value)) is wanted


def _is_false(value: Any) -> bool:
    return value is None or value is False or (not value and isinstance(value, (str, list, dict)))


def _equals(left: Any, right: Any) -> bool:
    # 1 and true are equal in Python, but not in JMESPath.
    return isinstance(left, bool) is isinstance(right, bool) and bool(left == right)


def _order(compare: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """Returns whether ``left`` comes before or after ``right``; None where one of them has no order."""
    if _has_order(left) and _has_order(right):
        return compare(left, right)
    return None


def _has_order(value: Any) -> bool:
    return isinstance(value, (int, float, str)) and not isinstance(value, bool)
