"""A simulated API and a run that is cut off again and again, for tests of what the next attempt goes on with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.engine.for_each import Slice
from oauth_taskflow.engine.progress import Seal
from oauth_taskflow.engine.resume import ResumeOptions
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.engine.summary import EndpointSummary
from oauth_taskflow.errors import ApiRequestFailed
from oauth_taskflow.specs.model import Endpoint, Request
from oauth_taskflow.specs.windows import Incremental, Interval
from tests.api.pull.styles import STYLES, WithoutSockets
from tests.api.scripted import Asked, Reply
from tests.support.auth import bearer_auth

START, END = datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 4, tzinfo=timezone.utc)
# Stands for a cipher: what it closed cannot be read.
SEAL = Seal(
    close=lambda content: content[::-1].hex().encode(),
    open=lambda text: bytes.fromhex(text.decode())[::-1],
)
TIMES = ("started", "finished", "seconds", "attempt", "host")


@dataclass
class PagedApi:
    """Pages of two rows for each parent and window, in one of the styles of ``tests.api.pull.styles``.

    ``cuts`` are the numbers of the requests, from 0 over all attempts, that are answered with ``refusal``.
    """

    style: str
    pages: Mapping[str, int]
    cuts: set[int] = field(default_factory=set)
    refusal: Callable[[], Reply] = lambda: Reply({}, 503)
    asked: Counter[str] = field(default_factory=Counter)
    count: int = 0

    def __call__(self, asked: Asked) -> Any:
        number, self.count = self.count, self.count + 1
        if number in self.cuts:
            return self.refusal()
        self.asked[asked.target] += 1
        parent, window = asked.path.rpartition("/")[2], asked.query.get("since", "")
        by_rows = self.style.startswith("offset")
        at = int(asked.query.get("at", 0)) // (2 if by_rows else 1)
        return self.answer(asked, f"{parent}{window}", at, self.pages.get(parent, 0))

    def answer(self, asked: Asked, place: str, at: int, pages: int) -> Reply:
        """Returns page ``at`` of ``pages``; every page repeats the last row of the page before."""
        rows = [
            {"id": f"{place}-{max(0, number)}", "at": f"2026-01-01T00:{max(0, number):02}:00Z"}
            for number in (2 * at - 1, 2 * at)
        ]
        body: dict[str, Any] = {"items": rows if at < pages else []}
        headers = {}
        if at + 1 < pages:
            query = "".join(f"&{k}={v}" for k, v in asked.query.items() if k != "at")
            url = f"{asked.path}?at={at + 1}{query}"
            body |= {"next": str(at + 1), "url": url}
            headers = {"X-Next": str(at + 1), "Link": f'<{url}>; rel="next"'}
        return Reply(json.dumps(body).encode(), headers=headers)


class ListedApi(PagedApi):
    """The pages that a test lists for each parent, one behind the other by cursor."""

    def __init__(
        self, listed: Mapping[str, Sequence[Sequence[Any]]], cuts: Iterable[int] = ()
    ) -> None:
        super().__init__("cursor", {name: len(pages) for name, pages in listed.items()}, set(cuts))
        self._listed = listed

    def answer(self, asked: Asked, place: str, at: int, pages: int) -> Reply:
        """Returns page ``at`` of the parent."""
        is_last = at + 1 >= pages
        body = {"items": self._listed[place][at], "next": None if is_last else str(at + 1)}
        return Reply(json.dumps(body).encode())


def build_endpoint(folder: Path, style: str, file_format: str = "jsonl", **more: Any) -> Endpoint:
    """Returns an endpoint for ``PagedApi``, with a window a day where ``windows`` is set."""
    windows = more.pop("windows", False)
    incremental = Incremental(field="at", start="2026-01-01", step="P1D")
    given: dict[str, Any] = {
        "request": Request(
            path="/rows/{{ parent.name }}",
            params={"since": "{{ window.start }}"} if windows else {},
        ),
        "records": "items",
        "primary_key": "id",
        "paginate": STYLES[style](),
        "incremental": incremental if windows else None,
        "destination": FileDestination(path=str(folder / "out"), format=file_format),
        "concurrency": 1,
        **more,
    }
    return Endpoint(**given)


def pull(
    folder: Path, api: Any, endpoint: Endpoint, names: list[str], **options: Any
) -> EndpointSummary:
    """Runs one attempt; the parents are ``names``, in a file as a parent task writes it.

    ``options`` are those of ``EndpointRun`` and ``run_endpoint``.
    """
    parents = folder / "parents.jsonl"
    parents.write_bytes(b"".join(msgspec.json.encode({"name": name}) + b"\n" for name in names))
    watchers = {name: options.pop(name) for name in ("on_page", "on_sequence") if name in options}
    given: dict[str, Any] = {
        "name": "rows",
        "endpoint": endpoint,
        "run_id": "r",
        "template_context": {"endpoint": "rows"},
        "interval": Interval(START, END),
        "access": StoreAccess(lambda path, _conn_id: Path(path)),
        "item": {"parent": Slice(file=str(parents), take=len(names))},
        "resume": ResumeOptions(SEAL, keep_every=0.0),
        **options,
    }
    session = OAuthSession(
        "https://api.example.com", bearer_auth("t"), retry=RetryPolicy(attempts=1), conn_id="crm"
    )
    session.mount("https://", WithoutSockets(api))
    with session:
        return run_endpoint(EndpointRun(**given), session, **watchers)


def pull_after_cuts(folder: Path, api: PagedApi, endpoint: Endpoint, **options: Any) -> Any:
    """Pulls all parents of ``api`` until an attempt is not cut off, and returns the summary of that one."""
    for _ in api.cuts:
        with pytest.raises(ApiRequestFailed):
            pull(folder, api, endpoint, list(api.pages), **options)
    return pull(folder, api, endpoint, list(api.pages), **options)


def read_output(summary: EndpointSummary) -> tuple[dict[str, Any], list[bytes]]:
    """Returns the manifest without what differs between attempts, and the content of the files."""
    manifest = json.loads(Path(summary.manifest).read_bytes())
    return (
        {key: value for key, value in manifest.items() if key not in TIMES},
        [Path(file.path).read_bytes() for file in summary.files],
    )


def list_files(folder: Path) -> list[str]:
    """Lists the output folder."""
    return sorted(path.name for path in (folder / "out" / "run_id=r").iterdir())
