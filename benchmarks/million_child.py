"""Writes many records to one destination and prints figures. Started by ``million.py``.

Arguments: the options of the destination as JSON, the number of records, the port of PostgreSQL, the id of the run. ``curve_mb``
is the peak of memory so far, above the imports, after each tenth of the records.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.destinations import AnyDestination
from oauth_taskflow.destinations.base import NO_FACTS, EndpointFacts, Run, StoreAccess
from oauth_taskflow.destinations.transfer import transfer

PAGE = 1000
_RECORD = (
    b'{"id":%d,"name":"name %d","email":"u%d@example.com","active":%s,"score":%d.25,"created_at":"2026-%02d-%02dT12:00:00Z",'
    b'"text":"%s","address":{"city":"town %d","zip":"%05d","geo":[%d.5,%d.5]},"tags":["a","b%d"],"parent":null}'
)


class Pages:
    """Pages of records of some 330 bytes, none kept; ``cpu`` is the processor time of making them, ``peaks`` the memory meanwhile."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.cpu = 0.0
        self.peaks: list[float] = []

    def __iter__(self) -> Iterator[Page]:
        for number in range(0, self._count, PAGE):
            began = time.process_time()
            records = [make_record(at) for at in range(number, min(number + PAGE, self._count))]
            page = Page(records, 1, "", sum(map(len, map(bytes, records))))
            self.cpu += time.process_time() - began
            yield page
            if (number + PAGE) * 10 // self._count > number * 10 // self._count:
                self.peaks.append(memory_mb("VmHWM"))


def make_record(number: int) -> msgspec.Raw:
    """One undecoded record; its values vary, and some repeat as those of an API do."""
    mixed = number * 7919 % 100_003
    words = b"lorem ipsum dolor " * (number % 9)
    return msgspec.Raw(
        _RECORD
        % (
            *(number, mixed, number, b"true" if number % 3 else b"false", mixed % 1000),
            *(number % 12 + 1, number % 28 + 1, words, mixed % 500, mixed),
            *(number % 90, number % 180, number % 7),
        )
    )


def connect(options: dict[str, Any], port: str, run_id: str) -> Any:
    """The destination of a spec with these options, for one run; merges have the key ``id``, the newest by ``created_at``."""
    login = SimpleNamespace(
        conn_id="warehouse",
        conn_type="postgres",
        host="127.0.0.1",
        port=int(port or 0),
        login="postgres",
        password="unused",  # dlt wants one
        schema="postgres",
        extra_dejson={},
    )
    access = StoreAccess(lambda path, _conn_id: Path(path), lambda _conn_id: login)
    kind = msgspec.convert(options, AnyDestination)
    facts = EndpointFacts(("id",), "created_at") if options.get("mode") == "merge" else NO_FACTS
    return kind.connect(kind.locate(_render, run_id), access, facts)


def _render(template: str) -> str:
    """The text of a template; only the DAG and the endpoint stand in one, where a table keeps rows of several."""
    if template.startswith("{{ dag_id"):
        return "big"
    return "records" if template.startswith("{{ endpoint") else template


def warm_up(options: dict[str, Any], port: str) -> None:
    """Loads all that a commit needs, by one record to another place."""
    key = "path" if "path" in options else "table"
    other = {**options, key: f"{options[key]}_one"}
    transfer(Pages(1), connect(other, port, "r1"), Run("records", "r1", dag_id="big"))
    gc.collect()


def memory_mb(name: str) -> float:
    """A figure of this process (VmRSS, VmHWM: the peak) in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1000


def main(options_text: str, count: str, port: str, run_id: str) -> None:
    """Runs once and prints the figures."""
    options = json.loads(options_text)
    warm_up(options, port)
    pages = Pages(int(count))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory_mb("VmRSS")
    began, used = time.perf_counter(), time.process_time()
    run = Run("records", run_id, dag_id="big")
    rows = transfer(pages, connect(options, port, run_id), run).summary.rows
    figures = {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - used - pages.cpu,
        "imported_mb": before,
        "peak_mb": memory_mb("VmHWM") - before,
        "curve_mb": [round(peak - before) for peak in pages.peaks],
        "rows": rows,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
