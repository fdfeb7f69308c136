"""Lands 100,000 records in PostgreSQL: this package in each layout and mode, bare COPY, and dlt; then peak memory of a million.

Usage: .venv/bin/python benchmarks/postgres.py [--records 100000] [--rounds 5] [--most 1000000]

A private server is started (Debian: ``postgresql``). *Bare COPY* sends the same records from memory into a table with one jsonb
column; our writer gets them as pages, and adds technical columns, an index, a register and the commit. The rows *pull* ask a loopback API.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import (
    Candidate,
    alternate,
    command_line,
    environment_line,
    ratio,
    require,
    table,
    times,
    verdict,
    versions_of,
)
from peers import OURS, use_peer
from pull import api

# Bare COPY takes at least this share of our time; dlt takes at least this many times ours; MiB above the imports.
COPY_SHARE, DLT_TARGET, MEMORY_TARGET = 0.8, 10.0, 120.0
# Name of the row, and kind in postgres_child.py.
WRITERS = (
    ("oauth-taskflow, raw", "ours-raw"),
    ("bare COPY, jsonb", "bare"),
    ("oauth-taskflow, columns", "ours-columns"),
    ("oauth-taskflow, merge", "ours-merge"),
    ("oauth-taskflow, merge again", "ours-merge-again"),
)


@contextmanager
def database() -> Iterator[str]:
    """The URL of a private server."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.postgres import PostgresServer, postgres_programs  # noqa: PLC0415

    programs = postgres_programs()
    if programs is None:
        sys.exit("PostgreSQL's programs are not installed (Debian: apt-get install postgresql)")
    server = PostgresServer(programs)
    try:
        server.start()
        yield server.url.replace("+psycopg", "")
    finally:
        server.stop()


def _row(name: str, kind: str, *arguments: str) -> Candidate:
    return Candidate(name, OURS, "postgres_child.py", [kind, *arguments])


def write_records(url: str, records: int, rounds: int) -> None:
    """Compares writers that get records from memory."""
    rows = [_row(name, kind, url, str(records), "") for name, kind in WRITERS]
    alternate(rows, rounds)
    require(rows[0])
    print(environment_line(versions_of(rows)))
    print(f"{records} records from memory; median of {rounds} alternating runs\n")
    print(
        table(
            ["writer", "seconds", "CPU s, with the server's", "rows per CPU s, to bare COPY"],
            [_line(r, rows[1]) for r in rows],
        )
    )
    share = ratio(rows[0].median("both_cpu"), rows[1].median("both_cpu"))
    print()
    print(verdict("raw / bare COPY, processor time", share, 1 / COPY_SHARE, times))


def _line(row: Candidate, bare: Candidate) -> list[str]:
    seconds, both = row.median("seconds"), row.median("both_cpu")
    if seconds is None or both is None:
        return [row.name, row.missing, "", ""]
    compared = ratio(bare.median("both_cpu"), both) or 0.0
    return [row.name, f"{seconds:.2f}", f"{both:.2f}", times(compared)]


def pull(url: str, records: int, rounds: int) -> None:
    """Compares whole pulls with dlt's."""
    with api(records) as base, tempfile.TemporaryDirectory() as folder:
        ours = [
            _row("oauth-taskflow, raw", "pull-raw", url, str(records), base),
            _row("oauth-taskflow, columns", "pull-columns", url, str(records), base),
        ]
        theirs = Candidate("dlt rest_api", None, "postgres_child.py", ["dlt", url, folder, base])
        use_peer(theirs, "dlt-postgres")
        rows = [*ours, theirs]
        alternate(rows, rounds, warm_up=False)
    require(ours[0])
    print(f"\n{environment_line(versions_of(rows))}\n{records} records from an API\n")
    header = ["client", "seconds", "CPU s", "takes, to ours", "peak MiB", "rows"]
    print(table(header, [_pull_line(row, ours[0]) for row in rows]))
    print()
    for row in ours:
        compared = ratio(row.median("seconds"), theirs.median("seconds"))
        print(verdict(f"{row.name} / dlt", compared, 1 / DLT_TARGET, times))


def _pull_line(row: Candidate, ours: Candidate) -> list[str]:
    seconds, cpu, peak = (row.median(key) for key in ("seconds", "cpu", "peak_mib"))
    if seconds is None or cpu is None or peak is None:
        return [row.name, row.missing, "", "", "", ""]
    compared = ratio(seconds, ours.median("seconds")) or 0.0
    return [
        row.name,
        f"{seconds:.2f}",
        f"{cpu:.2f}",
        times(compared),
        f"{peak:.0f}",
        str(row.fact("rows")),
    ]


def memory(url: str, records: int) -> None:
    """Peak memory of large pulls above the imports; that of merges is in ``million.py``."""
    lines, peaks = [], []
    with api(records) as base:
        for name in ("raw", "columns"):
            row = _row(name, f"pull-{name}", url, str(records), base)
            alternate([row], 1, warm_up=False)
            above = row.median("above_mib")
            peaks.append(above)
            lines.append(
                [name, row.missing or f"{above or 0:.1f}", f"{row.median('seconds') or 0:.1f}"]
            )
    print(f"\nPeak memory of {records} records above the imports\n")
    print(table(["layout", "MiB", "seconds"], lines))
    print()
    worst = None if None in peaks else max(one for one in peaks if one is not None)
    print(verdict("peak above the imports", worst, MEMORY_TARGET, lambda value: f"{value:.0f} MiB"))


def main() -> None:
    options = command_line(__doc__, records=100_000, rounds=5, most=1_000_000)
    with database() as url:
        write_records(url, options.records, options.rounds)
        pull(url, options.records, options.rounds)
        memory(url, options.most)


if __name__ == "__main__":
    main()
