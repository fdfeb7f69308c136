"""The part of ``pull.py`` about ``fields``: every client renames, drops, casts and reads a date in each record."""

from __future__ import annotations

import tempfile
from pathlib import Path

from api_server import PAGE_SIZE
from measure import Candidate, alternate, ratio, require, table, times, verdict
from peers import OURS, peer_rows

PEERS = (
    ("hand-written requests + orjson", "hand-written", "plain"),
    ("dlt rest_api, add_map", "dlt", "dlt"),
    ("Airbyte CDK, transformations", "airbyte", "airbyte"),
)
TARGET = 5.0


def candidates(url: str, folder: Path) -> list[Candidate]:
    """Ours first, then every peer that can do the same."""
    script = "reshape_child.py"
    ours = Candidate("oauth-taskflow, fields", OURS, script, ["ours", url, str(folder)])
    return [ours, *peer_rows(PEERS, script, url, str(folder))]


def compare_fields(url: str, records: int, rounds: int) -> None:
    """Print the table and the verdicts; ``url`` is an API whose dates are 31/01/2025 08:07."""
    with tempfile.TemporaryDirectory() as folder:
        rows = candidates(url, Path(folder))
        alternate(rows, rounds)
    require(rows[0])
    print(
        f"\nRename, drop, cast and date in each of {records} records ({records // PAGE_SIZE} pages).\n"
    )
    header = [
        "client",
        "seconds",
        "CPU s",
        "takes, to ours",
        "CPU, to ours",
        "records",
        "same values",
    ]
    print(table(header, [_line(row, rows[0]) for row in rows]))
    print()
    for row in rows[2:]:
        compared = ratio(rows[0].median("seconds"), row.median("seconds"))
        print(verdict(f"ours / {row.name}", compared, 1 / TARGET, times))


def _line(row: Candidate, ours: Candidate) -> list[str]:
    seconds, cpu = row.median("seconds"), row.median("cpu")
    if seconds is None or cpu is None:
        return [row.name, row.missing, "", "", "", "", ""]
    compared = [ratio(row.median(key), ours.median(key)) or 0.0 for key in ("seconds", "cpu")]
    same = "yes" if row.fact("content") == ours.fact("content") else "NO"
    return [
        row.name,
        f"{seconds:.2f}",
        f"{cpu:.2f}",
        *map(times, compared),
        str(row.fact("rows")),
        same,
    ]
