"""The fields of a record that the options of a destination name. No rules."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from oauth_taskflow.destinations import AnyDestination
from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.destinations.partitions import as_partition
from oauth_taskflow.destinations.postgres.options import PostgresDestination
from oauth_taskflow.destinations.tables.delta_options import DeltaDestination
from oauth_taskflow.fields.options import Fields
from oauth_taskflow.fields.trace import find_loss, is_covered
from oauth_taskflow.jmespath_roots import Keys, list_alternatives
from oauth_taskflow.specs.problem import YamlPath
from oauth_taskflow.specs.rules.lakes import list_technical
from oauth_taskflow.specs.rules.registry import EndpointView

FieldUse = tuple[YamlPath, tuple[str, ...], "str | None"]
"""The place in the spec, the names that lead to the field, and the parent endpoint whose record has it."""


def find_destination_uses(view: EndpointView) -> Iterator[FieldUse]:
    """Yields the fields that folders, partitions and tombstones of the destinations are found by.

    The place of a date ends with ``field``: its value is read, not only copied.
    """
    fields = view.endpoint.fields
    if fields is None:
        return
    for path, options in view.destinations:
        if isinstance(options, PostgresDestination) and options.deleted_when is not None:
            for names in _find_lost_names(fields, options.deleted_when):
                yield (*path, "deleted_when"), names, None
        for where, names in _list_levels(options):
            yield (*path, "partition_by", *where), names, None


def _list_levels(options: AnyDestination) -> Iterator[tuple[YamlPath, Keys]]:
    """Yields the fields of ``partition_by``, with their places in it."""
    if isinstance(options, DeltaDestination):
        technical = list_technical(options)
        for index, name in enumerate(options.partition_by):
            if name not in technical:
                yield (index,), (name,)
    elif isinstance(options, FileDestination):
        for index, level in enumerate(options.partition_by):
            is_short = isinstance(level, str) or level.by is None
            where = (index,) if is_short else (index, "field")
            yield where, tuple(as_partition(level).field.split("."))


def _find_lost_names(fields: Fields, expression: str) -> list[Keys]:
    """Returns the fields that a JMESPath reads in vain; none where one side of ``a || b`` has all of its fields."""
    from jmespath import compile as compile_path  # noqa: PLC0415  # most specs have no tombstones
    from jmespath.exceptions import JMESPathError  # noqa: PLC0415  # as above

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            node = compile_path(expression).parsed
    except (JMESPathError, ValueError, RecursionError):  # another rule's
        return []
    lost = [
        [names for names in roots if names and _is_lost(fields, names)]
        for roots in list_alternatives(node)
    ]
    return list(dict.fromkeys(names for each in lost for names in each)) if all(lost) else []


def _is_lost(fields: Fields, names: Keys) -> bool:
    return find_loss(fields, names) is not None or is_covered(fields.hashed, names)
