"""Printing of commands: results in Airflow's formats on standard output, messages on standard error."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NoReturn

from oauth_taskflow.errors import OAuthTaskflowError

Row = dict[str, str | int | None]
FORMATS = ("table", "json", "yaml", "plain")
FAILED, WRONG_ARGUMENTS, INTERRUPTED = 1, 2, 130


def print_records(records: Sequence[Mapping[str, Any]], output: str) -> None:
    """Print as other Airflow commands do, but keep numbers and lists as such in ``json`` and ``yaml``."""
    from airflow.cli.simple_table import AirflowConsole  # noqa: PLC0415 - only to print

    # Without markup: the text of a server may look like it, and "[core]" would not be shown.
    console: Any = AirflowConsole(markup=False, emoji=False)  # its annotations want a mapping
    if output == "json":  # print_as would turn numbers into texts
        console.print_as_json(list(records))
    elif output == "yaml":
        console.print_as_yaml(list(records))
    else:
        console.print_as(list(records), output)


def print_rows(rows: Sequence[Row], output: str) -> None:
    """Print as ``print_records``, with a dash for unknown values in formats that people read."""
    blank = "-" if output in {"table", "plain"} else None
    shown = [{name: blank if v is None else v for name, v in row.items()} for row in rows]
    print_records(shown, output)


def say(text: object) -> None:
    """Print ``text`` to standard error; standard output is for the result."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is a command line


def exit_with(message: object, status: int = FAILED) -> NoReturn:
    """End the command with ``message`` on standard error."""
    say(message)
    raise SystemExit(status)


def exit_with_error(error: OAuthTaskflowError) -> NoReturn:
    """End the command with ``error``, and the moment of the next useful attempt, where that is known."""
    wait = error.retry_after
    again = f"\nIt can be tried again {format_moment(wait)}." if wait else ""
    exit_with(f"{error}{again}")


def format_moment(seconds: float) -> str:
    """The moment in ``seconds`` from now by the clock of this machine: ``at 14:03:05, in 30 s``; with its date on another day."""
    now = datetime.now().astimezone()
    then = now + timedelta(seconds=seconds)
    day = "" if then.date() == now.date() else f"{then:%Y-%m-%d} "
    return f"at {day}{then:%H:%M:%S}, in {seconds:.0f} s"
