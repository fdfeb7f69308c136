"""Tables and versions that are not there (any more), and tables that cannot be made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.tables.base import Table
from oauth_taskflow.destinations.tables.place import RowsPlace
from oauth_taskflow.errors import ApiError, DestinationError
from tests.destinations.contract import open_local
from tests.tables.kinds import KINDS, Kind, put

PLACE = RowsPlace("t", endpoint="contacts", run_id="r1")


def open_table(kind: Kind, folder: Path) -> Table:
    """The table of ``kind`` below ``folder``, in the place to which tests write."""
    if kind.name == "delta":
        from oauth_taskflow.destinations.tables.delta import (  # noqa: PLC0415 - an extra
            DeltaLakeTable,
            DeltaSettings,
        )

        return DeltaLakeTable(folder / "contacts", DeltaSettings())
    from oauth_taskflow.destinations.tables.iceberg import (  # noqa: PLC0415 - an extra
        IcebergSettings,
        IcebergTable,
    )
    from oauth_taskflow.destinations.tables.iceberg_catalog import open_catalog  # noqa: PLC0415

    catalog = open_catalog(str(folder / "lake"), "", None, StoreAccess(open_local))
    return IcebergTable(catalog, "crm.contacts", IcebergSettings())


def test_a_table_that_is_missing_has_no_rows_to_list_or_remove(kind: Kind, tmp_path: Path) -> None:
    table = open_table(kind, tmp_path)
    assert list(table.list_instances(PLACE)) == []
    table.remove(PLACE)
    assert table.find_manifest(PLACE) is None
    with pytest.raises(ApiError, match=r"\(newest\) of the table is gone") as caught:
        list(table.read(PLACE, 0, 1))
    assert "Run the task that wrote it again" in caught.value.hint


def test_a_table_that_is_dropped_while_it_is_made_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyiceberg")
    from pyiceberg.catalog.sql import SqlCatalog  # noqa: PLC0415 - an extra
    from pyiceberg.exceptions import TableAlreadyExistsError  # noqa: PLC0415 - an extra

    def refuse(*_: Any, **__: Any) -> Any:
        raise TableAlreadyExistsError("another task makes it")

    monkeypatch.setattr(SqlCatalog, "create_table", refuse)
    (iceberg,) = (kind for kind in KINDS if kind.name == "iceberg")
    with pytest.raises(DestinationError, match="The table was dropped while it was created"):
        put(iceberg, tmp_path, [{"id": 1}])


def test_a_version_that_has_expired_is_named(kind: Kind, tmp_path: Path) -> None:
    put(kind, tmp_path, [{"id": 1}])
    table = open_table(kind, tmp_path)
    assert list(table.list_instances(PLACE)) == [-1]
    with pytest.raises(ApiError, match="987654 of the table is gone"):
        list(table.read(PLACE.pick_version("987654"), 0, 1))


(DELTA,) = (kind for kind in KINDS if kind.name == "delta")


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"id": 1}, "the field 'country' of partition_by has no value yet"),
        ({"id": 1, "country": {"a": 1}}, "'country' of partition_by has object values"),
        ({"id": 1, "country": [1]}, "'country' of partition_by has list values"),
    ],
)
def test_a_table_is_not_made_without_the_columns_of_its_partitions(
    tmp_path: Path, record: Any, said: str
) -> None:
    pytest.importorskip("deltalake")
    with pytest.raises(DestinationError, match=said):
        put(DELTA, tmp_path, [record], partition_by=("country",))
    put(DELTA, tmp_path, [{"id": 1, "country": "de"}], partition_by=("country",))
    assert len(DELTA.read(tmp_path)) == 1


@pytest.mark.parametrize("sign", ["%", "?", "#"])
def test_a_path_that_the_library_would_misread_is_refused(tmp_path: Path, sign: str) -> None:
    pytest.importorskip("deltalake")
    with pytest.raises(DestinationError, match=f"cannot have the sign [{sign}]"):
        put(DELTA, tmp_path / f"a{sign}20b", [{"id": 1}])
    assert list(tmp_path.iterdir()) == []
