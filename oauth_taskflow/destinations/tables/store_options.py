"""The options of an object store in the form of Rust's object_store, from the file system that Airflow opened.

So a lake uses the Airflow connection that files use, temporary credentials included. Names and meaning:
https://docs.rs/object_store (``AmazonS3ConfigKey``, ``AzureConfigKey``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oauth_taskflow.errors import DestinationError
from oauth_taskflow.redaction import redact_url

# A store that is away is distinguished from a slow one within a minute; the library itself tries for three.
_PATIENCE = {
    "max_retries": "5",
    "retry_timeout": "60s",
    "connect_timeout": "10s",
}
_AZURE = {
    "account_name": "azure_storage_account_name",
    "account_key": "azure_storage_account_key",
    "sas_token": "azure_storage_sas_token",
    "client_id": "azure_storage_client_id",
    "client_secret": "azure_storage_client_secret",
    "tenant_id": "azure_storage_tenant_id",
}
# Parts of an Azure connection string, and the endpoint of an emulator in it.
_AZURE_PARTS = {
    "AccountName": "azure_storage_account_name",
    "AccountKey": "azure_storage_account_key",
    "SharedAccessSignature": "azure_storage_sas_token",
    "BlobEndpoint": "azure_storage_endpoint",
}


def read_store_options(path: Any) -> Mapping[str, str]:
    """Returns the options for the store of ``path``; none for a disk. The values are secret.

    ``path`` is a ``pathlib.Path``, a ``UPath`` or an ``ObjectStoragePath``.

    Raises:
        DestinationError: no lake can be in a store of this kind.
    """
    if isinstance(path, Path):
        return {}
    protocol = path.fs.protocol
    protocols = {protocol} if isinstance(protocol, str) else set(protocol)
    if protocols & {"s3", "s3a"}:
        return _read_s3(path.fs)
    if protocols & {"abfs", "abfss", "az"}:
        return _read_azure(path.fs)
    raise DestinationError(
        "Tables of a lake can be on a disk, in S3 or in Azure only",
        where=f"at {redact_url(str(path))}",
        hint="Let path begin with s3:// or abfs://, or name a folder.",
    )


def _read_s3(fs: Any) -> Mapping[str, str]:
    from fsspec.asyn import sync  # noqa: PLC0415 - a table on a disk does without

    # The session belongs to the loop of its file system, which renews temporary credentials in it.
    keys, region = sync(fs.loop, _find_aws_keys, fs.session)
    endpoint = fs.endpoint_url or (fs.client_kwargs or {}).get("endpoint_url") or ""
    options = {
        **_PATIENCE,
        "aws_access_key_id": keys.access_key if keys else fs.key or "",
        "aws_secret_access_key": keys.secret_key if keys else fs.secret or "",
        "aws_session_token": (keys.token if keys else fs.token) or "",
        "aws_region": region or (fs.client_kwargs or {}).get("region_name") or "us-east-1",
        "aws_endpoint_url": endpoint,
        "aws_allow_http": "true" if endpoint.startswith("http://") else "",
        # Two writers never replace each other's commit: S3 has conditional writes since 2024.
        "aws_conditional_put": "etag",
    }
    return {name: value for name, value in options.items() if value}


async def _find_aws_keys(session: Any) -> tuple[Any, str | None]:
    if session is None:
        return None, None
    credentials = await session.get_credentials()
    keys = None if credentials is None else await credentials.get_frozen_credentials()
    return keys, session.get_config_variable("region")


def _read_azure(fs: Any) -> Mapping[str, str]:
    found = {name: getattr(fs, attribute, None) for attribute, name in _AZURE.items()}
    options = {**_PATIENCE, **{name: str(value) for name, value in found.items() if value}}
    for part in (getattr(fs, "connection_string", None) or "").split(";"):
        key, _, value = part.partition("=")
        if key in _AZURE_PARTS and value:
            options[_AZURE_PARTS[key]] = value
    if options.get("azure_storage_endpoint", "").startswith("http://"):
        options["azure_allow_http"] = "true"
    return options
