"""Pulls every record of the benchmark's API into a file and prints figures. Started by ``pull.py``.

Arguments: the kind of client, the API's base URL, an output folder. The clock runs from the first call after the imports until
the file is complete. Each environment holds one kind of client alone, so imports stand in the functions.
"""

# ruff: noqa: PLC0415 - see above

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

Timed = Callable[[], Path]
Reshape = Callable[[dict[str, Any]], dict[str, Any]]


def ours(url: str, folder: Path, more: str = "", *, file_format: str = "jsonl") -> Timed:
    """A spec endpoint run by the engine, as a task runs it: session, token, read-ahead, file, checksum, manifest."""
    from datetime import datetime, timezone

    from oauth_taskflow.api.session import OAuthSession
    from oauth_taskflow.destinations.base import StoreAccess
    from oauth_taskflow.engine.run import EndpointRun, run_endpoint
    from oauth_taskflow.oauth.token import Token
    from oauth_taskflow.specs.check import check_text
    from oauth_taskflow.specs.windows import Interval

    token = Token(access_token="benchmark", obtained_at=time.time())

    class Fixed:
        def token(self) -> Token:
            return token

        def replace_refused(self, access_token: str) -> Token:
            raise AssertionError(access_token)

    text = f"""\
version: 1
dag_id: benchmark
connection: benchmark
endpoints:
  records:
    request: {{path: /records}}
    records: data
    paginate: {{type: cursor, next: paging.next, param: after}}
    destination: {{type: file, path: "{folder}", format: {file_format}}}
{more}"""

    def pull() -> Path:
        spec = check_text(text).spec
        assert spec is not None
        now = datetime.now(tz=timezone.utc)
        run = EndpointRun(
            name="records",
            endpoint=spec.endpoints["records"],
            run_id="benchmark",
            template_context={"endpoint": "records"},
            interval=Interval(None, now),
            access=StoreAccess(lambda path, _connection: Path(path)),
        )
        with OAuthSession(url, Fixed()) as session:
            summary = run_endpoint(run, session)
        return Path(summary.files[0].path)

    return pull


def hand_written(url: str, folder: Path, reshape: Reshape | None = None) -> Timed:
    """Pull without a framework: a requests session, orjson, one line per record."""
    import orjson
    import requests

    def pull() -> Path:
        path = folder / "records.jsonl"
        session = requests.Session()
        session.headers["Authorization"] = "Bearer benchmark"
        after: str | None = None
        with path.open("wb") as file:
            while True:
                params = {"after": after} if after else {}
                response = session.get(f"{url}/records", params=params, timeout=60)
                response.raise_for_status()
                page = orjson.loads(response.content)
                for record in map(reshape, page["data"]) if reshape else page["data"]:
                    file.write(orjson.dumps(record) + b"\n")
                after = page["paging"]["next"]
                if after is None:
                    return path

    return pull


def dlt(
    url: str, folder: Path, reshape: Reshape | None = None, *, file_format: Any = "jsonl"
) -> Timed:
    """The ``rest_api`` source of dlt into files, JSON Lines uncompressed."""
    import dlt as library
    from dlt.sources.rest_api import rest_api_source

    os.environ["DATA_WRITER__DISABLE_COMPRESSION"] = "true"
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

    def pull() -> Path:
        paginator = {"type": "cursor", "cursor_path": "paging.next", "cursor_param": "after"}
        source = rest_api_source(
            {
                "client": {
                    "base_url": f"{url}/",
                    "auth": {"type": "bearer", "token": "benchmark"},
                    "paginator": paginator,
                },
                "resources": [
                    {"name": "records", "endpoint": {"path": "records", "data_selector": "data"}}
                ],
            }
        )
        if reshape is not None:
            source.resources["records"].add_map(reshape)
        pipeline = library.pipeline(
            "benchmark",
            pipelines_dir=str(folder / "pipelines"),
            destination=library.destinations.filesystem(bucket_url=str(folder / "lake")),
            dataset_name="bench",
        )
        pipeline.run(source, loader_file_format=file_format).raise_on_failed_jobs()
        return folder / "lake" / "bench" / "records"

    return pull


def airbyte(url: str, folder: Path, steps: Sequence[Any] = ()) -> Timed:
    """Airbyte's declarative source, its messages written to a file as a destination would get them."""
    from airbyte_cdk.entrypoint import AirbyteEntrypoint
    from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
        ConcurrentDeclarativeSource,
    )

    manifest = _airbyte_manifest(url)
    manifest["streams"][0]["transformations"] = list(steps)
    schema = {"type": "object", "properties": {}}
    catalog = {
        "streams": [
            {
                "stream": {
                    "name": "records",
                    "json_schema": schema,
                    "supported_sync_modes": ["full_refresh"],
                },
                "sync_mode": "full_refresh",
                "destination_sync_mode": "overwrite",
            }
        ]
    }
    (folder / "config.json").write_text("{}")
    (folder / "catalog.json").write_text(json.dumps(catalog))

    def pull() -> Path:
        path = folder / "messages.jsonl"
        arguments = AirbyteEntrypoint.parse_args(
            [
                "read",
                "--config",
                str(folder / "config.json"),
                "--catalog",
                str(folder / "catalog.json"),
            ]
        )
        read_catalog = ConcurrentDeclarativeSource.read_catalog(arguments.catalog)
        source = ConcurrentDeclarativeSource(
            catalog=read_catalog, config={}, state=[], source_config=manifest
        )
        with path.open("w", encoding="utf-8") as file:
            for message in AirbyteEntrypoint(source).run(arguments):
                file.write(message + "\n")
        return path

    return pull


def _airbyte_manifest(url: str) -> dict[str, Any]:
    stream = {
        "type": "DeclarativeStream",
        "name": "records",
        "primary_key": [],
        "schema_loader": {"type": "InlineSchemaLoader", "schema": {"type": "object"}},
        "retriever": {
            "type": "SimpleRetriever",
            "requester": {
                "type": "HttpRequester",
                "url_base": url,
                "path": "/records",
                "http_method": "GET",
                "authenticator": {"type": "BearerAuthenticator", "api_token": "benchmark"},
            },
            "record_selector": {
                "type": "RecordSelector",
                "extractor": {"type": "DpathExtractor", "field_path": ["data"]},
            },
            "paginator": {
                "type": "DefaultPaginator",
                "page_token_option": {
                    "type": "RequestOption",
                    "inject_into": "request_parameter",
                    "field_name": "after",
                },
                "pagination_strategy": {
                    "type": "CursorPagination",
                    "cursor_value": "{{ response.paging.next }}",
                    "stop_condition": "{{ not response.paging.next }}",
                },
            },
        },
    }
    return {
        "version": "6.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["records"]},
        "streams": [stream],
        "spec": {
            "type": "Spec",
            "connection_specification": {"type": "object", "properties": {}},
        },
    }


def http_operator(url: str, folder: Path) -> Timed:
    """Airflow's ``HttpOperator`` with a ``pagination_function``, its records written as JSON Lines."""
    os.environ["AIRFLOW_CONN_BENCHMARK"] = url
    from airflow.providers.http.operators.http import HttpOperator

    def following(response: Any) -> dict[str, Any] | None:
        after = response.json()["paging"]["next"]
        return None if after is None else {"data": {"after": after}}

    def pull() -> Path:
        path = folder / "records.jsonl"
        records = HttpOperator(
            task_id="records",
            http_conn_id="benchmark",
            endpoint="/records",
            method="GET",
            headers={"Authorization": "Bearer benchmark"},
            pagination_function=following,
            response_filter=lambda pages: [row for page in pages for row in page.json()["data"]],
        )
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in records.execute({}))
        return path

    return pull


KINDS: dict[str, tuple[Callable[[str, Path], Timed], tuple[str, ...]]] = {
    "ours": (ours, ("oauth-taskflow", "requests", "msgspec")),
    "hand-written": (hand_written, ("orjson",)),
    "dlt": (dlt, ("dlt",)),
    "airbyte": (airbyte, ("airbyte-cdk",)),
    "http-operator": (
        http_operator,
        ("apache-airflow", "apache-airflow-providers-http"),
    ),
}


def _rows_and_hash(path: Path) -> dict[str, Any]:
    """Lines that hold a record, and the SHA-256 of the file; a folder counts its JSON Lines files."""
    files = sorted(path.glob("**/*.jsonl")) if path.is_dir() else [path]
    digest, rows = hashlib.sha256(), 0
    for file in files:
        with file.open("rb") as lines:
            for line in lines:
                digest.update(line)
                rows += b'"external_id"' in line
    return {"rows": rows, "sha256": digest.hexdigest()}


def measure(
    kind: str,
    folder: Path,
    prepare: Callable[[Path], Timed],
    describe: Callable[[Path], dict[str, Any]],
    libraries: Sequence[str] = (),
) -> None:
    """Print the figures of one pull into a folder below ``folder``, with those of ``describe`` about what was written."""
    own = folder / f"{kind}-{os.getpid()}"
    own.mkdir()
    pull = prepare(own)
    began, processor = time.perf_counter(), time.process_time()
    path = pull()
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    described = describe(path)
    shutil.rmtree(own)
    figures = {
        "seconds": seconds,
        "cpu": processor,
        "peak_mib": peak / 1024,
        **described,
        "versions": {name: version(name) for name in libraries or KINDS[kind][1]},
    }
    print(json.dumps(figures))


def main() -> None:
    kind, url = sys.argv[1], sys.argv[2]
    measure(kind, Path(sys.argv[3]), lambda own: KINDS[kind][0](url, own), _rows_and_hash)


if __name__ == "__main__":
    main()
