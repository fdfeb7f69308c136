"""How an Iceberg catalog is opened: from a folder, or with the connection of a shared one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("pyiceberg")
from sqlalchemy.exc import OperationalError

from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.tables import iceberg_catalog
from oauth_taskflow.destinations.tables.iceberg_catalog import create_namespace, open_catalog
from oauth_taskflow.destinations.tables.iceberg_options import IcebergDestination
from oauth_taskflow.errors import DestinationError
from tests.destinations.contract import open_local
from tests.postgres import create_database
from tests.tables.kinds import Kind, put, read_rows
from tests.tables.lakes.attempts import AttemptOptions, race


def connection(**fields: Any) -> Any:
    """An Airflow connection."""
    known: dict[str, Any] = {"host": None, "login": None, "password": None, "extra_dejson": {}}
    return SimpleNamespace(**{**known, **fields})


@pytest.mark.parametrize(
    ("given", "properties"),
    [
        (
            connection(host="https://catalog.example", login="id", password="s3cret"),
            {"type": "rest", "uri": "https://catalog.example", "credential": "id:s3cret"},
        ),
        (
            connection(host="https://catalog.example", password="s3cret"),
            {"type": "rest", "uri": "https://catalog.example", "token": "s3cret"},
        ),
        (
            connection(
                host="https://ignored.example",
                login="id",
                password="ignored",
                extra_dejson={"type": "glue", "uri": "u", "credential": "c"},
            ),
            {"type": "glue", "uri": "u", "credential": "c", "token": "ignored"},
        ),
    ],
)
def test_a_connection_has_the_properties_of_a_shared_catalog(
    monkeypatch: pytest.MonkeyPatch, given: Any, properties: dict[str, str]
) -> None:
    def load(_: str, **found: str) -> SimpleNamespace:
        return SimpleNamespace(properties=found, commit_table=None)

    monkeypatch.setattr(iceberg_catalog, "load_catalog", load)
    opened = open_catalog("", "lake", None, StoreAccess(open_local, lambda _: given))
    found = dict(opened.properties)
    found.pop("py-io-impl")
    assert found == properties


def test_a_store_without_a_shared_catalog_is_refused() -> None:
    with pytest.raises(DestinationError, match="needs a catalog that all workers share"):
        open_catalog("", "", None, StoreAccess(open_local))


def test_tables_that_another_task_makes_at_this_moment_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    catalog = open_catalog(str(tmp_path), "", None, StoreAccess(open_local))
    errors: list[Exception] = [OperationalError("CREATE", {}, Exception("database is locked"))] * 2
    made: list[str] = []

    def create(name: str) -> None:
        if errors:
            raise errors.pop()
        made.append(name)

    monkeypatch.setattr(catalog, "create_namespace_if_not_exists", create)
    create_namespace(catalog, "crm")
    assert (made, waited) == (["crm"], [0.1, 0.3])
    errors[:] = [PermissionError("read-only")]
    with pytest.raises(PermissionError):
        create_namespace(catalog, "crm")
    assert len(waited) == 2


def find_shared(uri: str) -> Any:
    """The connection of a catalog in the database ``uri``, which is its id."""
    return connection(extra_dejson={"type": "sql", "uri": uri})


def shared_options(uri: str, folder: Path, **more: Any) -> IcebergDestination:
    return IcebergDestination(
        table="crm.{{ endpoint }}", warehouse=str(folder / "lake"), catalog_conn_id=uri, **more
    )


def read_shared(uri: str, _folder: Path) -> list[dict[str, Any]]:
    from pyiceberg.catalog import load_catalog  # noqa: PLC0415 - an extra

    table = load_catalog("default", type="sql", uri=uri).load_table("crm.contacts")
    rows: list[dict[str, Any]] = table.scan().to_arrow().to_pylist()
    return rows


@pytest.mark.slow
def test_instances_share_a_catalog_in_postgresql(tmp_path: Path, postgres_url: str) -> None:
    uri = create_database(postgres_url, "catalog").replace("+psycopg", "")
    access = StoreAccess(open_local, find_shared)
    kind = Kind("iceberg", partial(shared_options, uri), partial(read_shared, uri), access=access)
    mapped = [AttemptOptions(f"t{number}", 2, map_index=number) for number in range(4)]
    tries = [AttemptOptions(tag, 3) for tag in ("a", "b")]
    ends = race(kind, tmp_path, *mapped, *tries)
    assert [end[:3] for end in ends[:4]] == ["won"] * 4, ends
    assert sorted(end[:3] for end in ends[4:]) == ["los", "won"], ends
    (tag,) = (one.tag for one, end in zip(tries, ends[4:], strict=True) if end.startswith("won"))
    rows = [(number, row, f"t{number}") for number in range(4) for row in range(2)]
    rows = [*((-1, row, tag) for row in range(3)), *rows]
    assert read_rows(kind, tmp_path, "_map_index", "id", "tag") == rows
    put(kind, tmp_path, [{"id": 9}], "r1")
    assert len(read_rows(kind, tmp_path, "id")) == 9
    assert list((tmp_path / "lake").rglob("catalog.db")) == []
