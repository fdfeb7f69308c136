"""``validate-dag-specs``, which ``scripts/validate_specs.py`` runs too: every problem of every file, for CI and editors."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from oauth_taskflow.specs.check import CheckedSpec, check_paths
from oauth_taskflow.specs.dag_files import find_skipped_files
from oauth_taskflow.specs.json_schema import SCHEMA_FILE
from oauth_taskflow.specs.reporters import REPORTERS, all_problems

_DESCRIPTION = (
    "Check DAG specs: every problem of every file, without Airflow and without network. "
    "Exit status: 0 clean, 1 problems, 2 could not run."
)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    on_github = os.environ.get("GITHUB_ACTIONS") == "true"
    parser = argparse.ArgumentParser(description=_DESCRIPTION)
    parser.add_argument(
        "paths",
        nargs="*",
        default=["dag_specs"],
        metavar="PATH",
        help="files or folders; dag_specs unless given",
    )
    parser.add_argument(
        "--format",
        choices=REPORTERS,
        default="github" if on_github else "text",
        help="of the report; text, or github in GitHub Actions",
    )
    parser.add_argument("--strict", action="store_true", help="warnings count as problems")
    parser.add_argument(
        "--schema",
        action="store_true",
        help="print the JSON Schema of specs, which editors complete and check by, and do nothing else",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Check what the command line names, print the report and return the exit status."""
    arguments = _arguments(argv)
    if arguments.schema:
        sys.stdout.write(SCHEMA_FILE.read_text(encoding="utf-8"))
        return 0
    checked = check_paths(arguments.paths)
    if not checked:
        sys.stderr.write(f"No .yaml or .yml file below {', '.join(arguments.paths)}.\n")
        return 2
    checked += [
        CheckedSpec(problem.path, None, (problem,))
        for problem in find_skipped_files(arguments.paths)
    ]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a narrow terminal encoding must not end the check
            stream.reconfigure(errors="backslashreplace")
    report = REPORTERS[arguments.format](checked)
    if report:
        sys.stdout.write(f"{report}\n")
    problems = all_problems(checked)
    if any(problem.rule == "unreadable-file" for problem in problems):
        return 2
    return int(any(problem.is_error or arguments.strict for problem in problems))
