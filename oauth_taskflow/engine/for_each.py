"""What an endpoint is repeated over: list values, and records that a parent endpoint wrote.

A mapped task gets its share as JSON-simple *items*: ``{"region": {"value": "eu"}}`` or
``{"contact": {"file": …, "skip": 200, "take": 200}}``. Records travel by file, never through Airflow's database.
"""

from __future__ import annotations

import itertools
import math
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Any

import msgspec
from msgspec import Struct

from oauth_taskflow.api.decoders.numbers import decode
from oauth_taskflow.destinations.output_folders import open_output
from oauth_taskflow.errors import ApiError
from oauth_taskflow.specs.model import Endpoint, ForEachOptions


class ParentFile(Struct, frozen=True, omit_defaults=True):
    """A file of records that a parent task wrote, with the Airflow connection of its store or the host of its disk."""

    file: str
    rows: int
    conn_id: str | None = None
    host: str = ""


class Share(Struct, frozen=True, omit_defaults=True):
    """One name's part of an item: a single ``value``, or ``take`` records of ``file`` after ``skip``."""

    value: Any = None
    file: str | None = None
    skip: int = 0
    take: int = 0
    conn_id: str | None = None
    host: str = ""


Item = Mapping[str, Share]
# (path or URL, Airflow connection of its store) -> a pathlib.Path or something that behaves like one
PathOpener = Callable[[str, "str | None"], Any]


def for_each_options(endpoint: Endpoint) -> dict[str, ForEachOptions]:
    """``for_each`` in its long form: a text names a parent endpoint, a list is a list of values."""
    options: dict[str, ForEachOptions] = {}
    for name, entry in endpoint.for_each.items():
        if isinstance(entry, ForEachOptions):
            options[name] = entry
        elif isinstance(entry, str):
            options[name] = ForEachOptions(endpoint=entry)
        else:
            options[name] = ForEachOptions(values=list(entry))
    return options


def items(
    options: Mapping[str, ForEachOptions],
    parents: Mapping[str, Sequence[ParentFile]],
    *,
    most: int = 1024,
) -> list[dict[str, Share]]:
    """Every combination of list values and parent batches, at most ``most`` (Airflow's ``max_map_length``).

    Batches grow when there would be more of them than Airflow may map.
    """
    factor = 1
    while True:
        shares = [_shares(option, parents, factor) for option in options.values()]
        result = [
            dict(zip(options, combination, strict=True))
            for combination in itertools.product(*shares)
        ]
        if len(result) <= most or not any(option.endpoint for option in options.values()):
            return result
        if all(len(part) <= 1 for part in shares):
            return result
        factor *= 2
        if factor > max((f.rows for files in parents.values() for f in files), default=1) * 2:
            return result


def _shares(
    option: ForEachOptions, parents: Mapping[str, Sequence[ParentFile]], factor: int
) -> list[Share]:
    if option.endpoint is None:
        return [Share(value=value) for value in option.values or ()]
    batch = option.batch * factor
    return [
        Share(
            file=file.file,
            skip=skip,
            take=min(batch, file.rows - skip),
            conn_id=file.conn_id,
            host=file.host,
        )
        for file in parents.get(option.endpoint, ())
        for skip in range(0, file.rows, batch)
    ]


def label(item: Mapping[str, Any]) -> str:
    """``item`` as the UI shows it: ``region=eu``, or ``contact=0…199`` for the records of a batch."""
    parts = []
    for name, share in msgspec.convert(item, dict[str, Share], from_attributes=True).items():
        shown = share.value if share.file is None else f"{share.skip}…{share.skip + share.take - 1}"
        parts.append(f"{name}={shown}")
    return " ".join(parts)


def count_scopes(item: Item) -> int:
    """How many mappings ``scopes`` gives for ``item``."""
    return math.prod(1 if share.file is None else share.take for share in item.values())


def scopes(item: Item, open_path: PathOpener) -> Iterator[dict[str, Any]]:
    """The template names of ``item``: one mapping per combination of its values and parent records.

    Raises:
        ApiError: the parent's file is gone.
    """
    names = list(item)

    def walk(position: int, chosen: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if position == len(names):
            yield dict(chosen)
            return
        for value in _values(item[names[position]], open_path):
            yield from walk(position + 1, {**chosen, names[position]: value})

    return walk(0, {})


def _values(share: Share, open_path: PathOpener) -> Iterator[Any]:
    if share.file is None:
        yield share.value
        return
    with _open_lines(open_path(share.file, share.conn_id), share.host) as lines:
        for line in itertools.islice(lines, share.skip, share.skip + share.take):
            yield decode(line)


@contextmanager
def _open_lines(path: Any, host: str = "") -> Iterator[IO[bytes]]:
    with ExitStack() as stack:
        try:
            lines = stack.enter_context(open_output(path))
        except FileNotFoundError as error:
            raise _missing_records(path, host) from error
        yield lines


def _missing_records(path: Any, host: str) -> ApiError:
    here = socket.gethostname()
    if host in {"", here}:
        return ApiError(
            "Records of the parent endpoint are gone",
            where=f"at {path}",
            hint="Run the parent task again; every worker must reach its destination.",
        )
    return ApiError(
        f"Records of the parent endpoint are not on this machine, {here}: {host} wrote them to its own disk",
        where=f"at {path}",
        hint="Let the destination be an object store, or a folder that all workers share (docs/destinations.md).",
    )
