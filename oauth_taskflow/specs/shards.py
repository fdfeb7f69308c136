"""Shares of a folder of specs, for folders too large for one DAG file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from oauth_taskflow.errors import SpecError
from oauth_taskflow.specs.check import CheckedSpec

Shard = tuple[int, int]
"""Which share, counted from 0, and of how many."""


def require_shard(shard: Shard) -> None:
    """Does nothing for a share that exists.

    Raises:
        SpecError: ``shard`` is not two whole numbers, the first from 0 to below the second.
    """
    is_pair = [type(each) for each in shard] == [int, int]
    if not is_pair or not 0 <= shard[0] < shard[1]:
        raise SpecError(
            [f"There is no shard {shard!r}. Write shard=(0, 4) to shard=(3, 4) for four DAG files."]
        )


def find_share(name: str, count: int) -> int:
    """Returns the share of ``name``, from 0 to below ``count``: the same on every machine, in every release."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") % count


def choose_share(checked: Iterable[CheckedSpec], shard: Shard, root: Path) -> Iterator[CheckedSpec]:
    """Yields the specs of one share: by ``dag_id``, so that all files with one ``dag_id`` are in one share.

    A file whose ``dag_id`` cannot be known is in one share too, by its name: so one DAG file reports its problems.
    """
    number, count = shard
    for each in checked:
        if find_share(each.dag_id or each.path.removeprefix(str(root)), count) == number:
            yield each
