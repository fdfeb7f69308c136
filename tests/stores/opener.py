"""Opens folders of the test servers: by Airflow's connections, or straight by their libraries in child processes."""

from __future__ import annotations

import json
import os
from typing import Any

from upath import UPath

S3_URL, AZURE_URL = "TEST_S3_URL", "TEST_AZURE_URL"
CONTAINER = "lake"
_LOGIN = {"key": "any", "secret": "any"}
# The account and key that are printed in azurite's documentation.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def _connection_string() -> str:
    place = f"{os.environ[AZURE_URL]}/{_ACCOUNT}"
    return f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};BlobEndpoint={place};"


def connections() -> dict[str, str]:
    """Environment variables with an Airflow connection per store, named like its scheme."""
    aws = {"endpoint_url": os.environ[S3_URL], "region_name": "us-east-1"}
    found = {
        "AIRFLOW_CONN_S3": {"conn_type": "aws", "login": "any", "password": "any", "extra": aws},
        "AIRFLOW_CONN_ABFS": {
            "conn_type": "wasb",
            "extra": {"connection_string": _connection_string()},
        },
    }
    return {name: json.dumps(connection) for name, connection in found.items()}


def open_folder(folder: str, **options: Any) -> Any:
    """The folder without Airflow, which takes seconds to load; ``options`` of its file system."""
    if folder.startswith("s3://"):
        client = {"endpoint_url": os.environ[S3_URL]}
        return UPath(folder, **_LOGIN, client_kwargs=client, **options)
    return UPath(folder, connection_string=_connection_string(), **options)
