"""Plays a spec of docs/examples against a simulator, with the code that ``airflow oauth pull`` runs."""

from __future__ import annotations

import gzip
import json
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

from oauth_taskflow.taskflow.cli.pull import pull
from tests.api.scripted import Asked, Reply, scripted

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
TOKEN = "token-of-the-example"
Record = dict[str, Any]


class Simulator:
    """An API of one vendor's shape: ``routes`` by path prefix, longest first; anything else is answered with 404.

    ``refused`` lists the requests that the vendor would refuse: without the token, or with a parameter that its
    documentation does not name.
    """

    authorization = f"Bearer {TOKEN}"

    def __init__(self) -> None:
        self.refused: list[str] = []

    def routes(self) -> Mapping[str, Callable[[Asked], Any]]:
        """Returns the handlers by path prefix."""
        raise NotImplementedError

    def __call__(self, asked: Asked) -> Any:
        if asked.headers.get("Authorization") != self.authorization:
            return self.refuse(asked, 401, "no token")
        routes = self.routes()
        for prefix in sorted(routes, key=len, reverse=True):
            if asked.path.startswith(prefix):
                return routes[prefix](asked)
        return self.refuse(asked, 404, "unknown path")

    def refuse(self, asked: Asked, status: int, why: str) -> Reply:
        """Returns an error, and keeps the request for the test to see."""
        self.refused.append(f"{asked.method} {asked.target}: {why}")
        return Reply({"message": why}, status)

    def find_unknown(self, given: Mapping[str, Any], *known: str) -> str:
        """Returns the names in ``given`` that the vendor does not document; empty without any."""
        return ", ".join(sorted(set(given) - set(known)))


@dataclass
class Played:
    """The result of a run: records by endpoint, in the order written, and every request."""

    records: dict[str, list[Record]]
    requests: list[Asked]
    refused: list[str] = field(default_factory=list)
    manifests: dict[str, list[Record]] = field(default_factory=dict)

    def ids(self, endpoint: str, name: str = "id") -> list[Any]:
        """Returns one field of every record of ``endpoint``."""
        return [record[name] for record in self.records[endpoint]]

    def count(self, path: str) -> int:
        """Returns the number of requests whose path begins with ``path``."""
        return sum(asked.path.startswith(path) for asked in self.requests)


Play = Callable[..., Played]


def play(
    name: str,
    simulator: Simulator,
    folder: Path,
    *,
    since: str | None = None,
    until: str | None = None,
    params: Mapping[str, str] | None = None,
    moves: bool = False,
    connect: Callable[[str], None],
) -> Played:
    """Runs docs/examples/``name``.yaml once and returns what it brought; ``connect`` sets the connection to an address.

    ``moves``: stored watermarks move.
    """
    with scripted(simulator) as api:
        connect(api.url)
        pull(
            Namespace(
                spec=str(EXAMPLES / f"{name}.yaml"),
                endpoint=None,
                folder=str(folder),
                set=[f"{key}={value}" for key, value in (params or {}).items()],
                since=since,
                until=until,
                move_watermark=moves,
                output="table",
            )
        )
        asked = list(api.asked)
    records, manifests = _read_output(folder)
    return Played(records, asked, simulator.refused, manifests)


def _read_output(folder: Path) -> tuple[dict[str, list[Record]], dict[str, list[Record]]]:
    records: dict[str, list[Record]] = {}
    manifests: dict[str, list[Record]] = {}
    for path in sorted(folder.rglob("_manifest.json")):
        endpoint = path.relative_to(folder).parts[0]
        manifest = json.loads(path.read_text())
        manifests.setdefault(endpoint, []).append(manifest)
        rows = records.setdefault(endpoint, [])
        for part in sorted(path.parent.glob("part-*")):
            content = part.read_bytes()
            text = gzip.decompress(content) if part.suffix == ".gz" else content
            rows += [json.loads(line, parse_float=Decimal) for line in text.splitlines()]
    return records, manifests


def at(day: int, hour: int = 0, minute: int = 0, *, month: int = 3) -> datetime:
    """Returns an instant of 2026, aware UTC."""
    return datetime(2026, month, day, hour, minute, tzinfo=timezone.utc)


def iso(moment: datetime) -> str:
    """Returns an instant as ISO 8601 with Z."""
    return moment.isoformat().replace("+00:00", "Z")


def parse(text: str) -> datetime:
    """Returns the instant of an ISO 8601 text."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
