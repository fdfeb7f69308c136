"""What a contract costs: the same pull without one, with ``evolve`` and with a frozen schema, in turns; processor time.

Usage: .venv/bin/python benchmarks/contract.py [--records 100000] [--rounds 5]
"""

from __future__ import annotations

import sys
import tempfile

from api_server import record
from measure import Candidate, alternate, command_line, ratio, require, table, times, verdict
from peers import OURS
from pull import api

TARGET = 1.3
FROZEN = """\
    contract:
      columns: freeze
      types: freeze
      schema:
        fields:
          {"round?": integer, id: integer, external_id: text, name: text, email: text, active: boolean, score: number,
           balance: number, owner: {id: integer, team: text, region: text}, tags: [text], "note?": text, address: text,
           phone: text, created_at: timestamp, updated_at: timestamp}
"""
KINDS = {"without": "", "evolve": "    contract: evolve\n", "freeze, declared dates": FROZEN}


def main() -> int:
    """Print the table and the verdicts."""
    options = command_line(__doc__, records=100_000, rounds=5)
    with api(options.records) as url, tempfile.TemporaryDirectory() as folder:
        rows = [
            Candidate(name, OURS, "contract_child.py", [url, folder, more])
            for name, more in KINDS.items()
        ]
        alternate(rows, options.rounds)
    require(rows[0])
    plain = rows[0].median("cpu")
    print(
        f"{options.records} records of {len(record(0))} fields; median of {options.rounds} rounds\n"
    )
    header = ["contract", "CPU s", "to the plain pull", "peak MiB", "records"]
    print(table(header, [_line(row, plain) for row in rows]))
    print()
    for row in rows[1:]:
        print(verdict(f"{row.name} / without", ratio(row.median("cpu"), plain), TARGET, times))
    return 0


def _line(row: Candidate, plain: float | None) -> list[str]:
    cpu, peak = row.median("cpu"), row.median("peak_mib")
    if cpu is None or peak is None:
        return [row.name, row.missing, "", "", ""]
    return [
        row.name,
        f"{cpu:.2f}",
        times(ratio(cpu, plain) or 0.0),
        f"{peak:.0f}",
        str(row.fact("rows")),
    ]


if __name__ == "__main__":
    sys.exit(main())
