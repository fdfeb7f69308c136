"""Repetition of an endpoint over list values, and over records that a parent endpoint wrote.

A mapped task gets its slice as a JSON-simple *mapped item*: ``{"region": {"value": "eu"}}`` or
``{"contact": {"file": …, "skip": 200, "take": 200}}``. Records travel through the parent's destination, never through
Airflow's database.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from oauth_taskflow.destinations import DEFAULT_KIND
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.kinds import find_kind
from oauth_taskflow.specs.model import Endpoint, ForEachOptions


class ParentFile(Struct, frozen=True, omit_defaults=True):
    """A part that a parent task wrote, with the Airflow connection of its store or the host of its disk.

    ``kind`` is the kind of the parent's destination, ``selector`` says which records of a table are the parent's.
    """

    file: str
    rows: int
    conn_id: str | None = None
    host: str = ""
    kind: str = DEFAULT_KIND
    selector: str = ""


class Slice(Struct, frozen=True, omit_defaults=True):
    """The part of a mapped item under one name: a single ``value``, or ``take`` records of ``file`` after ``skip``.

    ``conn_id``, ``host``, ``kind`` and ``selector`` are those of the ``ParentFile``.
    """

    value: Any = None
    file: str | None = None
    skip: int = 0
    take: int = 0
    conn_id: str | None = None
    host: str = ""
    kind: str = DEFAULT_KIND
    selector: str = ""


MappedItem = Mapping[str, Slice]


def for_each_options(endpoint: Endpoint) -> dict[str, ForEachOptions]:
    """Returns ``for_each`` in its long form: a text names a parent endpoint, a list is a list of values."""
    options: dict[str, ForEachOptions] = {}
    for name, entry in endpoint.for_each.items():
        if isinstance(entry, ForEachOptions):
            options[name] = entry
        elif isinstance(entry, str):
            options[name] = ForEachOptions(endpoint=entry)
        else:
            options[name] = ForEachOptions(values=list(entry))
    return options


def build_mapped_items(
    options: Mapping[str, ForEachOptions],
    parents: Mapping[str, Sequence[ParentFile]],
    *,
    most: int = 1024,
) -> list[dict[str, Slice]]:
    """Returns every combination of list values and parent batches, at most ``most`` (Airflow's ``max_map_length``).

    Batches grow when there would be more of them than Airflow may map.
    """
    factor = 1
    while True:
        slices = [_slices(option, parents, factor) for option in options.values()]
        result = [
            dict(zip(options, combination, strict=True))
            for combination in itertools.product(*slices)
        ]
        if len(result) <= most or not any(option.endpoint for option in options.values()):
            return result
        if all(len(part) <= 1 for part in slices):
            return result
        factor *= 2
        if factor > max((f.rows for files in parents.values() for f in files), default=1) * 2:
            return result


def _slices(
    option: ForEachOptions, parents: Mapping[str, Sequence[ParentFile]], factor: int
) -> list[Slice]:
    if option.endpoint is None:
        return [Slice(value=value) for value in option.values or ()]
    batch = option.batch * factor
    return [
        Slice(
            file=file.file,
            skip=skip,
            take=min(batch, file.rows - skip),
            conn_id=file.conn_id,
            host=file.host,
            kind=file.kind,
            selector=file.selector,
        )
        for file in parents.get(option.endpoint, ())
        for skip in range(0, file.rows, batch)
    ]


def item_label(item: Mapping[str, Any]) -> str:
    """``item`` as the UI shows it: ``region=eu``, or ``contact=0…199`` for the records of a batch."""
    parts = []
    for name, part in msgspec.convert(item, dict[str, Slice], from_attributes=True).items():
        value = part.value if part.file is None else f"{part.skip}…{part.skip + part.take - 1}"
        parts.append(f"{name}={value}")
    return " ".join(parts)


def count_contexts(item: MappedItem) -> int:
    """Returns how many mappings ``template_contexts`` gives for ``item``."""
    return math.prod(1 if part.file is None else part.take for part in item.values())


def template_contexts(item: MappedItem, access: StoreAccess) -> Iterator[dict[str, Any]]:
    """Yields the template names of ``item``: one mapping per combination of its values and parent records.

    Raises:
        ApiError: the parent's records are gone.
    """
    names = list(item)

    def walk(position: int, chosen: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if position == len(names):
            yield dict(chosen)
            return
        for value in _values(item[names[position]], access):
            yield from walk(position + 1, {**chosen, names[position]: value})

    return walk(0, {})


def _values(part: Slice, access: StoreAccess) -> Iterator[Any]:
    if part.file is None:
        yield part.value
        return
    destination = find_kind(part.kind).connect_for_reading(part.conn_id, access)
    yield from destination.read(
        part.file, part.skip, part.take, host=part.host, selector=part.selector
    )
