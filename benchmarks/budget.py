"""The same pull with a budget that it does not use up, and without one, in turns.

A budget of 1,000 requests a second, kept in a SQLite file, is asked once a second and checked before each request.

Usage: .venv/bin/python benchmarks/budget.py [--pages 1500] [--rounds 5]
"""

from __future__ import annotations

import tempfile

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
from peers import OURS
from waiting import slow_api

BUDGET, TARGET = 1000, 1.1


def compare(pages: int, rounds: int) -> None:
    """Pages that take next to nothing, with and without a budget."""
    with slow_api(0, pages, 0) as url, tempfile.TemporaryDirectory() as folder:
        rows = [
            Candidate(name, OURS, "budget_child.py", [url, folder, str(budget)])
            for name, budget in (("without a budget", 0), ("1,000 requests a second", BUDGET))
        ]
        alternate(rows, rounds, warm_up=True)
    for row in rows:
        require(row)
    print(f"\n{environment_line(versions_of(rows))}")
    print(f"{pages} pages, one after the other; median of {rounds} alternating runs\n")
    print(table(["pull", "seconds", "CPU s", "requests/s"], [_line(row, pages) for row in rows]))
    taken = ratio(rows[1].median("seconds"), rows[0].median("seconds"))
    print(f"\n{verdict('with a budget / without', taken, TARGET, times)}")


def _line(row: Candidate, pages: int) -> list[str]:
    seconds, cpu = row.median("seconds") or 0.0, row.median("cpu") or 0.0
    return [row.name, f"{seconds:.2f}", f"{cpu:.2f}", f"{pages / seconds:.0f}"]


def main() -> None:
    options = command_line(__doc__, pages=1500, rounds=5)
    compare(options.pages, options.rounds)


if __name__ == "__main__":
    main()
