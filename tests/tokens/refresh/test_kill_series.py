"""A minute of kill -9 at random steps of a refresh, then stampedes at one expiry: no grant is lost on any database."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mariadb import mariadb_programs
from tests.postgres import postgres_programs

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = {"sqlite": lambda: True, "postgresql": postgres_programs, "mariadb": mariadb_programs}


@pytest.mark.full
@pytest.mark.parametrize("database", PROGRAMS)
def test_killed_workers_lose_no_grant_and_one_of_a_thousand_threads_asks(database: str) -> None:
    if not PROGRAMS[database]():
        pytest.skip(f"{database} is not installed")
    options = ("--kills", "0.3", "--grace", "10", "--seconds", "60", "--herd", "8x125,1x1000,50x20")
    done = subprocess.run(
        [sys.executable, "benchmarks/rotation.py", "--database", database, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    cells = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if "|" in line]
    header, _, fire, *rounds = ([cell.strip() for cell in row] for row in cells)
    figures = dict(zip(header, fire, strict=True))
    assert (figures["failed"], figures["revocations"], figures["lost grants"]) == ("0", "0", "0")
    assert int(figures["killed"]) > 0
    served = [row for row in rounds if re.match(r"round \d", row[0])]
    assert [(row[1], row[2]) for row in served] == [("1", "1000")] * 9
