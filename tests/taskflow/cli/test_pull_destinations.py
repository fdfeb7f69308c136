"""``airflow oauth pull`` and the destinations of a spec: files below a folder, or the real ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from oauth_taskflow.taskflow.cli.pull import pull
from tests.api.scripted import scripted
from tests.taskflow.cli.test_pull import arguments, run_failing_pull
from tests.taskflow.conftest import SetConnection

DESTINATIONS = """\
version: 1
dag_id: places
connection: places
params: {day: "1"}
defaults:
  records: data
  where: id != `2`
  destinations:
    - {path: "%(base)s/lake/{{ params.day }}/{{ endpoint }}", format: jsonl.gz}
    - {path: "%(base)s/copy/{{ endpoint }}"}
endpoints:
  contacts: {request: {path: /contacts}}
  notes: {for_each: {contact: contacts}, request: {path: "/notes/{{ contact.id }}"}}
"""


@pytest.fixture
def places(tmp_path: Path, set_connection: SetConnection) -> Iterator[Path]:
    """A spec with two destinations, whose filter leaves one record out of each page."""
    path = tmp_path / "places.yaml"
    path.write_text(DESTINATIONS % {"base": tmp_path})
    with scripted(lambda _: {"data": [{"id": 1}, {"id": 2}]}) as server:
        extra = {"auth_type": "none"}
        set_connection("places", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        yield path


def test_without_the_option_several_destinations_are_files_below_the_folder(
    places: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pull(arguments(places, folder=str(tmp_path / "mine"), output="json"))
    rows = json.loads(capsys.readouterr().out)
    assert [(row["rows"], row["filtered"]) for row in rows] == [(1, 1), (1, 1)]
    assert "outside" not in rows[0]
    assert [Path(file).relative_to(tmp_path / "mine") for row in rows for file in row["files"]] == [
        Path("contacts/part-00000.jsonl.gz"),
        Path("notes/map_index=0/part-00000.jsonl.gz"),
    ]
    assert not (tmp_path / "lake").exists()
    assert not (tmp_path / "copy").exists()


def test_with_the_option_all_destinations_of_the_spec_are_written(
    places: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pull(arguments(places, to_destination=True, set=["day=2"]))
    shown = capsys.readouterr().out
    assert re.search(r"endpoint\W+rows\W+filtered\W+pages", shown)
    assert f"file://{tmp_path}/copy/contacts and 1 more" in shown
    found = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("_manifest.json"))
    folders = [re.sub(r"/run_id=pull__[^/]+", "", str(path.parent)) for path in found]
    assert folders == [
        "copy/contacts",
        "copy/notes/map_index=0",
        "lake/2/contacts",
        "lake/2/notes/map_index=0",
    ]


def test_outputs_of_runs_below_the_folder_stay(places: Path, tmp_path: Path) -> None:
    places.write_text(places.read_text().replace("{{ endpoint }}", "{{ endpoint }}/day=1"))
    for base in ("lake/1", "copy"):
        pull(arguments(places, to_destination=True))
        written = {path: path.read_bytes() for path in tmp_path.rglob("run_id=*/**/*.*")}
        assert written
        pull(arguments(places, folder=str(tmp_path / base)))
        assert (tmp_path / base / "contacts" / "_manifest.json").exists()
        assert {path: path.read_bytes() for path in written if path.exists()} == written


def test_a_param_of_the_command_line_is_one_segment_of_a_destination(
    places: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, shown = run_failing_pull(capsys, places, to_destination=True, set=["day=../../x"])
    assert code == 1
    assert (
        "params.day of this run, '../../x', cannot be used in the path of the destination" in shown
    )


def test_a_folder_and_the_destinations_of_the_spec_exclude_each_other(
    places: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, shown = run_failing_pull(capsys, places, to_destination=True, folder="x")
    assert (code, shown.strip()) == (
        2,
        "--to-destination writes to the destinations of the spec: leave out --folder.",
    )
