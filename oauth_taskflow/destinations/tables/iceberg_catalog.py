"""Opens the catalog of Iceberg tables: a SQLite file in the folder of the warehouse, or a shared one by its connection.

Properties: https://py.iceberg.apache.org/configuration/
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyiceberg.catalog import Catalog, load_catalog

from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.tables.store_options import read_store_options
from oauth_taskflow.errors import DestinationError

_CATALOG_FILE = "catalog.db"
# Other clients open the file under this name.
_NAME = "default"
_FILE_IO = "pyiceberg.io.pyarrow.PyArrowFileIO"
# The names of object_store -> those of PyIceberg.
_STORE_NAMES = {
    "aws_access_key_id": "s3.access-key-id",
    "aws_secret_access_key": "s3.secret-access-key",
    "aws_session_token": "s3.session-token",
    "aws_region": "s3.region",
    "aws_endpoint_url": "s3.endpoint",
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
    try:
        return load_catalog(_NAME, **properties)
    except Exception:
        if catalog_conn_id:
            raise
        # Another task made the tables of the SQLite file at the same moment.
        return load_catalog(_NAME, **properties)


def _warehouse_properties(path: Any, text: str) -> Mapping[str, str]:
    if isinstance(path, Path):
        folder = path.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return {
            "type": "sql",
            "uri": f"sqlite:///{folder / _CATALOG_FILE}",
            "warehouse": folder.as_uri(),
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
