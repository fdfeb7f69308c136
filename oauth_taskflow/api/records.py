"""Record selectors: from a page's body to its records, undecoded when nothing needs to look inside."""

from __future__ import annotations

from typing import Any

import msgspec

from oauth_taskflow.api.body import Body, dig, plain_keys
from oauth_taskflow.api.options import Records
from oauth_taskflow.errors import InvalidRecord, RecordsNotFound

_split: Any = msgspec.json.Decoder(list[msgspec.Raw]).decode
_LIST, _OBJECT = ord("["), ord("{")
_NULL = b"null"


class RecordSelector:
    """Finds the records of a page as its ``Records`` options say.

    Null, an absent path and an empty list are no records; only on the first page an absent path is an error when
    ``require`` says so, because it is a typo more often. With ``decode`` records come as Python values, else as
    ``msgspec.Raw`` wherever the path is made of plain keys.
    """

    def __init__(self, options: Records, *, decode: bool = False) -> None:
        self._options = options
        self._keys = () if options.path is None else plain_keys(options.path)
        self._decode = decode

    def select(self, body: Body, *, first: bool) -> list[Any]:
        """The records of ``body`` in their order.

        Raises:
            RecordsNotFound: nothing there, on the first page, although required; or neither list nor ``single``.
            InvalidRecord: an item is a list.
        """
        if body.empty:
            return []
        if self._keys is None or self._decode:
            return self._decoded(body, first=first)
        found = dig(body.json, self._keys)
        raw = b"" if found is None else bytes(found)
        if not raw:
            return self._absent(body, first=first)
        if raw[0] == _LIST:
            rows: list[Any] = _split(raw)
            self._check_raw(rows, body)
            return rows
        if raw == _NULL:
            return []
        return self._lone(
            msgspec.Raw(raw), body, mapping=raw[0] == _OBJECT, empty=raw in {b"{}", b'""'}
        )

    def _decoded(self, body: Body, *, first: bool) -> list[Any]:
        path = self._options.path
        value = body.decoded() if path is None else body.find(path)
        if isinstance(value, list):
            if any(isinstance(item, list) for item in value):
                raise self._list_item(body)
            return value
        if value is None:
            return self._absent(body, first=first) if self._missing(body) else []
        return self._lone(value, body, mapping=isinstance(value, dict), empty=value in ({}, ""))

    def _missing(self, body: Body) -> bool:
        """Whether null means that the path is absent; past plain keys nobody can tell."""
        return bool(self._keys) and dig(body.json, self._keys or ()) is None

    def _absent(self, body: Body, *, first: bool) -> list[Any]:
        if not (first and self._options.require):
            return []
        raise RecordsNotFound(
            f"The record selector {self._options.path!r} finds nothing in the first page",
            where=body.where,
            hint=f"{_keys_hint(body)}Correct records, or set records.require: false if the key may be absent.",
        )

    def _lone(self, value: Any, body: Body, *, mapping: bool, empty: bool) -> list[Any]:
        if self._options.single and mapping:
            return [value]
        if empty:
            return []
        kind = "a mapping" if mapping else "a single value"
        raise RecordsNotFound(
            f"The record selector {self._options.path or 'of the whole body'!r} finds {kind}, not a list",
            where=body.where,
            hint=f"{_keys_hint(body)}Name the list in records, or set records.single: true to take it as one record.",
        )

    def _check_raw(self, rows: list[Any], body: Body) -> None:
        if any(memoryview(row)[0] == _LIST for row in rows):
            raise self._list_item(body)

    def _list_item(self, body: Body) -> InvalidRecord:
        return InvalidRecord(
            "A record is itself a list, without names for its values",
            where=body.where,
            hint="Let the record selector flatten it (path[]) or build a mapping from it.",
        )


def _keys_hint(body: Body) -> str:
    decoded = body.decoded()
    if not isinstance(decoded, dict) or not decoded:
        return ""
    return f"The body has: {', '.join(str(key) for key in list(decoded)[:12])}. "
