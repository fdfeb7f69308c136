"""Pulls 100,000 records into Parquet: this package, the best route by hand, dlt, Airbyte's CDK with a writer of its messages.

Usage: .venv/bin/python benchmarks/pull_parquet.py [--records 100000] [--rounds 3]
"""

from __future__ import annotations

import tempfile
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
from peers import OURS, peer_rows
from pull import api

HAND_WRITTEN_TARGET, PEER_TARGET = 1.5, 8.0
PEERS = (
    ("dlt rest_api", "dlt", "dlt-parquet"),
    ("Airbyte CDK + pyarrow", "airbyte", "airbyte-parquet"),
)


def main() -> None:
    options = command_line(__doc__, records=100_000, rounds=3)
    with api(options.records) as url, tempfile.TemporaryDirectory() as folder:
        rows = [
            Candidate("oauth-taskflow", OURS, "parquet_child.py", ["ours", url, folder]),
            Candidate(
                "Raw + pyarrow.json by hand",
                OURS,
                "parquet_child.py",
                ["hand-written", url, folder],
            ),
            *peer_rows(PEERS, "parquet_child.py", url, str(Path(folder))),
        ]
        alternate(rows, options.rounds)
    ours, hand, *peers = rows
    require(ours)
    print(environment_line(versions_of(rows)))
    print(f"{options.records} records into Parquet; median of {options.rounds} alternating runs\n")
    header = ["client", "CPU s", "seconds", "CPU, to ours", "peak MiB", "records", "bytes"]
    print(table(header, [_line(row, ours) for row in rows]))
    taken = ours.median("cpu")
    print()
    compared = ratio(taken, hand.median("cpu"))
    print(verdict("ours / by hand, processor time", compared, HAND_WRITTEN_TARGET, times))
    for row in peers:
        compared = ratio(taken, row.median("cpu"))
        print(verdict(f"ours / {row.name}, processor time", compared, 1 / PEER_TARGET, times))


def _line(row: Candidate, ours: Candidate) -> list[str]:
    cpu, seconds, peak = (row.median(key) for key in ("cpu", "seconds", "peak_mib"))
    if cpu is None or seconds is None or peak is None:
        return [row.name, row.missing, "", "", "", "", ""]
    compared = ratio(cpu, ours.median("cpu")) or 0.0
    facts = [str(row.fact(key)) for key in ("rows", "bytes")]
    return [row.name, f"{cpu:.2f}", f"{seconds:.2f}", times(compared), f"{peak:.0f}", *facts]


if __name__ == "__main__":
    main()
