"""Fields that the records of an endpoint take from their parent record (``for_each.copy``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oauth_taskflow.api.decoders.json import search_value
from oauth_taskflow.engine.for_each import for_each_options
from oauth_taskflow.errors import InvalidRecord, SpecError
from oauth_taskflow.specs.model import CopiedField, Endpoint


class FieldCopier:
    """The fields to copy of one endpoint; ``is_active`` when there are any.

    Raises:
        SpecError: two variables copy a field of one name, so that the value of one of them would be lost.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._fields: dict[str, tuple[str, CopiedField]] = {}
        for source, option in for_each_options(endpoint).items():
            for name, field in option.copy.items():
                if name in self._fields:
                    raise SpecError(
                        [
                            f"for_each.{source}.copy.{name}: for_each.{self._fields[name][0]}.copy writes the field "
                            f"{name!r}, too. Give each another name."
                        ]
                    )
                copied = field if isinstance(field, CopiedField) else CopiedField(path=field)
                self._fields[name] = source, copied
        self._replaced = {name for name, (_, field) in self._fields.items() if field.replace}

    @property
    def is_active(self) -> bool:
        """Whether any field is copied."""
        return bool(self._fields)

    def read(self, names: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the fields and their values, from the ``for_each`` names of one sequence."""
        return {
            name: search_value(names[source], field.path, f"in for_each.{source}.copy.{name}")
            for name, (source, field) in self._fields.items()
        }

    def add(self, records: Sequence[Any], values: Mapping[str, Any]) -> list[Any]:
        """Returns ``records`` with ``values``.

        Raises:
            InvalidRecord: a record is a single value, or has such a field already, which ``replace`` does not allow.
        """
        for record in records:
            if not isinstance(record, dict):
                raise InvalidRecord(
                    "for_each.copy adds fields to a record that is a single value",
                    hint="Let the record selector build mappings, or remove copy.",
                )
            self._refuse_clash(record, values)
        return [{**record, **values} for record in records]

    def _refuse_clash(self, record: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        clash = next(
            (name for name in values if name in record and name not in self._replaced), None
        )
        if clash is not None:
            raise InvalidRecord(
                f"for_each.copy would overwrite the field {clash!r} of a record",
                hint=f"Choose another name under copy, or write {clash}: {{path: …, replace: true}}.",
            )
