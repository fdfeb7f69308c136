"""The steps that look at values: ``drop_values`` and ``hash``."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from oauth_taskflow.api.decoders.numbers import encode
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.fields.members import (
    Members,
    describe_kind,
    find_places,
    is_null,
    open_value,
    read_scalar,
)
from oauth_taskflow.fields.paths import parse_field_path


class DropValuesStep:
    """Leaves out fields with certain values, at any depth; items of lists stay where they are.

    Numbers are compared by value, so that 0 means 0.0 too, and never equal true or false.
    """

    def __init__(self, values: Sequence[Any]) -> None:
        self._scalars = {
            _identify(value) for value in values if not isinstance(value, (list, dict))
        }
        self._kinds = {kind for kind, _ in self._scalars}
        self._containers = [value for value in values if isinstance(value, (list, dict))]
        exact = [encode(value) for value in values]
        # Without these bytes nothing inside a mapping or list can match, and it stays closed.
        self._marks = None if self._containers or "number" in self._kinds else exact

    def __call__(self, record: Members) -> None:
        """Changes the record in place."""
        for name in [
            name for name, value in record.items() if self._is_dropped(record, name, value)
        ]:
            del record[name]

    def _is_dropped(self, holder: Any, key: Any, value: Any) -> bool:
        """Whether the value goes; fields inside it have gone before, so that what is left may be empty."""
        kind, text = read_scalar(value)
        if kind not in {"mapping", "list"}:
            return kind in self._kinds and _identify_scalar(kind, text) in self._scalars
        if not self._may_hold(value):
            return False
        inner = holder[key] = open_value(value)
        if isinstance(inner, dict):
            self(inner)
        else:
            for index, item in enumerate(inner):
                self._is_dropped(inner, index, item)
        return any(inner == wanted for wanted in self._containers if not inner or not wanted)

    def _may_hold(self, value: Any) -> bool:
        if self._marks is None or not isinstance(value, msgspec.Raw):
            return True
        content = bytes(value)
        return b"\\" in content or any(mark in content for mark in self._marks)


def _identify(value: Any) -> tuple[str, Any]:
    return _identify_scalar(*read_scalar(msgspec.Raw(encode(value))))


def _identify_scalar(kind: str, text: str) -> tuple[str, Any]:
    # Not a float, which would take two large whole numbers for one.
    return kind, Decimal(text) if kind == "number" else text


class HashStep:
    """Replaces values by their HMAC-SHA256 (RFC 2104) under a key, in hexadecimal digits; null stays null.

    The same value gives the same hash in every field, endpoint and run with this key. A number is hashed as the API wrote
    it, like a text of the same characters.
    """

    def __init__(self, paths: Sequence[str], key: str, length: int) -> None:
        self._paths = [parse_field_path(path) for path in paths]
        self._unmet = {path.text for path in self._paths}
        self._records = 0
        self._hmac = hmac.new(key.encode(), digestmod=hashlib.sha256)
        self._length = length

    def __call__(self, record: Members) -> None:
        """Changes the record in place.

        Raises:
            InvalidRecord: a value is a mapping or list.
        """
        self._records += 1
        done: set[tuple[int, Any]] = set()
        for path in self._paths:
            places = list(find_places(record, path.parts))
            if places:
                self._unmet.discard(path.text)
            for holder, name in places:
                if (id(holder), name) not in done and not is_null(holder[name]):
                    done.add((id(holder), name))
                    holder[name] = self._hash(holder[name], path.text)

    def warnings(self) -> Iterator[str]:
        """Yields the paths that were in no record: a misspelled one leaves personal data as it is."""
        for path in sorted(self._unmet if self._records else ()):
            yield (
                f"fields.hash: none of {self._records:,} records has a field {path!r}. If the name is misspelled, personal "
                "data is in the output."
            )

    def save(self) -> Any:
        """Returns the number of records, and the paths that were in none."""
        return [self._records, sorted(self._unmet)]

    def restore(self, state: Any) -> None:
        """Takes what the records of an earlier attempt have shown."""
        self._records, self._unmet = state[0], set(state[1])

    def _hash(self, value: Any, path: str) -> str:
        kind, text = read_scalar(value)
        if kind in {"mapping", "list"}:
            raise InvalidRecord(
                f"fields.hash needs a single value in the field {path!r}, which is a {describe_kind(value)}",
                hint=f"Name what is inside it, as in {path}[] or {path}.name.",
            )
        digest = self._hmac.copy()
        digest.update(text.encode())
        return digest.hexdigest()[: self._length]
