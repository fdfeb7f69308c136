"""Pulls from an API that takes its time, with default settings.

It takes 50 ms for each page, then next to nothing, and 20 ms for the children of each of 5,000 parents.

Usage: .venv/bin/python benchmarks/waiting.py [--pages 200] [--parents 5000] [--rounds 3]; ``pull.py`` runs it too.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

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
from peers import OURS, use_peer

PAGE_MS, PARENT_MS, AT_ONCE = 50, 20, 10
PAGE_TARGET, PARENT_TARGET, FAST_TARGET = 4.0, 5.0, 1.1


@contextmanager
def slow_api(milliseconds: int, pages: int, parents: int) -> Iterator[str]:
    """The base URL of an API that takes ``milliseconds``, and refuses more than ``AT_ONCE`` requests at once."""
    numbers = [str(number) for number in (milliseconds, pages, parents, AT_ONCE)]
    command = [sys.executable, str(HERE / "waiting_server.py"), *numbers]
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


def _candidate(name: str, kind: str, environment: str, *arguments: str) -> Candidate:
    row = Candidate(name, OURS, "waiting_child.py", [kind, *arguments])
    if environment:
        use_peer(row, environment)
    return row


def compare_all(rounds: int, pages: int = 200, parents: int = 5000) -> None:
    """All comparisons; parents are read in one round, which takes dlt minutes."""
    compare_pages(PAGE_MS, pages, 1 / PAGE_TARGET, rounds)
    compare_pages(0, 5 * pages, FAST_TARGET, rounds)
    compare_parents(parents, 1)


def compare_pages(milliseconds: int, pages: int, target: float, rounds: int) -> None:
    """Ours with default settings next to a hand-written loop that asks for one page after the other."""
    with slow_api(milliseconds, pages, 0) as url, tempfile.TemporaryDirectory() as folder:
        ours = _candidate("oauth-taskflow", "ours-pages", "", url, folder, "0")
        hand = _candidate("hand-written requests + orjson", "hand", "plain", url, folder, "0")
        alternate([ours, hand], rounds, warm_up=False)
    require(ours)
    _report(f"{pages} pages of 100 records, {milliseconds} ms each", [ours, hand], rounds)
    taken = ratio(ours.median("seconds"), hand.median("seconds"))
    print(verdict("ours / hand-written, one by one", taken, target, times))
    shown = "refused at an API that allows 10 requests at once"
    print(verdict(shown, ours.median("refused"), 0, lambda value: f"{value:.0f} requests"))


def compare_parents(parents: int, rounds: int) -> None:
    """Ours with default settings next to dlt, each with a request for each parent record."""
    with slow_api(PARENT_MS, 0, parents) as url, tempfile.TemporaryDirectory() as folder:
        ours = _candidate("oauth-taskflow", "ours-children", "", url, folder, str(parents))
        dlt = _candidate("dlt rest_api", "dlt", "dlt", url, folder, str(parents))
        alternate([ours, dlt], rounds, warm_up=False)
    require(ours)
    _report(f"{parents} parent records, {PARENT_MS} ms each", [ours, dlt], rounds)
    taken = ratio(ours.median("seconds"), dlt.median("seconds"))
    print(verdict("ours / dlt rest_api, parents", taken, 1 / PARENT_TARGET, times))


def _report(title: str, rows: list[Candidate], rounds: int) -> None:
    print(f"\n{environment_line(versions_of(rows))}")
    print(f"{title}; median of {rounds} alternating runs\n")
    header = ["client", "seconds", "CPU s", "takes, to ours", "requests", "refused", "records"]
    print(table(header, [_line(row, rows[0]) for row in rows]))
    print()


def _line(row: Candidate, ours: Candidate) -> list[str]:
    seconds, cpu = row.median("seconds"), row.median("cpu")
    if seconds is None or cpu is None:
        return [row.name, row.missing, "", "", "", "", ""]
    compared = ratio(seconds, ours.median("seconds")) or 0.0
    counts = [str(row.fact(key)) for key in ("requests", "refused", "rows")]
    return [row.name, f"{seconds:.2f}", f"{cpu:.2f}", times(compared), *counts]


def main() -> None:
    options = command_line(__doc__, pages=200, parents=5000, rounds=3)
    compare_all(options.rounds, options.pages, options.parents)


if __name__ == "__main__":
    main()
