"""A disk that is full while a run waits on it or while the table is written: one clear error, and the table of before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.destinations.base import EndpointFacts
from oauth_taskflow.errors import DestinationError
from tests.destinations.test_full_disk import small_files
from tests.tables.kinds import Kind, put, read_rows

FACTS = EndpointFacts(("id",))


@contextmanager
def full_in(owner: type[Any], name: str) -> Iterator[None]:
    """Lets the disk be full while a method runs."""
    real = getattr(owner, name)

    def method(*args: Any) -> Any:
        with small_files():
            return real(*args)

    setattr(owner, name, method)
    try:
        yield
    finally:
        setattr(owner, name, real)


def find_owner(kind: Kind, place: str) -> tuple[type[Any], str]:
    """The method during which the disk is full: the end of the spool, or the transaction."""
    from oauth_taskflow.destinations.tables.spool import TableSpool  # noqa: PLC0415 - an extra

    if place == "spool":
        return TableSpool, "finish"
    if kind.name == "delta":
        from oauth_taskflow.destinations.tables.delta import DeltaLakeTable  # noqa: PLC0415

        return DeltaLakeTable, "commit"
    from oauth_taskflow.destinations.tables.iceberg import IcebergTable  # noqa: PLC0415

    return IcebergTable, "commit"


def make_rows(tag: str) -> list[dict[str, Any]]:
    return [{"id": n, "tag": tag, "text": f"{n * 7919:x}" * 40} for n in range(600)]


@pytest.mark.parametrize("mode", ["replace_run", "merge"])
@pytest.mark.parametrize("place", ["spool", "table"])
def test_a_full_disk_shows_the_table_before(
    kind: Kind, tmp_path: Path, place: str, mode: str
) -> None:
    more: dict[str, Any] = {"facts": FACTS, "mode": mode}
    put(kind, tmp_path, make_rows("old"), **more)
    before = read_rows(kind, tmp_path, "id", "tag")
    with full_in(*find_owner(kind, place)), pytest.raises(DestinationError) as caught:
        put(kind, tmp_path, make_rows("new"), **more)
    assert "File too large" in str(caught.value) or "disk I/O error" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert read_rows(kind, tmp_path, "id", "tag") == before
    put(kind, tmp_path, make_rows("next"), **more)
    assert {tag for _, tag in read_rows(kind, tmp_path, "id", "tag")} == {"next"}
    assert len(kind.read(tmp_path)) == 600
