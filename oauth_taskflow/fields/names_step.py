"""The step ``names``: one way of writing names, at any depth."""

from __future__ import annotations

from typing import Any

import msgspec

from oauth_taskflow.fields.members import Members, clash_error, open_value
from oauth_taskflow.fields.naming import CONVENTIONS


class NamesStep:
    """Writes every name of a record in one way."""

    def __init__(self, convention: str) -> None:
        self._write = CONVENTIONS[convention]

    def __call__(self, record: Members) -> None:
        """Changes the record in place.

        Raises:
            InvalidRecord: two fields of one mapping get the same name.
        """
        renamed = self._rename(record)
        record.clear()
        record.update(renamed)

    def _rename(self, mapping: Members) -> Members:
        renamed: Members = {}
        for name, value in mapping.items():
            written = self._write(name)
            if written in renamed:
                raise clash_error(
                    "names",
                    written,
                    f"{name!r} and another field are both written so; rename one with fields.move.",
                )
            renamed[written] = self._inside(value) if _is_open_or_opens(value) else value
        return renamed

    def _inside(self, value: Any) -> Any:
        inner = open_value(value)
        if isinstance(inner, dict):
            return self._rename(inner)
        return [self._inside(item) if _is_open_or_opens(item) else item for item in inner]


def _is_open_or_opens(value: Any) -> bool:
    if isinstance(value, msgspec.Raw):
        return memoryview(value)[0] in b"{["
    return isinstance(value, (dict, list))
