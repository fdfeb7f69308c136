"""Pulls from an API that takes its time, into a file, and prints figures. Started by ``waiting.py``.

Arguments: the kind of client, the API's base URL, an output folder, the number of parents. The clock runs from the first call
after the imports until the file is complete.
"""

# ruff: noqa: PLC0415 - each environment holds one kind of client alone

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

from waiting_server import PAGE_SIZE

Timed = Callable[[], Path]
_SPEC = """\
version: 1
dag_id: benchmark
connection: benchmark
endpoints:
  parents: {request: {path: /parents}, records: data, destination: {type: file, path: FOLDER/parents}}
  pages:
    request: {path: /pages}
    records: data
    paginate: {type: page, size: SIZE, size_param: limit}
    destination: {type: file, path: FOLDER/pages, format: jsonl}
  children:
    for_each: {parent: {endpoint: parents, batch: 100000}}
    request: {path: "/parents/{{ parent.id }}/children"}
    records: data
    destination: {type: file, path: FOLDER/children, format: jsonl}
"""


def ours(endpoint: str, url: str, folder: Path, parents: int) -> Timed:
    """A spec endpoint with default settings, run by the engine as a task runs it."""
    from datetime import datetime, timezone

    from oauth_taskflow.api.auth import ApiKeyAuth
    from oauth_taskflow.api.session import OAuthSession
    from oauth_taskflow.destinations.base import StoreAccess
    from oauth_taskflow.engine.for_each import Slice
    from oauth_taskflow.engine.run import EndpointRun, run_endpoint
    from oauth_taskflow.specs.check import check_text
    from oauth_taskflow.specs.windows import Interval

    spec = check_text(_SPEC.replace("FOLDER", str(folder)).replace("SIZE", str(PAGE_SIZE))).spec
    assert spec is not None
    source = folder / "source.jsonl"
    source.write_text("".join(json.dumps({"id": number}) + "\n" for number in range(parents)))
    run = EndpointRun(
        name=endpoint,
        endpoint=spec.endpoints[endpoint],
        run_id="benchmark",
        template_context={"endpoint": endpoint},
        interval=Interval(None, datetime.now(tz=timezone.utc)),
        access=StoreAccess(lambda path, _connection: Path(path)),
        item={} if endpoint == "pages" else {"parent": Slice(file=str(source), take=parents)},
    )

    def pull() -> Path:
        auth = ApiKeyAuth("Authorization", "benchmark", prefix="Bearer ")
        with OAuthSession(url, auth) as session:
            return Path(run_endpoint(run, session).files[0].path)

    return pull


def hand_written(url: str, folder: Path, parents: int) -> Timed:  # noqa: ARG001 - one form for all
    """The pages one after the other: a requests session, orjson, one line per record."""
    import orjson
    import requests

    def pull() -> Path:
        path, number = folder / "records.jsonl", 1
        session = requests.Session()
        with path.open("wb") as file:
            while True:
                params = {"page": number, "limit": PAGE_SIZE}
                response = session.get(f"{url}/pages", params=params, timeout=60)
                response.raise_for_status()
                rows = orjson.loads(response.content)["data"]
                for row in rows:
                    file.write(orjson.dumps(row) + b"\n")
                if len(rows) < PAGE_SIZE:
                    return path
                number += 1

    return pull


def dlt(url: str, folder: Path, parents: int) -> Timed:  # noqa: ARG001 - one form for all
    """The ``rest_api`` source of dlt with a parent resource, into JSON Lines files, uncompressed."""
    import dlt as library
    from dlt.sources.rest_api import rest_api_source

    os.environ["DATA_WRITER__DISABLE_COMPRESSION"] = "true"
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    above = {"path": "parents", "data_selector": "data", "paginator": "single_page"}
    children = {**above, "path": "parents/{resources.parents.id}/children"}

    def pull() -> Path:
        source = rest_api_source(
            {
                "client": {"base_url": f"{url}/"},
                "resources": [
                    {"name": "parents", "endpoint": above},
                    {"name": "children", "endpoint": children},
                ],
            }
        )
        pipeline = library.pipeline(
            "benchmark",
            pipelines_dir=str(folder / "pipelines"),
            destination=library.destinations.filesystem(bucket_url=str(folder / "lake")),
            dataset_name="bench",
        )
        pipeline.run(source, loader_file_format="jsonl").raise_on_failed_jobs()
        return folder / "lake" / "bench" / "children"

    return pull


KINDS: dict[str, tuple[Callable[[str, Path, int], Timed], str]] = {
    "ours-pages": (partial(ours, "pages"), "oauth-taskflow"),
    "ours-children": (partial(ours, "children"), "oauth-taskflow"),
    "hand": (hand_written, "requests"),
    "dlt": (dlt, "dlt"),
}


def _counts(url: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{url}/counts") as response:
        counts: dict[str, int] = json.load(response)
    return counts


def main() -> None:
    kind, url, parents = sys.argv[1], sys.argv[2], int(sys.argv[4])
    folder = Path(sys.argv[3]) / f"{kind}-{os.getpid()}"
    folder.mkdir()
    prepare, package = KINDS[kind]
    pull = prepare(url, folder, parents)
    before = _counts(url)
    began, processor = time.perf_counter(), time.process_time()
    path = pull()
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    counts = _counts(url)
    files = sorted(path.glob("**/*.jsonl")) if path.is_dir() else [path]
    figures = {
        "seconds": seconds,
        "cpu": processor,
        "rows": sum(line.count(b'"external_id"') for file in files for line in file.open("rb")),
        "requests": counts["count"] - before["count"],
        "refused": counts["refused"] - before["refused"],
        "versions": {package: version(package)},
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
