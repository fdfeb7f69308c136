"""The step ``set``: new fields from constants, templates and JMESPaths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

import msgspec

from oauth_taskflow.api.decoders.numbers import decode, encode
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.fields.expressions import RecordExpression
from oauth_taskflow.fields.members import Members, clash_error, close_record, has_member, put_member
from oauth_taskflow.fields.options import PathValue
from oauth_taskflow.fields.paths import parse_field_path

# From a template and its names to its value, as in requests: a text that is one {{ … }} keeps the value's type.
Renderer = Callable[[str, Mapping[str, Any]], Any]
# The attributes of ``record`` that a template uses; None for the whole record, an empty set if it uses nothing.
RecordUse = Callable[[str], "frozenset[str] | None"]


class SetStep:
    """Adds new fields. All are computed from the record as it was before the step."""

    def __init__(self, values: Mapping[str, Any], render: Renderer, find_use: RecordUse) -> None:
        self._render = render
        self._names: Mapping[str, Any] = {}
        self._constants: list[tuple[tuple[str, ...], Any]] = []
        self._paths: list[tuple[tuple[str, ...], RecordExpression]] = []
        self._varying: list[tuple[tuple[str, ...], str, frozenset[str] | None]] = []
        self._steady: list[tuple[tuple[str, ...], str]] = []
        for target, value in values.items():
            names = parse_field_path(target).names
            if isinstance(value, PathValue):
                option = f"fields.set.{target}"
                self._paths.append((names, RecordExpression(value.path, option=option)))
            elif not isinstance(value, str) or "{" not in value:
                self._constants.append((names, value))
            elif (use := find_use(value)) == frozenset():
                self._steady.append((names, value))
            else:
                self._varying.append((names, value, use))
        self._given: list[tuple[tuple[str, ...], Any]] = list(self._constants)

    def begin(self, names: Mapping[str, Any]) -> None:
        """Takes the template names for the records that follow, and renders what is the same for all of them.

        Raises:
            TemplateFailed: a template names something undefined or gives null.
        """
        self._names = names
        steady = [(target, _to_json(self._render(text, names))) for target, text in self._steady]
        self._given = [*self._constants, *steady]

    def __call__(self, record: Members) -> None:
        """Changes the record in place; a JMESPath that finds nothing, or null, sets nothing.

        Raises:
            InvalidRecord: there is a field with the new name, or a JMESPath does not fit the record.
            TemplateFailed: a template names something undefined or gives null.
        """
        found = [*self._given, *self._find(record)]
        for names, value in found:
            if value is None:
                continue
            if has_member(record, names):
                name = ".".join(names)
                hint = f"Choose another name, or rename the old one first: fields.move: {{{name}: old_{name}}}."
                raise clash_error("set", name, hint)
            put_member(record, names, value, "set")

    def _find(self, record: Members) -> list[tuple[tuple[str, ...], Any]]:
        if not self._paths and not self._varying:
            return []
        whole = close_record(record) if self._paths else None
        found = [(names, _to_json(expression.search(whole))) for names, expression in self._paths]
        for names, text, use in self._varying:
            view = {
                name: decode(encode(value))
                for name, value in record.items()
                if use is None or name in use
            }
            value = self._render(text, {**self._names, "record": view})
            found.append((names, _to_json(value)))
        return found


def _to_json(value: Any) -> Any:
    """Returns a copy of ``value`` as JSON: later steps do not change the parts of the record that it holds."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    try:
        return msgspec.Raw(encode(value))
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InvalidRecord(
            f"A value of fields.set has the type {type(value).__name__}, which JSON does not have",
            hint="Let the template give a text, a number or a list.",
        ) from error
