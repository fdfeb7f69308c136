"""Pulls 100,000 records from a loopback API: this package, a hand-written loop, dlt, Airbyte's CDK, HttpOperator.

Then it pulls from an API that takes its time; see ``waiting.py``.

Usage: .venv/bin/python benchmarks/pull.py [--records 100000] [--rounds 5]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import waiting
from api_server import PAGE_SIZE
from measure import (
    HERE,
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
from peers import OURS, peer_rows
from pull_fields import compare_fields

# name of the row, kind in pull_child.py, requirements file of its environment
PEERS = (
    ("hand-written requests + orjson", "hand-written", "plain"),
    ("dlt rest_api", "dlt", "dlt"),
    ("Airbyte CDK", "airbyte", "airbyte"),
    ("Airflow HttpOperator", "http-operator", "airflow"),
)
HAND_WRITTEN_TARGET, PEER_TARGET, MEMORY_TARGET = 1.5, 4.0, 1.2
MEMORY_SIZES = (10_000, 100_000, 1_000_000)


@contextmanager
def api(records: int, *more: str) -> Iterator[str]:
    """The base URL of an API with ``records`` records, in a separate process."""
    command = [sys.executable, str(HERE / "api_server.py"), str(records), *more]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.stdin.close()
            server.wait(10)


def candidates(url: str, folder: Path) -> list[Candidate]:
    """Ours first, then every peer; one that cannot be installed keeps its row."""
    ours = Candidate("oauth-taskflow", OURS, "pull_child.py", _arguments("ours", url, folder))
    return [ours, *peer_rows(PEERS, "pull_child.py", url, str(folder))]


def _arguments(kind: str, url: str, folder: Path) -> list[str]:
    return [kind, url, str(folder)]


def speed(records: int, rounds: int) -> None:
    with api(records) as url, tempfile.TemporaryDirectory() as folder:
        rows = candidates(url, Path(folder))
        alternate(rows, rounds)
    require(rows[0])
    ours, hand = rows[0], rows[1]
    print(environment_line(versions_of(rows)))
    print(
        f"{records} records in {records // PAGE_SIZE} pages; median of {rounds} alternating runs\n"
    )
    header = ["client", "seconds", "CPU s", "takes, to ours", "CPU, to ours", "peak MiB", "records"]
    print(table(header, [_line(row, ours) for row in rows]))
    same = ours.fact("sha256") == hand.fact("sha256")
    print(f"\nours and hand-written wrote {'the same bytes' if same else 'DIFFERENT BYTES'}\n")
    taken = ours.median("seconds")
    print(
        verdict(
            "ours / hand-written", ratio(taken, hand.median("seconds")), HAND_WRITTEN_TARGET, times
        )
    )
    for row in rows[2:]:
        compared = ratio(taken, row.median("seconds"))
        print(verdict(f"ours / {row.name}", compared, 1 / PEER_TARGET, times))


def _line(row: Candidate, ours: Candidate) -> list[str]:
    seconds, cpu, peak = (row.median(key) for key in ("seconds", "cpu", "peak_mib"))
    if seconds is None or cpu is None or peak is None:
        return [row.name, row.missing, "", "", "", "", ""]
    compared = [ratio(row.median(key), ours.median(key)) or 0.0 for key in ("seconds", "cpu")]
    shown = [f"{seconds:.2f}", f"{cpu:.2f}", *map(times, compared), f"{peak:.0f}"]
    return [row.name, *shown, str(row.fact("rows"))]


def memory() -> None:
    """Peak memory of our client for more and more records, each in a fresh process."""
    peaks: dict[int, float | None] = {}
    rows = []
    for records in MEMORY_SIZES:
        with api(records) as url, tempfile.TemporaryDirectory() as folder:
            row = candidates(url, Path(folder))[0]
            alternate([row], 1, warm_up=False)
        peaks[records] = row.median("peak_mib")
        shown = row.missing if peaks[records] is None else f"{peaks[records]:.1f}"
        rows.append([str(records), shown, f"{row.median('seconds') or 0:.2f}"])
    print("\nPeak memory of our client\n")
    print(table(["records", "peak MiB", "seconds"], rows))
    first, last = peaks[MEMORY_SIZES[0]], peaks[MEMORY_SIZES[-1]]
    print()
    print(verdict("1,000,000 records / 10,000", ratio(last, first), MEMORY_TARGET, times))


def main() -> None:
    options = command_line(__doc__, records=100_000, rounds=5)
    speed(options.records, options.rounds)
    with api(options.records, "odd") as url:
        compare_fields(url, options.records, options.rounds)
    memory()
    waiting.compare_all(options.rounds)


if __name__ == "__main__":
    main()
