"""``airflow oauth pull`` as its command line runs it."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from argparse import Namespace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from rich.progress import Progress

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.engine.for_each import Slice
from oauth_taskflow.engine.run import count_sequences
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.windows import Incremental, Interval
from oauth_taskflow.taskflow.cli.commands import get_cli_commands
from oauth_taskflow.taskflow.cli.console_logs import redirect_logs
from oauth_taskflow.taskflow.cli.pull import pull
from oauth_taskflow.taskflow.cli.pull_display import Display
from oauth_taskflow.taskflow.dags.local_run import EndpointResult
from oauth_taskflow.testing import OAuthTestServer
from tests.api.scripted import Asked, scripted
from tests.taskflow.conftest import SetConnection

Refusal = tuple[int, str]
MAPPED = """\
version: 1
dag_id: mapped
connection: crm
defaults: {records: data, destination: {path: out}}
endpoints:
  regions:
    for_each: {region: [at, us]}
    request: {path: /regions, params: {region: "{{ region }}"}}
    paginate: {type: cursor, next: next, param: after}
"""


def arguments(spec: Path, **given: Any) -> Namespace:
    nothing = dict.fromkeys(("endpoint", "folder", "set", "since", "until"))
    return Namespace(spec=str(spec), **{**nothing, "output": "table", **given})


def run_failing_pull(capsys: pytest.CaptureFixture[str], spec: Path, **given: Any) -> Refusal:
    with pytest.raises(SystemExit) as caught:
        pull(arguments(spec, **given))
    assert isinstance(caught.value.code, int)
    return caught.value.code, capsys.readouterr().err


def test_every_endpoint_is_pulled_into_the_folder_given(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pull(arguments(spec, folder=str(tmp_path / "mine")))
    shown = capsys.readouterr().out
    manifests = sorted((tmp_path / "mine").rglob("_manifest.json"))
    folders = [str(path.parent.relative_to(tmp_path / "mine")) for path in manifests]
    assert folders == [
        "airports/map_index=0",
        "airports/map_index=1",
        "airports/map_index=2",
        "countries",
        "regions/map_index=0",
        "regions/map_index=1",
    ]
    rows = [json.loads(path.read_text())["rows"] for path in manifests[:3]]
    assert f"{sum(rows):,}" in shown
    assert not (tmp_path / "out").exists()


def test_a_selected_endpoint_pulls_its_parents_and_no_other_endpoint(
    spec: Path, tmp_path: Path
) -> None:
    pull(arguments(spec, endpoint=["airports"], folder=str(tmp_path / "mine")))
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["airports", "countries"]


def test_params_and_windows_are_set_on_the_command_line(
    spec: Path, tmp_path: Path, oauth_server: OAuthTestServer
) -> None:
    text = spec.read_text().replace(
        "request: {path: /countries}",
        'request: {path: /page/airports, params: {country: "{{ params.country }}", '
        'updated_since: "{{ window.start }}", updated_before: "{{ window.end }}"}}\n'
        "    incremental: {field: updated_at, start: 2025-01-01, format: date}",
    )
    spec.write_text(text.replace("schedule: null", "schedule: null\nparams: {country: US}"))
    pull(
        arguments(
            spec,
            endpoint=["countries"],
            folder=str(tmp_path / "mine"),
            set=["country=NZ"],
            since="2026-02-01",
            until="2026-03-01",
        )
    )
    call = next(call for call in oauth_server.requests if call.path == "/page/airports")
    assert call.params == {
        "country": "NZ",
        "updated_since": "2026-02-01",
        "updated_before": "2026-03-01",
    }


def test_a_spec_with_problems_shows_them_all_and_exits_1(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec.write_text(spec.read_text().replace("path: /countries}", "pth: /countries}"))
    code, shown = run_failing_pull(capsys, spec)
    assert code == 1
    assert "Did you mean 'path'?" in shown
    assert shown.endswith(f"{spec} cannot be pulled: correct the problems above.\n")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"endpoint": ["airprots"]}, "no endpoint 'airprots'. Did you mean 'airports'?"),
        ({"endpoint": ["x"]}, "no endpoint 'x'. It has: countries, airports, regions."),
        ({"set": ["region"]}, "--set takes KEY=VALUE, not 'region'."),
        ({"set": ["region=eu"]}, "no param 'region'. It has: none."),
        (
            {"since": "yesterday"},
            "--since takes an ISO 8601 time such as 2026-01-31, not 'yesterday'.",
        ),
    ],
)
def test_wrong_arguments_exit_2_and_name_the_right_ones(
    spec: Path, capsys: pytest.CaptureFixture[str], given: dict[str, Any], message: str
) -> None:
    code, shown = run_failing_pull(capsys, spec, **given)
    assert (code, message in shown) == (2, True), shown


def test_an_interval_that_ends_before_it_begins_is_refused(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, shown = run_failing_pull(capsys, spec, since="2026-02-01", until="2026-01-01")
    assert code == 2
    assert shown == "--since must be earlier than --until, which is now when not given.\n"


def test_a_relative_folder_is_below_the_working_directory(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pull(arguments(spec, folder="mine", endpoint=["countries"]))
    assert (tmp_path / "mine" / "countries" / "_manifest.json").exists()
    # Off a terminal nothing is cut off.
    assert f" {tmp_path / 'mine' / 'countries'} " in capsys.readouterr().out


def test_a_second_pull_with_fewer_batches_removes_the_files_of_the_first(
    spec: Path, tmp_path: Path
) -> None:
    pull(arguments(spec, folder=str(tmp_path / "mine"), endpoint=["airports"]))
    spec.write_text(spec.read_text().replace("batch: 100", "batch: 1000"))
    pull(arguments(spec, folder=str(tmp_path / "mine"), endpoint=["airports"]))
    assert [path.name for path in (tmp_path / "mine" / "airports").iterdir()] == ["map_index=0"]


def test_a_paging_warning_is_printed(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = spec.read_text().replace(
        "{path: /countries}",
        "{path: /cursor/airports, params: {limit: 50}}\n"
        "    paginate: {type: cursor, next: nxt, param: after}",
    )
    spec.write_text(text)
    pull(arguments(spec, folder=str(tmp_path / "mine"), endpoint=["countries"]))
    shown = capsys.readouterr().err
    assert shown.startswith("countries: warning: No second page was ever found")


@pytest.mark.parametrize("pages_of_us", [1, 2])
def test_mapped_items_are_judged_together_whether_a_second_page_is_missing(
    tmp_path: Path,
    set_connection: SetConnection,
    capsys: pytest.CaptureFixture[str],
    pages_of_us: int,
) -> None:
    def answer(asked: Asked) -> Any:
        follows = asked.query["region"] == "us" and pages_of_us == 2 and "after" not in asked.query
        return {"data": [{"id": n} for n in range(10)], **({"next": "b"} if follows else {})}

    spec = tmp_path / "regions.yaml"
    spec.write_text(MAPPED)
    with scripted(answer) as server:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        pull(arguments(spec, folder=str(tmp_path / "mine")))
    warning = "regions: warning: No second page was ever found"
    assert capsys.readouterr().err.count(warning) == (pages_of_us == 1)
    for manifest in (tmp_path / "mine").rglob("_manifest.json"):
        assert "No second page" not in manifest.read_text()  # of one instance among several


def test_a_value_that_is_not_yaml_is_refused_and_not_printed(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec.write_text(spec.read_text().replace("schedule: null", "schedule: null\nparams: {a: 1}"))
    code, shown = run_failing_pull(capsys, spec, set=["a=[s3cret"])
    assert code == 2
    assert "The value of --set a=… is not readable as YAML." in shown
    assert "s3cret" not in shown


def test_the_command_is_registered_with_its_options() -> None:
    (group,) = get_cli_commands()
    command = next(iter(group.subcommands))  # type: ignore[union-attr]  # a group, not a command
    flags = [argument.flags[0] for argument in command.args]
    assert (group.name, command.name) == ("oauth", "pull")
    assert flags == [
        *("spec", "--endpoint", "--folder", "-o", "--set", "--since", "--until"),
        *("--move-watermark", "--to-destination"),
    ]


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_the_figures_are_printed_in_the_formats_of_other_commands(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    folder = tmp_path / "mine"
    pull(arguments(spec, folder=str(folder), endpoint=["countries"], output=output))
    (row,) = yaml.safe_load(capsys.readouterr().out)  # JSON is YAML
    assert (row["endpoint"], row["pages"]) == ("countries", 1)
    assert row["rows"] == json.loads((folder / "countries" / "_manifest.json").read_text())["rows"]
    assert [Path(file).parent for file in row["files"]] == [folder / "countries"]


def test_plain_output_has_no_frame(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pull(arguments(spec, folder=str(tmp_path), endpoint=["countries"], output="plain"))
    head, row, *_ = capsys.readouterr().out.splitlines()
    assert head.split() == ["endpoint", "rows", "pages", "bytes", "seconds", "files"]
    assert row.split()[0] == "countries"


def test_an_output_that_is_not_a_format_is_a_folder_with_a_warning(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = str(tmp_path / "old")
    pull(arguments(spec, output=old, endpoint=["countries"]))
    shown = capsys.readouterr()
    assert shown.err == (
        f"--output {old} is taken as a folder, which is deprecated: write --folder {old}.\n"
    )
    assert (tmp_path / "old" / "countries" / "_manifest.json").exists()


def test_an_unknown_format_with_a_folder_is_refused(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_failing_pull(capsys, spec, folder=str(tmp_path), output="csv") == (
        2,
        "--output takes one of table, json, yaml, plain, not 'csv'.\n",
    )


def test_log_lines_reach_neither_the_result_nor_the_middle_of_a_bar() -> None:
    terminal, standard = io.StringIO(), logging.StreamHandler(sys.stdout)
    console = Console(file=terminal, force_terminal=True, width=60)
    logger = logging.getLogger("tests.torn")
    logger.addHandler(standard)
    before = standard.stream
    try:
        with redirect_logs(console), Progress(console=console) as bar:
            bar.add_task("contacts", total=2)
            logger.warning("HTTP 503 from GET /x; next try in %.1f s", 1.0)
            logger.warning("red \x1b[31mtext\x1b[0m and a [bold] word \x1b]0;title\x07")
        assert standard.stream is before
    finally:
        logger.removeHandler(standard)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    lines = re.split(r"[\r\n]+", plain)
    assert "HTTP 503 from GET /x; next try in 1.0 s" in lines
    assert any(line.startswith("red text and a [bold] word") for line in lines)
    assert "\x1b]0;" not in terminal.getvalue()


def test_the_bar_counts_the_sequences_known_before_the_first_request() -> None:
    bar = Progress(console=Console(file=io.StringIO()))
    display = Display(bar)
    display.begin("contacts", "region=eu", 3)
    for index in (0, 1, 0):
        display.page(Page(records=[1, 2], bytes=1, url="", index=index))
    (line,) = bar.tasks
    assert (line.total, line.completed, line.fields["pages"], line.fields["rows"]) == (3, 1, 3, 6)
    display.end(EndpointResult("contacts"))
    assert bar.tasks[0].finished
    display.begin("notes", "", 1)
    assert bar.tasks[1].total is None


def test_the_number_of_sequences_is_parents_times_windows() -> None:
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc)
    week = Interval(moment, moment + timedelta(days=7))
    daily = Endpoint(incremental=Incremental(field="t", start="2025-01-01", step="P1D"))
    item = {"region": Slice(value="eu"), "contact": Slice(file="x", skip=0, take=200)}
    assert count_sequences(daily, item, week) == 1400
    assert count_sequences(Endpoint(), {}, week) == 1


def test_paging_warnings_are_printed_and_kept_in_the_manifest(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = spec.read_text().replace(
        "request: {path: /countries}",
        "request: {path: /page/airports}\n"
        "    paginate: {type: none, total: {path: meta.total, approximate: true}}",
    )
    spec.write_text(text)
    pull(arguments(spec, endpoint=["countries"], folder=str(tmp_path / "mine")))
    doubt = "Reading ends after 100 records, but the API announced "
    assert f"countries: warning: {doubt}" in capsys.readouterr().err
    manifest = json.loads((tmp_path / "mine" / "countries" / "_manifest.json").read_text())
    assert manifest["warnings"][0].startswith(doubt)


def test_an_end_below_the_total_fails_and_leaves_nothing(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = spec.read_text().replace(
        "request: {path: /countries}",
        "request: {path: /page/airports}\n    paginate: {type: none, total: meta.total}",
    )
    spec.write_text(text)
    _, error = run_failing_pull(capsys, spec, endpoint=["countries"], folder=str(tmp_path / "mine"))
    assert "Reading ends after 100 records, but the API announced" in error
    assert not list((tmp_path / "mine").rglob("part-*"))


def test_a_pull_hashes_under_the_key_of_the_configuration(
    spec: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = spec.read_text().replace(
        "request: {path: /countries}",
        "request: {path: /countries}\n    fields: {set: {copy: {path: code}}, hash: [copy]}",
    )
    spec.write_text(text)
    monkeypatch.delenv("AIRFLOW__OAUTH_TASKFLOW__HASH_KEY", raising=False)
    status, said = run_failing_pull(
        capsys, spec, endpoint=["countries"], folder=str(tmp_path / "a")
    )
    assert status == 1
    assert "fields.hash needs a key, and this deployment has none" in said
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__HASH_KEY", "a key of the deployment")
    pull(arguments(spec, endpoint=["countries"], folder=str(tmp_path / "b")))
    (part,) = (tmp_path / "b").rglob("part-*")
    assert {len(json.loads(line)["copy"]) for line in part.read_text().splitlines()} == {64}
