#!/usr/bin/env python3
"""Check DAG specs: every problem of every file, without Airflow and without network.

Exit status: 0 clean, 1 problems, 2 could not run.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from pathlib import Path

# A checkout works without installation, as CI and pre-commit run it; an installed package wins nothing by that.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oauth_taskflow.specs.check import check_paths  # needs the path above
from oauth_taskflow.specs.report import REPORTERS, all_problems  # as above


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    on_github = os.environ.get("GITHUB_ACTIONS") == "true"
    parser = argparse.ArgumentParser(prog="validate_specs.py", description=__doc__.split("\n")[0])
    parser.add_argument(
        "paths", nargs="*", default=["dag_specs"], metavar="PATH", help="files or folders"
    )
    parser.add_argument("--format", choices=REPORTERS, default="github" if on_github else "text")
    parser.add_argument("--strict", action="store_true", help="warnings count as problems")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Check what the command line names, print the report and return the exit status."""
    arguments = _arguments(argv)
    checked = check_paths(arguments.paths)
    if not checked:
        print(f"No .yaml or .yml file below {', '.join(arguments.paths)}.", file=sys.stderr)
        return 2
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a narrow terminal encoding must not end the check
            stream.reconfigure(errors="backslashreplace")
    report = REPORTERS[arguments.format](checked)
    if report:
        print(report)
    problems = all_problems(checked)
    if any(problem.rule == "unreadable-file" for problem in problems):
        return 2
    return int(any(problem.is_error or arguments.strict for problem in problems))


if __name__ == "__main__":
    sys.exit(main())
