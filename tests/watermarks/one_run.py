"""A run of one endpoint in watermark mode, without Airflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from oauth_taskflow.api.options import CursorPaginator
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.engine.resume import ResumeOptions
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.specs.model import Endpoint, Request
from oauth_taskflow.specs.windows import Incremental, Interval
from oauth_taskflow.watermarks.partitions import EndpointId
from oauth_taskflow.watermarks.run_watermarks import RunWatermarks
from oauth_taskflow.watermarks.store import WatermarkStore
from tests.engine.cut_off import SEAL
from tests.support.auth import bearer_auth

IDENTITY = EndpointId("crm", "numbers", "crm")


def read_manifest(place: Mapping[str, Any]) -> Any:
    path = Path(place["path"])
    return json.loads(path.read_text()) if path.exists() else None


def open_store(folder: Path) -> WatermarkStore:
    return WatermarkStore(f"sqlite:///{folder}/t.db")


def run_once(folder: Path, url: str, run_id: str) -> None:
    """Pulls the records above the stored watermark of the API at ``url``."""
    endpoint = Endpoint(
        request=Request(path="/", params={"above": "{{ watermark.value | default(0) }}"}),
        records="items",
        paginate=CursorPaginator(next="next", param="above"),
        incremental=Incremental(by="watermark", field="id"),
        destination=FileDestination(path=str(folder / "out")),
    )
    run = EndpointRun(
        name="numbers",
        endpoint=endpoint,
        run_id=run_id,
        template_context={"endpoint": "numbers", "params": {}},
        interval=Interval(None, datetime(2026, 1, 1, tzinfo=timezone.utc), open_end=True),
        access=StoreAccess(lambda path, _conn_id: Path(path)),
        watermarks=RunWatermarks(open_store(folder), IDENTITY, run_id, read_manifest),
        resume=ResumeOptions(SEAL, keep_every=0.0),
    )
    with OAuthSession(url, bearer_auth("t"), conn_id="crm") as session:
        run_endpoint(run, session)


def read_output(folder: Path) -> list[int]:
    """The records of all committed runs, sorted."""
    manifests = (folder / "out").glob("*/_manifest.json")
    parts = [
        manifest.parent / file["name"]
        for manifest in manifests
        for file in json.loads(manifest.read_text())["files"]
    ]
    return sorted(
        json.loads(line)["id"] for part in parts for line in part.read_text().splitlines()
    )
