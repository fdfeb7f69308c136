"""Record selectors: find the records in a page's body, undecoded unless the path looks inside them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
from jmespath.exceptions import JMESPathError

from oauth_taskflow.api.decoders.json import Body, dig, plain_keys
from oauth_taskflow.api.pull.path_roots import (
    Source,
    find_inner_keys,
    find_member,
    find_source,
    has_default,
    has_root,
    may_be_null,
    root_keys,
)
from oauth_taskflow.api.pull.records import Records
from oauth_taskflow.errors import InvalidRecord, RecordsNotFound

_split: Any = msgspec.json.Decoder(list[msgspec.Raw]).decode
_LIST, _OBJECT = ord("["), ord("{")
_NULL = b"null"
_NOTHING = frozenset({_NULL, b"[]", b'""'})
_SINGLE = "Name the list in records, or set records.single: true to take it as one record."


class RecordSelector:
    """Finds the records of a page as its ``Records`` options say.

    Null or an empty list at the path means zero records, which differs from an absent path. Records are Python values
    with ``decode``, else ``msgspec.Raw`` wherever the path consists of plain keys. With ``has_plain_numbers``, decoded
    records have ordinary floats where that is quicker.
    """

    def __init__(
        self, options: Records, *, decode: bool = False, has_plain_numbers: bool = False
    ) -> None:
        self.options = options
        self._keys = () if options.path is None else plain_keys(options.path)
        self._decode = decode
        self._is_plain = has_plain_numbers

    def find(self, body: Body) -> list[Any] | None:
        """Returns the records of ``body`` in their order; None when their path is absent.

        Without a path, the whole body must be the list; any other body counts as an absent path.

        Raises:
            RecordsNotFound: the value at the path is neither a list nor a ``single`` record.
            InvalidRecord: an item is a list, or the path does not fit the body.
        """
        if self._keys is None:
            return self._project(body, str(self.options.path))
        found = body.dig(self._keys) if self._keys else body.json
        if not found:
            return None
        if memoryview(found)[0] == _LIST:
            return self._rows(found, body)
        raw = bytes(found)
        return [] if raw == _NULL and self._keys else self._take_single_value(raw, body)

    @property
    def source(self) -> Source | None:
        """The list that the path takes apart; None when records are found as the API sent them."""
        return None if self._keys is not None else find_source(str(self.options.path))

    @property
    def member(self) -> str | None:
        """The key of each item of ``source`` that leads to its records; None where the path takes none, or filters."""
        return None if self._keys is not None else find_member(str(self.options.path))

    @property
    def inner_keys(self) -> tuple[str, ...]:
        """The keys from each item of ``source`` to the list within it; empty where records are no items of such lists."""
        return () if self._keys is not None else find_inner_keys(str(self.options.path))

    @property
    def list_keys(self) -> tuple[str, ...]:
        """The plain keys that lead to the list of records; empty where it is the body, or made of several."""
        roots = self._roots
        return roots[0] if len(roots) == 1 else ()

    @property
    def _roots(self) -> tuple[tuple[str, ...], ...]:
        """The plain keys that the path starts from, once for each value that it begins with."""
        return root_keys(str(self.options.path)) if self._keys is None else (self._keys,)

    def find_source_items(self, body: Body) -> list[Any] | None:
        """Returns the items of ``source`` in ``body``, before the path filters or expands them; None without such a list."""
        if self.source is None:
            return None
        items = None
        with suppress(
            JMESPathError, TypeError
        ):  # only a part of the expression; the whole was readable
            items = self.source.expression.search(body.decode())
        if isinstance(items, dict):
            return list(items.values())
        return items if isinstance(items, list) else None

    def missing_error(self, body: Body, other: str | None = None) -> RecordsNotFound:
        """Returns the error for a body without the records' path; ``retryable``, since the next response may have it.

        ``other`` is the path of a list that looks like the records.
        """
        path = self.options.path
        what = (
            f"The record selector {path!r} finds nothing in the answer"
            if path is not None
            else "The record selector of the whole body finds a mapping or a single value, not a list"
        )
        meant = "If the API leaves out an empty list, set records.absent: empty."
        if other is not None:
            meant = f"If {other!r} holds something else and this page is empty, set records.absent: empty."
        return RecordsNotFound(
            what,
            where=body.where,
            hint=f"{self.describe_correction(body, other)} {meant}",
            retryable=True,
        )

    def describe_correction(self, body: Body, other: str | None = None) -> str:
        """Returns the hint of a path that finds no list: what ``body`` has, and what to correct; ``other`` as in ``missing_error``."""
        looks = "" if other is None else f"The list {other!r} looks like the records. "
        return f"{_keys_hint(body)}{looks}{_SINGLE if self.options.path is None else 'Correct records.'}"

    def is_misplaced(self, body: Body) -> bool:
        """Whether a text, number or list is where the path needs a mapping; empty values do not count."""
        return any(_is_blocked(body.json, keys) for keys in self._roots)

    def _rows(self, raw: bytes | msgspec.Raw, body: Body) -> list[Any]:
        if self._decode:
            path = self.options.path
            plain = self._plain_rows(raw)
            if plain is not None:
                return self._check_items(plain, body)
            return self._check_items(body.decode() if path is None else body.find(path), body)
        rows: list[Any] = _split(raw)
        if any(memoryview(row)[0] == _LIST for row in rows):
            raise self._list_item_error(body)
        return rows

    def _plain_rows(self, raw: bytes | msgspec.Raw) -> list[Any] | None:
        """Returns the rows with ordinary floats; None where those are not wanted or cannot hold a number."""
        if not self._is_plain:
            return None
        try:
            rows: list[Any] = msgspec.json.decode(raw)
        except msgspec.MsgspecError:
            return None
        return rows

    def _project(self, body: Body, path: str) -> list[Any] | None:
        is_rooted = has_root(body, path)
        try:
            value = body.find(path)
        except InvalidRecord:  # a function refuses null
            if is_rooted:
                raise
            return None
        if isinstance(value, list) and value:
            return self._check_items(value, body)
        if value is None and is_rooted and not may_be_null(body, path):
            raise self._wrong_kind_error(body, "a mapping or a single value")
        if value in (None, [], {}, "") or not (is_rooted or isinstance(value, dict)):
            return [] if is_rooted or (value is not None and has_default(path)) else None
        return [self._take_single_record(value, body, is_mapping=isinstance(value, dict))]

    def _take_single_value(self, raw: bytes, body: Body) -> list[Any] | None:
        is_mapping = raw[0] == _OBJECT
        is_record = self.options.single and is_mapping
        if not self._keys and (not is_record or raw == b"{}"):
            return None
        if raw in {b"{}", b'""'} and not is_record:
            return []
        value = body.find(str(self.options.path)) if self._keys else body.decode()
        return [
            self._take_single_record(
                value if self._decode else msgspec.Raw(raw), body, is_mapping=is_mapping
            )
        ]

    def _take_single_record(self, value: Any, body: Body, *, is_mapping: bool) -> Any:
        if self.options.single and is_mapping:
            return value
        raise self._wrong_kind_error(body, "a mapping" if is_mapping else "a single value")

    def _wrong_kind_error(self, body: Body, kind: str) -> RecordsNotFound:
        # A text in the place of a list may report a passing failure, so another attempt may help.
        return RecordsNotFound(
            f"The record selector {self.options.path!r} finds {kind}, not a list",
            where=body.where,
            hint=f"{_keys_hint(body)}{_SINGLE}",
            retryable=kind != "a mapping",
        )

    def _check_items(self, rows: list[Any], body: Body) -> list[Any]:
        if any(isinstance(item, list) for item in rows):
            raise self._list_item_error(body)
        return rows

    def _list_item_error(self, body: Body) -> InvalidRecord:
        return InvalidRecord(
            "A record is itself a list, without names for its values",
            where=body.where,
            hint="Let the record selector flatten it (path[]) or build a mapping from it.",
        )


def _is_blocked(raw: bytes, keys: tuple[str, ...]) -> bool:
    for depth in range(max(len(keys), 1)):
        found = dig(raw, keys[:depth])
        if found is None:
            return False
        if bytes(found)[0] != _OBJECT:
            return bytes(found) not in _NOTHING
    return False


def _keys_hint(body: Body) -> str:
    decoded = body.decode()
    if not isinstance(decoded, dict) or not decoded:
        return ""
    return f"The body has: {', '.join(str(key) for key in list(decoded)[:12])}. "
