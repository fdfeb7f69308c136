"""Runs an endpoint of a spec in YAML against a scripted API, from the check to the files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.engine.summary import EndpointSummary
from oauth_taskflow.specs.check import check_text
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.windows import Interval
from tests.api.scripted import Route, ScriptedApi, scripted
from tests.support.auth import bearer_auth

HEAD = """
version: 1
dag_id: test
schedule: "@hourly"
start_date: 2024-01-01
connection: crm
defaults: {destination: {path: /unused}}
endpoints:
  items:
"""


def utc(*parts: int) -> datetime:
    """The instant of year, month, day and so on, in UTC."""
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[arg-type,misc]  # a year and more


def read_endpoint(text: str) -> Endpoint:
    """The endpoint of a spec whose endpoint ``items`` is ``text``; fails at any problem but warnings."""
    checked = check_text(HEAD + indent(dedent(text), "    "))
    assert checked.spec is not None, list(map(str, checked.problems))
    return checked.spec.endpoints["items"]


@dataclass(frozen=True)
class Pulled:
    """The records that one run wrote, its figures, and the requests to the API."""

    records: list[Any]
    summary: EndpointSummary
    manifest: dict[str, Any] = field(repr=False)
    api: ScriptedApi = field(repr=False)

    @property
    def ids(self) -> list[Any]:
        return [record["id"] for record in self.records]


def pull_yaml(text: str, interval: Interval, route: Route, folder: Path, **options: Any) -> Pulled:
    """Runs the endpoint ``text`` for ``interval`` against an API of ``route``; files go below ``folder``."""
    return pull_endpoint(read_endpoint(text), interval, route, folder, **options)


def pull_endpoint(
    endpoint: Endpoint, interval: Interval, route: Route, folder: Path, **options: Any
) -> Pulled:
    """As ``pull_yaml``, for an ``endpoint`` that was checked or built."""
    with scripted(route) as api, OAuthSession(api.url, bearer_auth("t"), conn_id="crm") as session:
        run = EndpointRun(
            name="items",
            endpoint=endpoint,
            run_id="run",
            template_context={"endpoint": "items", "params": {}},
            interval=interval,
            access=StoreAccess(lambda path, _conn_id: Path(path)),
            location=str(folder),
            **options,
        )
        summary = run_endpoint(run, session)
    records = [
        json.loads(line)
        for file in summary.files
        for line in Path(file.path).read_text().splitlines()
    ]
    return Pulled(records, summary, json.loads(Path(summary.manifest).read_text()), api)
