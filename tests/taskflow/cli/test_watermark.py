"""``airflow oauth watermark show | set | reset``, and ``airflow oauth pull`` in watermark mode."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from argparse import Namespace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.taskflow.cli import watermark
from oauth_taskflow.taskflow.cli.pull import pull
from oauth_taskflow.taskflow.dags.stored_watermarks import open_watermark_store
from oauth_taskflow.watermarks.partitions import EndpointId
from oauth_taskflow.watermarks.state import NOTHING, Move, WatermarkState
from oauth_taskflow.watermarks.store import PendingCommit
from tests.api.scripted import Asked, scripted
from tests.taskflow.conftest import SetConnection

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("own_store")]
CONTACTS, NOTES = (
    EndpointId("crm", "contacts", "crm"),
    EndpointId("crm", "notes", "crm"),
)
EU, US = '{"region":"eu"}', '{"region":"us"}'


def move(identity: EndpointId, **values: Any) -> None:
    """Moves watermarks as a run does: partition to value."""
    store = open_watermark_store()
    moves = tuple(
        Move({"all": "", "eu": EU, "us": US}[name], NOTHING, WatermarkState(value))
        for name, value in values.items()
    )
    commit = PendingCommit("t", identity, "run", store.begin(identity, "run").generation, {}, moves)
    store.prepare(commit)
    store.settle(commit)


@pytest.fixture
def stored(own_store: None) -> None:
    move(CONTACTS, all="2026-01-02T00:00:00Z")
    move(NOTES, eu=7, us=9)


class Shown:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, command: Any, **given: Any) -> Any:
        args = {"output": "json", "yes": True, "partition": None, "conn_id": None, "cursor": None}
        command(
            Namespace(**{"dag_id": "crm", "endpoint": None, "partitions": False, **args, **given})
        )
        return json.loads(self._capsys.readouterr().out)

    def read_refusal(self, command: Any, status: int = 2, **given: Any) -> str:
        with pytest.raises(SystemExit) as caught:
            self(command, **given)
        assert caught.value.code == status
        return self._capsys.readouterr().err.strip()


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Shown:
    return Shown(capsys)


@pytest.mark.usefixtures("stored")
def test_show_sums_up_partitions_by_the_lowest(shown: Shown) -> None:
    rows = shown(watermark.show, dag_id=None)
    short = [(row["endpoint"], row["partitions"], row["watermark"]) for row in rows]
    assert short == [("contacts", 0, "2026-01-02T00:00:00Z"), ("notes", 2, "7")]
    rows = shown(watermark.show, endpoint="notes", partitions=True)
    assert {row["partition"]: row["watermark"] for row in rows} == {EU: "7", US: "9"}
    assert rows[0]["run_id"] == "run"
    said = shown.read_refusal(watermark.show, 1, dag_id="other")
    assert said == "No watermark of DAG 'other' is stored."


@pytest.mark.usefixtures("stored")
def test_set_goes_back_and_is_audited(shown: Shown, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        (row,) = shown(watermark.replace, endpoint="contacts", value="2025-12-31")
    assert row["watermark"] == "2025-12-31T00:00:00Z"
    (line,) = [r.getMessage() for r in caplog.records if "Watermark set by" in r.getMessage()]
    assert line.endswith(
        "crm/contacts on connection 'crm', from 2026-01-02T00:00:00Z to 2025-12-31T00:00:00Z"
    )
    (row,) = shown(watermark.replace, endpoint="notes", partition='{"region": "eu"}', value="3")
    assert (row["partition"], row["watermark"]) == (EU, "3")
    (row,) = shown(watermark.replace, endpoint="new", conn_id="crm", value=None, cursor="abc")
    assert (row["watermark"], row["cursor"]) == (None, "abc")


@pytest.mark.usefixtures("stored")
def test_reset_drops_one_partition_or_all(shown: Shown) -> None:
    shown(watermark.reset, endpoint="notes", partition=EU)
    rows = shown(watermark.show, endpoint="notes", partitions=True)
    assert [row["partition"] for row in rows] == [US]
    (row,) = shown(watermark.reset, endpoint="notes")
    assert row["partitions"] == 1
    assert "No watermark" not in str(shown(watermark.show))


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"endpoint": "other", "value": "1"}, "Name the connection of crm/other: --conn-id ID. No run of it stored one yet."),
        ({"endpoint": "contacts", "value": None}, "Give a value, or --cursor TEXT."),
        ({"endpoint": "contacts", "value": "soon"}, "'soon' is not a watermark: write an ISO 8601 time such as"),
        ({"endpoint": "notes", "partition": EU, "value": "x"}, "The watermark is a number, and 'x' is not one."),
        ({"endpoint": "notes", "partition": "eu", "value": "1"}, "--partition takes JSON as in the list of --partitions"),
        ({"endpoint": "contacts", "value": "2027-01-01", "yes": False}, "There is no terminal to ask at: add --yes."),
    ],
)  # fmt: skip
def test_wrong_arguments_change_nothing(shown: Shown, given: dict[str, Any], said: str) -> None:
    before = open_watermark_store().list_watermarks()
    assert said in shown.read_refusal(watermark.replace, **given)
    assert open_watermark_store().list_watermarks() == before


@pytest.mark.usefixtures("stored")
def test_a_value_of_another_kind_is_refused(shown: Shown) -> None:
    said = shown.read_refusal(watermark.replace, 1, endpoint="contacts", value="17")
    assert "cannot be compared" in said


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(("answer", "changes"), [("y\n", True), ("\n", False)])
def test_set_and_reset_ask_a_person_first(
    shown: Shown, monkeypatch: pytest.MonkeyPatch, answer: str, changes: bool
) -> None:
    monkeypatch.setattr(
        sys,
        "stdin",
        type("Terminal", (), {"isatty": lambda _: True, "readline": lambda _: answer})(),
    )
    given = {"endpoint": "contacts", "value": "2025-12-31", "yes": False}
    if changes:
        shown(watermark.replace, **given)
    else:
        assert "backwards: records are read again)? [y/N]" in shown.read_refusal(
            watermark.replace, 1, **given
        )
    rows = open_watermark_store().list_watermarks("crm", "contacts")
    assert (rows[0].state.value == "2025-12-31T00:00:00Z") == changes


SPEC = """\
version: 1
dag_id: crm
connection: crm
endpoints:
  contacts:
    request: {path: /c, params: {above: "{{ watermark.value | default(0) }}"}}
    incremental: {by: watermark, field: id}
    destination: {path: /unused}
"""


def test_a_local_pull_moves_the_watermark_only_when_told(
    set_connection: SetConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes = iter(range(60))  # pulls within a second are one run

    def tell_time() -> datetime:
        return datetime(2026, 1, 1, 12, next(minutes), tzinfo=timezone.utc)

    monkeypatch.setattr("oauth_taskflow.taskflow.cli.pull.utc_now", tell_time)
    spec = tmp_path / "crm.yaml"
    spec.write_text(SPEC)

    def route(asked: Asked) -> Any:
        return [{"id": number} for number in range(int(asked.query["above"]) + 1, 4)]

    def run(folder: str, **given: Any) -> int:
        options = {"since": None, "until": None, "set": None, "endpoint": None, **given}
        place = tmp_path / folder
        pull(Namespace(spec=str(spec), folder=str(place), output="json", **options))
        return len((place / "contacts" / "part-00000.jsonl").read_text().splitlines())

    with scripted(route) as api:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": api.url, "extra": extra})
        assert [run("a"), run("a")] == [3, 3]
        assert run("b", move_watermark=True) == 3
        assert run("b", move_watermark=True) == 3  # it replaces what came before
        assert run("f", move_watermark=True) == 0
        assert [run("c"), run("d", since="2020-01-01")] == [0, 3]
        with pytest.raises(SystemExit):
            run("e", since="2020-01-01", move_watermark=True)


LISTS = """\
version: 1
dag_id: crm
connection: crm
endpoints:
  notes:
    for_each: {region: [%s]}
    request: {path: "/{{ region }}", params: {above: "{{ watermark.value | default(0) }}"}}
    incremental: {by: watermark, field: id}
    destination: {path: /unused}
"""


def test_pulls_into_one_folder_lose_no_value_that_left_the_list(
    set_connection: SetConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter(datetime(2026, 1, 1, 12, minute, tzinfo=timezone.utc) for minute in range(60))
    monkeypatch.setattr("oauth_taskflow.taskflow.cli.pull.utc_now", lambda: next(moments))
    spec, last = tmp_path / "crm.yaml", 3

    def route(asked: Asked) -> Any:
        return [{"id": number} for number in range(int(asked.query["above"]) + 1, last + 1)]

    def run(folder: str, regions: str) -> list[int]:
        spec.write_text(LISTS % regions)
        place = tmp_path / folder
        options = dict.fromkeys(("since", "until", "set", "endpoint"))
        pull(
            Namespace(
                spec=str(spec), folder=str(place), output="json", move_watermark=True, **options
            )
        )
        files = sorted((place / "notes").rglob("part-*.jsonl"))
        return [len(file.read_text().splitlines()) for file in files]

    with scripted(route) as api:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": api.url, "extra": extra})
        assert run("a", "eu, us, jp") == [3, 3, 3]
        last = 5
        assert run("b", "eu, us, jp") == [2, 2, 2]
        assert run("b", "eu, us, jp") == [2, 2, 2]  # each begins where its output began
        assert run("b", "eu") == [2]
        last = 6
        assert run("c", "eu, us, jp") == [1, 3, 3]


def test_the_commands_are_those_of_airflow(airflow_home: Path) -> None:
    command = [sys.executable, "-m", "airflow", "oauth", "watermark", "show", "-o", "json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, json.loads(done.stdout)) == (0, []), done.stderr


@pytest.mark.parametrize(
    ("command", "given"),
    [
        (watermark.show, {}),
        (watermark.replace, {"endpoint": "contacts", "value": "5"}),
        (watermark.reset, {"endpoint": "contacts"}),
    ],
)
def test_a_store_that_cannot_be_used_is_one_line(
    shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Any, given: Any
) -> None:
    (tmp_path / "file").touch()
    for url in ("redis://x:s3cret@127.0.0.1/0", f"sqlite:///{tmp_path}/file/t.db"):
        monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE", url)
        line = shown.read_refusal(command, 1, **given)
        assert line
        assert "s3cret" not in line
        assert "\n" not in line


def test_partitions_of_two_kinds_have_no_lowest_watermark(shown: Shown) -> None:
    move(NOTES, eu=7, us="2026-01-02T00:00:00Z")
    (row,) = shown(watermark.show)
    assert (row["partitions"], row["watermark"], row["run_id"]) == (2, None, "run")
    rows = shown(watermark.show, partitions=True)
    assert {row["watermark"] for row in rows} == {"7", "2026-01-02T00:00:00Z"}


@pytest.mark.usefixtures("stored")
def test_a_container_without_users_changes_watermarks_too(
    shown: Shown, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_no_user() -> str:
        raise KeyError("uid not found: 50000")

    monkeypatch.setattr("getpass.getuser", find_no_user)
    with caplog.at_level(logging.WARNING):
        shown(watermark.reset, endpoint="contacts")
    assert "Watermark reset by an unknown user" in caplog.text
