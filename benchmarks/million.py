"""Writes 1,000,000 records to every kind of destination, anew and in place of the same rows, and prints memory and time.

Usage: .venv/bin/python benchmarks/million.py [--records 1000000] [--only "parquet,delta,postgres columns"]

Each write is a process of its own. It imports all libraries and commits one record to another place first. What its memory
grows by after that is the figure of the table. PostgreSQL is started if it is installed; Delta Lake, Iceberg and dlt need
``.venv-services`` (``scripts/test-services`` installs it). The memory of dlt is dlt's, and a merge holds all keys: neither has a target.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from measure import (
    HERE,
    Candidate,
    CandidateFailed,
    command_line,
    environment_line,
    run_child,
    table,
)
from peers import OURS

SERVICES = HERE.parent / ".venv-services" / "bin" / "python"
TARGET_MB = 120.0
FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet", "arrow")
ANEW, AGAIN, APPEND, MERGE, UPDATE = (
    "first run",
    "same run again",
    "append",
    "merge, new keys",
    "merge, same keys",
)


def destinations(folder: Path) -> dict[str, dict[str, Any]]:
    """The options of each destination as a spec has them, by the name in the table."""
    files = {name: {"type": "file", "path": str(folder / name), "format": name} for name in FORMATS}
    tables = {
        f"postgres {layout}": {
            "type": "postgres",
            "conn_id": "warehouse",
            "table": layout,
            "layout": layout,
        }
        for layout in ("raw", "columns")
    }
    lakes: dict[str, dict[str, Any]] = {
        "delta": {"type": "delta", "path": str(folder / "delta")},
        "iceberg": {
            "type": "iceberg",
            "table": "lake.records",
            "warehouse": str(folder / "iceberg"),
        },
    }
    of_dlt = {"type": "dlt", "dataset": "lake", "table": "records"}
    file = str(folder / "warehouse.duckdb")
    warehouses: dict[str, dict[str, Any]] = {
        "dlt duckdb": {**of_dlt, "destination": "duckdb", "options": {"credentials": file}},
        "dlt postgres": {**of_dlt, "destination": "postgres", "conn_id": "warehouse"},
    }
    return {**files, **tables, **lakes, **warehouses}


def choose(
    known: dict[str, dict[str, Any]], only: str, *, postgres: bool
) -> dict[str, dict[str, Any]]:
    """The destinations whose whole name, or first word, is in ``only``, a list with commas; all of them if it is empty."""
    wanted = {each.strip() for each in only.split(",")} - {""}
    chosen = {
        name: options
        for name, options in known.items()
        if not wanted or wanted & {name, name.split()[0]}
    }
    unknown = wanted - {word for name in known for word in (name, name.split()[0])}
    if unknown:
        sys.exit(f"--only: unknown {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    missing = [name for name in chosen if "postgres" in name and not postgres]
    if missing:
        print(f"Left out, because PostgreSQL is not installed: {', '.join(missing)}\n")
    return {name: options for name, options in chosen.items() if name not in missing}


def writes(options: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each write of a destination, with the options of its mode: files have none, and always replace their run."""
    if options["type"] == "file":
        yield ANEW, options
        yield AGAIN, options
        return
    yield APPEND, _elsewhere(options, "append")
    for name in (ANEW, AGAIN):
        yield name, {**options, "mode": "replace_run"}
    for name in (MERGE, UPDATE):
        yield name, _elsewhere(options, "merge")


def _elsewhere(options: dict[str, Any], mode: str) -> dict[str, Any]:
    key = "table" if "table" in options else "path"
    return {**options, "mode": mode, key: f"{options[key]}_by_{mode}"}


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server that is started for this run; empty where it is not installed."""
    sys.path.insert(0, str(HERE.parent))
    from tests.postgres import PostgresServer, postgres_programs  # noqa: PLC0415 - not on the path before

    programs = postgres_programs()
    if programs is None:
        yield ""
        return
    server = PostgresServer(programs)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def measure(name: str, options: dict[str, Any], records: int, url: str) -> Iterator[list[str]]:
    """The rows of one destination in the table, each printed as soon as it is known."""
    python = SERVICES if SERVICES.exists() else OURS
    port = str(urlsplit(url).port) if url else ""
    for mode, chosen in writes(options):
        given = [json.dumps(chosen), str(records), port, "r2" if mode == UPDATE else "r1"]
        child = Candidate(name, python, "million_child.py", given)
        try:
            found = run_child(child)
        except CandidateFailed as failure:
            yield [name, mode, str(failure), "", "", "", ""]
            return
        grown = found["peak_mb"]
        yield [
            name,
            mode,
            f"{found['cpu']:.1f}",
            f"{found['seconds']:.1f}",
            f"{found['imported_mb']:.0f}",
            f"{grown:.0f}",
            _judge(chosen, grown),
        ]


def _judge(options: dict[str, Any], grown: float) -> str:
    if options["type"] == "dlt" or options.get("mode") == "merge":
        return ""
    return "PASS" if grown <= TARGET_MB else "FAIL"


def main() -> None:
    options = command_line(__doc__, records=1_000_000, only="")
    header = ["destination", "write", "CPU s", "seconds", "imported MB", "peak above MB", ""]
    print(environment_line({}))
    print(f"{options.records} records; memory may grow by at most {TARGET_MB:.0f} MB\n")
    with tempfile.TemporaryDirectory() as folder, postgresql() as url:
        rows = []
        known = choose(destinations(Path(folder)), options.only, postgres=bool(url))
        for name, chosen in known.items():
            for row in measure(name, chosen, options.records, url):
                rows.append(row)
                print("  ".join(row), file=sys.stderr, flush=True)
    print(table(header, rows))


if __name__ == "__main__":
    main()
