"""The steps that move fields without looking at their values: ``spread``, ``move``, ``collect``, ``flatten``, ``drop``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec

from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.fields.members import (
    ABSENT,
    Members,
    clash_error,
    describe_kind,
    find_mappings,
    find_places,
    has_member,
    is_null,
    open_member,
    open_value,
    put_member,
    take_member,
)
from oauth_taskflow.fields.options import Collect
from oauth_taskflow.fields.paths import FieldPath, PathPart, parse_field_path


class SpreadStep:
    """Moves the members of mappings up one level; null is a mapping without members."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = [parse_field_path(path) for path in paths]

    def __call__(self, record: Members) -> None:
        """Changes the record in place.

        Raises:
            InvalidRecord: the value is not a mapping, or a member has the name of a field that is there.
        """
        for path in self._paths:
            for holder, name in list(find_places(record, path.parts)):
                self._spread(holder, name, path.text)

    def _spread(self, holder: Any, name: Any, path: str) -> None:
        inner = open_member(holder, name)
        if is_null(inner):
            del holder[name]
            return
        if not isinstance(inner, dict):
            raise InvalidRecord(
                f"fields.spread needs a mapping in the field {path!r}, which is a {describe_kind(inner)}",
                hint="Correct the path, or remove it from fields.spread.",
            )
        del holder[name]
        clash = next((member for member in inner if member in holder), None)
        if clash is not None:
            raise clash_error(
                "spread",
                str(clash),
                f'Lift out what you need instead, as in fields.move: {{"{path}.{clash}": other_name}}.',
            )
        holder.update(inner)


class MoveStep:
    """Renames fields and lifts them out, all at once: two fields may change places. A field at the new path is replaced."""

    def __init__(self, moves: Mapping[str, str]) -> None:
        parsed = [
            (*parse_field_path(old).split(), parse_field_path(new).split()[1])
            for old, new in moves.items()
        ]
        # Renames at the top, which are most moves, need no search.
        self._renames: list[tuple[str, str]] | None = None
        if all(not around and len(old) == len(new) == 1 for around, old, new in parsed):
            self._renames = [(old[0], new[0]) for _, old, new in parsed]
        # Deeper lists and deeper fields first: what is around them may move, too.
        parsed.sort(key=lambda move: (-len(move[0]), str(move[0]), -len(move[1])))
        self._groups: list[
            tuple[tuple[PathPart, ...], list[tuple[tuple[str, ...], tuple[str, ...]]]]
        ]
        self._groups = [
            (around, [(old, new) for _, old, new in group])
            for around, group in groupby(parsed, key=lambda move: move[0])
        ]

    def __call__(self, record: Members) -> None:
        """Changes the record in place.

        Raises:
            InvalidRecord: a value that is not a mapping is on the way to a new path.
        """
        if self._renames is not None:
            record.update([(new, record.pop(old)) for old, new in self._renames if old in record])
            return
        for around, moves in self._groups:
            for mapping in find_mappings(record, around):
                _move_members(mapping, moves)


def _move_members(
    mapping: Members, moves: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]
) -> None:
    taken = [(new, take_member(mapping, old)) for old, new in moves]
    for new, value in taken:
        if value is not ABSENT:
            put_member(mapping, new, value, "move")


class CollectStep:
    """Gathers fields in one field: as a mapping, or as a list of small mappings."""

    def __init__(self, collections: Mapping[str, Collect]) -> None:
        self._collections = [
            (
                parse_field_path(target).names,
                [
                    parse_field_path(path)
                    for path in ([each.keys] if isinstance(each.keys, str) else each.keys)
                ],
                each.as_,
            )
            for target, each in collections.items()
        ]

    def __call__(self, record: Members) -> None:
        """Changes the record in place; without a matching field nothing is written.

        Raises:
            InvalidRecord: there is a field with the new name, or two collected fields have the same name.
        """
        for target, paths, labels in self._collections:
            found = self._take(record, paths)
            if not found:
                continue
            if has_member(record, target):
                raise clash_error(
                    "collect", ".".join(target), "Choose another name under fields.collect."
                )
            put_member(record, target, _label(found, labels), "collect")

    @staticmethod
    def _take(record: Members, paths: Sequence[FieldPath]) -> Members:
        found: Members = {}
        for path in paths:
            for holder, name in list(find_places(record, path.parts)):
                if name in found:
                    raise clash_error("collect", str(name), "Collect them under different names.")
                found[name] = holder.pop(name)
        return found


def _label(found: Members, labels: Sequence[str] | None) -> Any:
    if labels is None:
        return found
    key, value = labels
    return [{key: name, value: inner} for name, inner in found.items()]


class FlattenStep:
    """Joins the names of nested mappings; lists and empty mappings stay as they are."""

    def __init__(self, separator: str) -> None:
        self._separator = separator

    def __call__(self, record: Members) -> None:
        """Changes the record in place.

        Raises:
            InvalidRecord: two fields get the same name.
        """
        if not any(_is_mapping(value) for value in record.values()):
            return
        flat: Members = {}
        self._add(flat, "", record)
        record.clear()
        record.update(flat)

    def _add(self, flat: Members, prefix: str, mapping: Members) -> None:
        for name, value in mapping.items():
            inner = open_value(value) if _is_mapping(value) else value
            if isinstance(inner, dict) and inner:
                self._add(flat, f"{prefix}{name}{self._separator}", inner)
                continue
            if f"{prefix}{name}" in flat:
                hint = "Rename one with fields.move, or write another separator: fields.flatten."
                raise clash_error("flatten", f"{prefix}{name}", hint)
            flat[f"{prefix}{name}"] = inner


class DropStep:
    """Leaves out fields."""

    def __init__(self, paths: Sequence[str]) -> None:
        parsed = [parse_field_path(path) for path in paths]
        self._names = [path.only_name for path in parsed if path.only_name is not None]
        self._paths = [path.parts for path in parsed if path.only_name is None]

    def __call__(self, record: Members) -> None:
        """Changes the record in place."""
        for name in self._names:
            record.pop(name, None)
        for parts in self._paths:
            for holder, name in list(find_places(record, parts)):
                if isinstance(holder, dict):
                    del holder[name]


def _is_mapping(value: Any) -> bool:
    if isinstance(value, msgspec.Raw):
        return memoryview(value)[0] == ord("{")
    return isinstance(value, dict)
