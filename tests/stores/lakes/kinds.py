"""Tables of lakes on the test server of S3, opened without Airflow, which takes seconds to load."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.tables.delta_options import DeltaDestination
from oauth_taskflow.destinations.tables.iceberg_options import IcebergDestination
from tests.destinations.contract import open_local
from tests.stores.opener import CONTAINER, S3_URL, open_folder
from tests.tables.kinds import Kind


def place_of(folder: Path, scheme: str = "s3") -> str:
    """The prefix of a test, named like its folder and the one above."""
    return f"{scheme}://{CONTAINER}/{folder.parent.name}/{folder.name}"


def _open(path: str, _conn_id: str | None) -> Any:
    return open_folder(path) if "://" in path else open_local(path, None)


def find_catalog(uri: str) -> Any:
    """The connection of the catalog in the SQLite file ``uri``, which is its id."""
    extra = {"type": "sql", "uri": uri}
    return SimpleNamespace(host="", login="", password="", extra_dejson=extra)


def _delta_options(folder: Path, **more: Any) -> DeltaDestination:
    return DeltaDestination(path=f"{place_of(folder)}/{{{{ endpoint }}}}", **more)


def _iceberg_options(folder: Path, **more: Any) -> IcebergDestination:
    uri = f"sqlite:///{folder / 'catalog.db'}?timeout=60"
    return IcebergDestination(
        table="crm.{{ endpoint }}", warehouse=place_of(folder), catalog_conn_id=uri, **more
    )


def _read_delta(folder: Path) -> list[dict[str, Any]]:
    from deltalake import DeltaTable  # noqa: PLC0415 - the other kind does without

    options = {
        "aws_access_key_id": "any",
        "aws_secret_access_key": "any",
        "aws_region": "us-east-1",
        "aws_endpoint_url": os.environ[S3_URL],
        "aws_allow_http": "true",
    }
    table = DeltaTable(f"{place_of(folder)}/contacts", storage_options=options)
    rows: list[dict[str, Any]] = table.to_pyarrow_table().to_pylist()
    return rows


def _read_iceberg(folder: Path) -> list[dict[str, Any]]:
    from pyiceberg.catalog import load_catalog  # noqa: PLC0415 - the other kind does without

    store = {
        "s3.access-key-id": "any",
        "s3.secret-access-key": "any",
        "s3.region": "us-east-1",
        "s3.endpoint": os.environ[S3_URL],
    }
    uri = f"sqlite:///{folder / 'catalog.db'}"
    catalog = load_catalog("default", type="sql", uri=uri, **store)
    rows: list[dict[str, Any]] = catalog.load_table("crm.contacts").scan().to_arrow().to_pylist()
    return rows


def _kind(name: str, options: Callable[..., Any], read: Callable[[Path], Any]) -> Kind:
    return Kind(name, options, read, access=StoreAccess(_open, find_catalog))


KINDS = {
    "delta": _kind("delta", _delta_options, _read_delta),
    "iceberg": _kind("iceberg", _iceberg_options, _read_iceberg),
}
