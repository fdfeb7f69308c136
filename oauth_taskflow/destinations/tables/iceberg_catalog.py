"""Opens the catalog of Iceberg tables: a SQLite file in the folder of the warehouse, or a shared one by its connection.

Properties: https://py.iceberg.apache.org/configuration/
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.update import AddSnapshotUpdate, TableRequirement, TableUpdate

from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.tables.store_options import read_store_options
from oauth_taskflow.errors import DestinationError

_Result = TypeVar("_Result")
# Errors of SQLAlchemy when two processes create a table or a row at once.
_COLLISIONS = frozenset({"OperationalError", "ProgrammingError", "IntegrityError"})
# How long a task waits for the lock of the SQLite file.
_LOCK_SECONDS = 60
_CATALOG_FILE = "catalog.db"
# Other clients open the file under this name.
_NAME = "default"
_FILE_IO = "pyiceberg.io.pyarrow.PyArrowFileIO"
_ENDPOINT = "s3.endpoint"
_AMAZON = (".amazonaws.com", ".amazonaws.com.cn")
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-dataintegrity.html
_CHECKSUMS = "AWS_REQUEST_CHECKSUM_CALCULATION"
# The names of object_store -> those of PyIceberg.
_STORE_NAMES = {
    "aws_access_key_id": "s3.access-key-id",
    "aws_secret_access_key": "s3.secret-access-key",
    "aws_session_token": "s3.session-token",
    "aws_region": "s3.region",
    "aws_endpoint_url": _ENDPOINT,
    "azure_storage_account_name": "adls.account-name",
    "azure_storage_account_key": "adls.account-key",
    "azure_storage_sas_token": "adls.sas-token",
    "azure_storage_client_id": "adls.client-id",
    "azure_storage_client_secret": "adls.client-secret",
    "azure_storage_tenant_id": "adls.tenant-id",
}


def open_catalog(
    warehouse: str, catalog_conn_id: str, conn_id: str | None, access: StoreAccess
) -> Catalog:
    """Returns the catalog of a table.

    Raises:
        DestinationError: the warehouse is in a store, and no shared catalog is named.
        OAuthTaskflowError: a connection is missing.
    """
    properties: dict[str, Any] = {"py-io-impl": _FILE_IO}
    if warehouse:
        properties |= _warehouse_properties(access.open_path(warehouse, conn_id), warehouse)
    if catalog_conn_id:
        properties |= _read_connection(catalog_conn_id, access)
    elif "uri" not in properties:
        raise DestinationError(
            "A warehouse in an object store needs a catalog that all workers share",
            where=f"at {warehouse or 'the destination'}",
            hint="Name its connection: catalog_conn_id; a folder as warehouse holds its own catalog.",
        )
    catalog = _confirm_conflicts(_retry_while_made(lambda: load_catalog(_NAME, **properties)))
    _send_plain_objects(catalog.properties)
    return catalog


def _send_plain_objects(properties: Mapping[str, str]) -> None:
    """Lets Arrow's S3 client send objects as they are to servers other than Amazon's.

    It frames each object in chunks with a checksum behind them. Servers that do not know this form keep the frames as a part
    of the object, and say that all is well: the table has files that nobody can read. The client has no argument for it.
    """
    endpoint = urlsplit(properties.get(_ENDPOINT, "")).hostname
    if endpoint and not endpoint.endswith(_AMAZON):
        os.environ.setdefault(_CHECKSUMS, "when_required")


def _confirm_conflicts(catalog: Catalog) -> Catalog:
    """Lets a commit count that is in the table although it was answered with a conflict.

    A proxy that repeats the request after a lost answer makes a conflict of a commit with itself. After a conflict the
    library removes its manifests and this package its files, which would destroy the table. Where the table cannot be asked,
    its error is raised instead, and nothing is removed.
    """
    send = catalog.commit_table

    def commit_table(
        table: Table, requirements: tuple[TableRequirement, ...], updates: tuple[TableUpdate, ...]
    ) -> CommitTableResponse:
        try:
            return send(table, requirements, updates)
        except CommitFailedException:
            found = catalog.load_table(table.name())
            added = [one.snapshot for one in updates if isinstance(one, AddSnapshotUpdate)]
            if not added or any(found.snapshot_by_id(one.snapshot_id) is None for one in added):
                raise
            return CommitTableResponse(
                metadata=found.metadata, metadata_location=found.metadata_location
            )

    catalog.commit_table = commit_table  # of this catalog alone
    return catalog


def create_namespace(catalog: Catalog, name: str) -> None:
    """Creates the namespace unless it is there."""
    _retry_while_made(lambda: catalog.create_namespace_if_not_exists(name))


def _retry_while_made(action: Callable[[], _Result]) -> _Result:
    """Repeats what fails because another task makes the same tables or rows of an SQL catalog at this moment."""
    for wait in (0.1, 0.3, 1.0):
        try:
            return action()
        except Exception as error:
            if type(error).__name__ not in _COLLISIONS:
                raise
        time.sleep(wait)
    return action()


def _warehouse_properties(path: Any, text: str) -> Mapping[str, str]:
    if isinstance(path, Path):
        folder = path.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return {
            "type": "sql",
            "uri": f"sqlite:///{quote(str(folder / _CATALOG_FILE))}?timeout={_LOCK_SECONDS}",
            # PyIceberg does not decode the path of a URI, and cuts it off at ? and #.
            "warehouse": str(folder) if set(str(folder)) & set("?#") else f"file://{folder}",
        }
    scheme, _, rest = text.partition("://")
    bare = f"{scheme}://{rest.rpartition('@')[2] if scheme.startswith('s3') else rest}"
    options = read_store_options(path)
    names = {_STORE_NAMES[name]: value for name, value in options.items() if name in _STORE_NAMES}
    return {"warehouse": bare, **names}


def _read_connection(conn_id: str, access: StoreAccess) -> Mapping[str, str]:
    connection = access.find_connection(conn_id)
    found = {str(key): str(value) for key, value in connection.extra_dejson.items()}
    if connection.host and "uri" not in found:
        found["uri"] = connection.host
    if connection.login and connection.password and "credential" not in found:
        found["credential"] = f"{connection.login}:{connection.password}"
    elif connection.password and "token" not in found:
        found["token"] = connection.password
    return {"type": "rest", **found}
