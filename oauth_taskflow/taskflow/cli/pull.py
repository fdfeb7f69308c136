"""``airflow oauth pull``: runs a spec in this process, with a progress bar on a terminal."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from msgspec.structs import replace
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.engine.summary import EndpointSummary, collect_warnings
from oauth_taskflow.iso8601 import parse_instant
from oauth_taskflow.specs.check import check_file
from oauth_taskflow.specs.model import Spec
from oauth_taskflow.specs.windows import Interval
from oauth_taskflow.suggestions import did_you_mean
from oauth_taskflow.taskflow.cli.console_logs import redirect_logs
from oauth_taskflow.taskflow.cli.output import (
    FAILED,
    FORMATS,
    INTERRUPTED,
    WRONG_ARGUMENTS,
    exit_with,
    print_records,
    say,
)
from oauth_taskflow.taskflow.cli.pull_display import Display
from oauth_taskflow.taskflow.dags.local_run import (
    EndpointResult,
    LocalRun,
    add_parents,
    run_locally,
    utc_now,
)
from oauth_taskflow.taskflow.sessions import open_session

_UNLIMITED = 10_000
_LONGEST_WAIT = 31 * 86_400.0


def pull(args: Namespace) -> None:
    """Run the command. Airflow's CLI calls it with the parsed arguments.

    Raises:
        SystemExit: with 1 when the spec has problems or an endpoint failed, after the others; 2 for wrong arguments.
    """
    spec = _load(args.spec)
    interval = _read_interval(args.since, args.until)
    moves = getattr(args, "move_watermark", False)
    if moves and (args.since or args.until):
        exit_with(
            "--move-watermark reads from the stored watermark up to now, without --since and --until.",
            WRONG_ARGUMENTS,
        )
    folder, output = _read_output_options(args.folder, args.output)
    to_destination = getattr(args, "to_destination", False)
    if to_destination and folder is not None:
        exit_with(
            "--to-destination writes to the destinations of the spec: leave out --folder.",
            WRONG_ARGUMENTS,
        )
    run = LocalRun(
        spec=spec,
        endpoints=add_parents(
            spec, _check_names(args.endpoint or [], list(spec.endpoints), "endpoint")
        ),
        # Absolute: a relative destination is below $AIRFLOW_HOME, a relative argument is below the working directory.
        output=None
        if to_destination
        else Path(folder or Path("pulled") / spec.source.dag_id).expanduser().absolute(),
        params=_read_params(spec, args.set or []),
        given=[setting.partition("=")[0] for setting in args.set or []],
        interval=interval,
        now=utc_now(),
        moves_watermarks=moves,
    )
    results: list[EndpointResult] = []
    try:
        _run(run, results)
    except KeyboardInterrupt:
        _report(results, output)
        exit_with(f"Interrupted while pulling {run.endpoints[len(results)]}.", INTERRUPTED)
    _report(results, output)
    if any(result.failure for result in results):
        raise SystemExit(FAILED)


def _report(results: Sequence[EndpointResult], output: str) -> None:
    """Print the figures of what was pulled, and why the rest was not."""
    pulled = {result.name: result.summaries for result in results if not result.failure}
    for name, summaries in pulled.items():
        for text in collect_warnings(summaries):
            say(f"{name}: warning: {text}")
    if pulled:
        _print(pulled, output)
    for result in results:
        if result.failure:
            say(f"{result.name}: {result.failure}")


def _print(results: Mapping[str, Sequence[EndpointSummary]], output: str) -> None:
    if output != "table":
        print_records(_summarize(results), output)
        return
    console = Console()
    if not console.is_terminal:
        console.width = _UNLIMITED  # a file or a pipe has no width: paths are printed whole
    console.print(_build_table(results))


def _read_output_options(folder: str | None, output: str) -> tuple[str | None, str]:
    """The folder to write below, and the format of the figures."""
    if output in FORMATS:
        return folder, output
    if folder is not None:
        exit_with(f"--output takes one of {', '.join(FORMATS)}, not {output!r}.", WRONG_ARGUMENTS)
    say(f"--output {output} is taken as a folder, which is deprecated: write --folder {output}.")
    return output, "table"


def _run(run: LocalRun, results: list[EndpointResult]) -> None:
    console = Console(stderr=True)
    if not console.is_terminal:
        console.width = _UNLIMITED  # as for the table
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TextColumn("{task.fields[pages]} pages  {task.fields[rows]:,} rows"),
        TimeElapsedColumn(),
    )
    with (
        redirect_logs(console),  # first: the bar replaces the standard streams
        Progress(*columns, console=console, disable=not console.is_terminal) as bar,
    ):
        display = Display(bar)
        for result in run_locally(run, _open_patient_session, display.observer):
            results.append(result)
            display.end(result)


def _open_patient_session(conn_id: str) -> OAuthSession:
    """A session that waits as long as the API asks, with a line about it: a shell has no worker slot to free."""
    session = open_session(conn_id)
    session.retry = replace(session.retry, longest_wait=_LONGEST_WAIT)
    return session


def _summarize(results: Mapping[str, Sequence[EndpointSummary]]) -> list[dict[str, Any]]:
    """The figures as plain data: one row for each endpoint."""
    left_out = _find_left_out(results)
    return [
        {
            "endpoint": name,
            "rows": sum(s.rows for s in summaries),
            "pages": sum(s.pages for s in summaries),
            "bytes": sum(s.bytes for s in summaries),
            "seconds": round(sum(s.seconds for s in summaries), 3),
            **{figure: sum(getattr(s, figure) for s in summaries) for figure in left_out},
            "files": [
                file.path
                for s in summaries
                for files in (s.files, *(one.files for one in s.further))
                for file in files
            ],
        }
        for name, summaries in results.items()
    ]


def _build_table(results: Mapping[str, Sequence[EndpointSummary]]) -> Table:
    left_out = _find_left_out(results)
    table = Table("endpoint", "rows", *left_out, "pages", "bytes", "seconds", "written to")
    for column in table.columns[1:-1]:
        column.justify = "right"
    table.columns[-1].overflow = "fold"
    for name, summaries in results.items():
        folders = _find_places(summaries)
        more = f" and {len(folders) - 1} more" if len(folders) > 1 else ""
        table.add_row(
            name,
            f"{sum(s.rows for s in summaries):,}",
            *(f"{sum(getattr(s, figure) for s in summaries):,}" for figure in left_out),
            f"{sum(s.pages for s in summaries):,}",
            f"{sum(s.bytes for s in summaries):,}",
            f"{sum(s.seconds for s in summaries):.1f}",
            f"{folders[0]}{more}" if folders else "-",
        )
    return table


def _find_left_out(results: Mapping[str, Sequence[EndpointSummary]]) -> list[str]:
    """The figures of records that were left out, where any were: by ``where``, as outside the window, and to quarantine."""
    return [
        figure
        for figure in ("filtered", "outside", "rejected")
        if any(getattr(s, figure) for summaries in results.values() for s in summaries)
    ]


def _find_places(summaries: Sequence[EndpointSummary]) -> list[str]:
    """The folders of files on this machine's disk, or the real objects that the destinations of a spec wrote."""
    names = {name for s in summaries for name in s.datasets}
    if len(names) > 1 or any(not name.startswith("file:") for name in names):
        return sorted(names)
    return sorted({str(Path(file.path).parent) for s in summaries for file in s.files})


def _load(path: str) -> Spec:
    checked = check_file(path)
    for problem in checked.problems:
        say(problem)
    if checked.spec is None:
        exit_with(f"{path} cannot be pulled: correct the problems above.")
    return checked.spec


def _check_names(names: Sequence[str], known: Sequence[str], what: str) -> list[str]:
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"It has: {', '.join(known) or 'none'}."
            exit_with(f"The spec has no {what} {name!r}. {hint}", WRONG_ARGUMENTS)
    return list(names)


def _read_params(spec: Spec, settings: Sequence[str]) -> dict[str, Any]:
    params = dict(spec.source.params)
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator:
            exit_with(f"--set takes KEY=VALUE, not {setting!r}.", WRONG_ARGUMENTS)
        _check_names([key], list(params), "param")
        try:
            params[key] = yaml.safe_load(text)
        except yaml.YAMLError:
            exit_with(f"The value of --set {key}=… is not readable as YAML.", WRONG_ARGUMENTS)
    return params


def _read_interval(since: str | None, until: str | None) -> Interval:
    end = _read_instant("--until", until) or utc_now()
    interval = Interval(_read_instant("--since", since), end, open_end=True)
    if interval.start is not None and interval.start >= interval.end:
        exit_with(
            "--since must be earlier than --until, which is now when not given.", WRONG_ARGUMENTS
        )
    return interval


def _read_instant(option: str, text: str | None) -> Any:
    if text is None:
        return None
    moment = parse_instant(text)
    if moment is None:
        exit_with(
            f"{option} takes an ISO 8601 time such as 2026-01-31, not {text!r}.", WRONG_ARGUMENTS
        )
    return moment
