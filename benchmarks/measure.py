"""Runs measurements in fresh processes, alternating between the candidates, and prints them side by side."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def command_line(about: str | None, **defaults: float | str) -> argparse.Namespace:
    """The options given to a script, each of its default's type; ``about`` is its help."""
    raw = argparse.RawDescriptionHelpFormatter
    arguments = argparse.ArgumentParser(description=about, formatter_class=raw)
    for name, default in defaults.items():
        arguments.add_argument(f"--{name}", type=type(default), default=default)
    return arguments.parse_args()


class CandidateFailed(Exception):
    """A candidate's process failed; the text is the last line of what it said."""


@dataclass
class Candidate:
    """One row of a table: what runs, and the figures of its runs.

    ``script`` is started with ``python`` and ``arguments`` and prints one JSON mapping as its last line.
    """

    name: str
    python: Path | None
    script: str
    arguments: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    missing: str = ""
    runs: list[dict[str, Any]] = field(default_factory=list)

    def median(self, key: str) -> float | None:
        """The median of ``key`` over the runs; None if no run has it."""
        values = [run[key] for run in self.runs if key in run]
        return statistics.median(values) if values else None

    def fact(self, key: str) -> Any:
        """``key`` of the last run; None without runs."""
        return self.runs[-1].get(key) if self.runs else None


def run_child(candidate: Candidate) -> dict[str, Any]:
    """Run ``candidate`` once in a separate process and ``AIRFLOW_HOME``.

    Raises:
        CandidateFailed: it ended with an error or printed no figures.
    """
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ,
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "PYTHONPATH": str(HERE),
            "PYTHONHASHSEED": "0",
            **candidate.env,
        }
        # Installed packages have bytecode: the first round writes it.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        done = subprocess.run(
            [str(candidate.python), str(HERE / candidate.script), *candidate.arguments],
            env=environment,
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
        )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise CandidateFailed(said[-1])
    figures: dict[str, Any] = json.loads(lines[-1])
    return figures


def alternate(candidates: Sequence[Candidate], rounds: int, *, warm_up: bool = True) -> None:
    """``rounds`` rounds over all candidates in turn, after one whose figures are dropped (caches of files, bytecode)."""
    for number in range(-1 if warm_up else 0, rounds):
        for candidate in candidates:
            if candidate.missing or candidate.python is None:
                continue
            _note(f"round {number + 1}/{rounds}: {candidate.name}")
            try:
                figures = run_child(candidate)
            except CandidateFailed as failure:
                candidate.missing = f"failed: {failure}"
                candidate.runs.clear()
                continue
            if number >= 0:
                candidate.runs.append(figures)
    _note("")


def _note(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def require(candidate: Candidate) -> None:
    """End with status 2 when ``candidate``, ours, could not run at all: there is nothing to compare then."""
    if not candidate.runs:
        print(f"{candidate.name}: {candidate.missing or 'no figures'}", file=sys.stderr)
        sys.exit(2)


def environment_line(versions: Mapping[str, str]) -> str:
    """Machine class and versions, for the head of a table."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{platform.system()} {platform.machine()}, {cores} cores, "
        f"Python {platform.python_version()}; {packages}"
    )


def versions_of(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Name → version of what the candidates said they ran with."""
    return {
        name: version
        for candidate in candidates
        for name, version in (candidate.fact("versions") or {}).items()
    }


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns, the first to the left."""
    widths = [max(len(row[at]) for row in [header, *rows]) for at in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if not at else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |"

    rule = [("-" * width) if not at else f"{'-' * (width - 1)}:" for at, width in enumerate(widths)]
    return "\n".join([line(header), f"| {' | '.join(rule)} |", *map(line, rows)])


def verdict(what: str, value: float | None, limit: float, form: Callable[[float], str]) -> str:
    """A line that says whether ``value`` keeps to ``limit``."""
    if value is None:
        return f"NOT MEASURED  {what} (target {form(limit)})"
    word = "PASS" if value <= limit else "FAIL"
    return f"{word}  {what}: {form(value)} (target at most {form(limit)})"


def times(value: float) -> str:
    """A ratio, as text."""
    return f"{value:.2f} x"


def ratio(one: float | None, other: float | None) -> float | None:
    """``one`` divided by ``other``; None when either was not measured."""
    return one / other if one is not None and other else None
