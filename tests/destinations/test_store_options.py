"""The options of Azure for a lake, from the file system that Airflow opened."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from upath import UPath

from oauth_taskflow.destinations.tables.store_options import read_store_options
from oauth_taskflow.errors import DestinationError


def options(**attributes: Any) -> dict[str, str]:
    """Those for a path whose file system has these attributes, as that of adlfs has; without the patience."""
    fs = SimpleNamespace(protocol=("abfs", "az", "abfss"), **attributes)
    found = read_store_options(SimpleNamespace(fs=fs))
    assert found["retry_timeout"] == "60s"
    return {name: value for name, value in found.items() if name.startswith("azure_")}


def test_the_keys_and_secrets_of_azure_keep_their_meaning() -> None:
    assert options(account_name="crm", account_key="k", sas_token=None) == {
        "azure_storage_account_name": "crm",
        "azure_storage_account_key": "k",
    }
    assert options(account_name="crm", client_id="c", client_secret="s", tenant_id="t") == {
        "azure_storage_account_name": "crm",
        "azure_storage_client_id": "c",
        "azure_storage_client_secret": "s",
        "azure_storage_tenant_id": "t",
    }


def test_a_connection_string_names_account_and_endpoint() -> None:
    text = "DefaultEndpointsProtocol=http;AccountName=dev;AccountKey=a=b==;BlobEndpoint=http://127.0.0.1:1/dev;X"
    assert options(connection_string=text) == {
        "azure_storage_account_name": "dev",
        "azure_storage_account_key": "a=b==",
        "azure_storage_endpoint": "http://127.0.0.1:1/dev",
        "azure_allow_http": "true",
    }


def test_a_store_of_another_kind_holds_no_lake() -> None:
    with pytest.raises(DestinationError, match="on a disk, in S3 or in Azure only"):
        read_store_options(UPath("memory://lake"))
