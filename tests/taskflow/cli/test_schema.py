"""``airflow oauth schema`` as its command line runs it."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import yaml

from oauth_taskflow.taskflow.cli.commands import get_cli_commands
from oauth_taskflow.taskflow.cli.schema import schema
from tests.api.scripted import scripted
from tests.taskflow.conftest import SetConnection

pytestmark = pytest.mark.airflow
SPEC = """\
version: 1
dag_id: people
connection: crm
endpoints:
  contacts:
    request: {path: /contacts}
    records: data
    contract: %s
    destination: {path: /unused}
"""
Run = Any


@pytest.fixture
def run(tmp_path: Path, set_connection: SetConnection, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command against an API that gives these records; returns the exit status and what was printed."""

    def command(records: list[Any], contract: str = "evolve", **given: Any) -> tuple[int, str, str]:
        spec = tmp_path / "people.yaml"
        spec.write_text(SPEC % contract)
        nothing = {"from_run": None, "rows": 1000, "file": None, "check": False, "output": "table"}
        arguments = {"spec": str(spec), "endpoint": "contacts", **nothing, **given}
        with scripted(lambda _: {"data": records}) as api:
            set_connection(
                "crm",
                json.dumps(
                    {"conn_type": "oauth2", "host": api.url, "extra": {"auth_type": "none"}}
                ),
            )
            try:
                schema(Namespace(**arguments))
                status = 0
            except SystemExit as ended:
                status = int(str(ended.code))
        out, err = capsys.readouterr()
        return status, out, err

    return command


def test_the_schema_of_some_records_is_printed_and_nothing_committed(
    run: Run, tmp_path: Path
) -> None:
    records = [{"id": 1}, {"id": 2, "name": "x"}, {"id": "odd"}]
    status, out, err = run(records, rows=2)
    assert status == 0
    assert json.loads(out)["properties"] == {
        "id": {"type": "integer"},
        "name": {"type": ["string", "null"]},
    }
    assert "contacts: the schema of 2 records" in err
    assert yaml.safe_load(run(records, output="yaml")[1])["properties"]["id"] == {}
    assert not list(tmp_path.rglob("part-*"))


def test_a_written_schema_freezes_the_endpoint(run: Run, tmp_path: Path) -> None:
    assert run([{"id": 1}], file=str(tmp_path / "contacts.json"))[0] == 0
    frozen = "{columns: freeze, types: freeze, schema: {file: contacts.json}}"
    assert run([{"id": 1}], frozen, check=True)[::2] == (
        0,
        "contacts: the schema of 1 records\ncontacts: the records are as contract.schema says.\n",
    )
    status, _, err = run([{"id": "x", "new": 1}, {}], frozen, check=True)
    assert status == 1
    assert err.splitlines()[1:] == [
        "contacts: field 'id' was integer, and is now json",
        "contacts: new field 'new' (integer)",
        "contacts: required field 'id' has no value in some records",
        "contacts: the records are not as contract.schema says.",
    ]


def test_declared_dates_are_no_drift(run: Run) -> None:
    contract = "{types: freeze, schema: {fields: {at: timestamp}}}"
    assert run([{"at": "2026-01-01T00:00:00Z"}], contract, check=True)[0] == 0
    assert run([{"at": "yesterday"}], contract, check=True)[0] == 1


def test_the_manifest_of_a_run_has_a_schema(run: Run, tmp_path: Path) -> None:
    manifest = tmp_path / "_manifest.json"
    document = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
    manifest.write_text(json.dumps({"schema": document}))
    status, out, _ = run([], from_run=str(manifest))
    assert (status, json.loads(out)["required"]) == (0, ["id"])
    manifest.write_text("{}")
    assert run([], from_run=str(manifest))[0] == 1
    assert run([], from_run=str(tmp_path / "none.json"))[0] == 1


def test_what_cannot_be_answered_is_said(run: Run) -> None:
    assert run([], endpoint="contact")[::2] == (
        2,
        "The spec has no endpoint 'contact'. Did you mean 'contacts'? Allowed: contacts.\n",
    )
    assert run([])[::2] == (1, "contacts: the API has no record, so that there is no schema.\n")
    assert run([{"id": 1}], check=True)[0] == 2


def test_the_command_is_one_of_the_group() -> None:
    (group,) = get_cli_commands()
    assert "schema" in [each.name for each in group.subcommands]  # type: ignore[union-attr]


def test_a_spec_that_cannot_be_read_is_one_line_for_each_problem(run: Run) -> None:
    status, out, err = run([], contract="{columns: sometimes}")
    assert (status, out) == (1, "")
    assert "people.yaml:8" in err
    assert err.splitlines()[-1].endswith("cannot be read: correct the problems above.")


def test_a_spec_with_warnings_is_read_and_they_are_shown(run: Run) -> None:
    status, out, err = run([{"id": 1}], contract="evolve\n    checks: {}")
    assert (status, json.loads(out)["type"]) == (0, "object")
    assert "checks-empty" in err


def test_records_that_have_no_fields_are_named_with_their_endpoint(run: Run) -> None:
    status, out, err = run([1, 2])
    assert (status, out) == (1, "")
    assert err.startswith("contacts: ")


def test_an_endpoint_that_repeats_over_another_needs_a_manifest(run: Run) -> None:
    child = "evolve\n    destination: {path: /c}\n  notes:\n    for_each: {contact: contacts}\n    request: {path: '/n/{{ contact.id }}'}\n    records: data"
    status, _, err = run([{"id": 1}], contract=child, endpoint="notes")
    assert status == 2
    assert "notes repeats over records of another endpoint" in err


def test_a_file_that_cannot_be_written_is_one_line(run: Run, tmp_path: Path) -> None:
    status, _, err = run([{"id": 1}], file=str(tmp_path / "no" / "such.json"))
    assert status == 1
    assert err.strip().endswith("such.json cannot be written: No such file or directory.")
