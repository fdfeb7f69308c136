"""``fields`` and ``where`` in real runs: options reach mapped tasks whole, children read new names, the key stays secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oauth_taskflow import build_dag
from oauth_taskflow.specs.check import check_file
from oauth_taskflow.specs.model import Endpoint
from tests.api.scripted import Asked, scripted
from tests.taskflow.conftest import RunDag, SetConnection

KEY_NAME = "AIRFLOW__OAUTH_TASKFLOW__HASH_KEY"
KEY = "a-long-random-text-of-this-test"
VALID = Path(__file__).parents[2] / "specs" / "valid" / "fields.yaml"
SPEC = """\
version: 1
dag_id: people
connection: crm
defaults: {task: {retries: 0}, destination: {path: "%s/{{ endpoint }}"}}
endpoints:
  contacts:
    request: {path: /contacts}
    records: data
    where: "!deleted"
    fields: {names: snake_case, hash: [mail]}
  notes:
    for_each: {contact: {endpoint: contacts, copy: {owner: contact_id}}}
    request: {path: "/contacts/{{ contact.contact_id }}/notes"}
    records: data
    where: n > contact.least
    fields:
      collect: {custom: {keys: "cf_*", as: [name, value]}}
      dates: {made: {form: "%%d.%%m.%%Y", zone: Europe/Berlin, write: date}, sent: any}
      on_error: null
"""


def route(asked: Asked) -> Any:
    if asked.path == "/contacts":
        mails = ["a@x.example", "b@x.example", "c@x.example"]
        return {
            "data": [
                {"contactId": n, "mail": mail, "least": n, "deleted": n == 2}
                for n, mail in enumerate(mails)
            ]
        }
    note = {"cf_size": 1.50, "made": "31.12.2025", "sent": "at noon"}
    return {"data": [{"n": n, **note} for n in range(3)]}


@pytest.fixture
def spec(tmp_path: Path, set_connection: SetConnection) -> Iterator[Path]:
    path = tmp_path / "people.yaml"
    path.write_text(SPEC % (tmp_path / "out"))
    with scripted(route) as server:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        yield path


def rows(folder: Path) -> list[Any]:
    parts = sorted(folder.rglob("part-*"))
    return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


@pytest.mark.airflow
def test_a_run_filters_reshapes_and_hashes_and_children_use_the_new_names(
    spec: Path,
    tmp_path: Path,
    run_dag: RunDag,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(KEY_NAME, KEY)
    run = run_dag(build_dag(spec))
    assert run.state == "success"
    contacts = rows(tmp_path / "out" / "contacts")
    assert [row["contact_id"] for row in contacts] == [0, 1]
    assert all(len(row["mail"]) == 64 for row in contacts)
    assert rows(tmp_path / "out" / "notes") == [
        {
            "n": n,
            "made": "2025-12-31",
            "sent": None,
            "owner": owner,
            "custom": [{"name": "cf_size", "value": 1.5}],
        }
        for owner, n in ((0, 1), (0, 2), (1, 2))
    ]
    assert run.result("contacts")["filtered"] == 1
    total = run.result("notes__done")
    assert (total["rows"], total["filtered"]) == (3, 3)
    assert total["warnings"] == [
        "fields.dates: 3 values at 'sent' could not be converted, and were made null."
    ]
    shown = capfd.readouterr()
    assert KEY not in shown.out + shown.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY in path.read_text()]


@pytest.mark.airflow
def test_a_run_without_the_key_fails_before_its_first_request(
    spec: Path, tmp_path: Path, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_NAME, raising=False)
    run = run_dag(build_dag(spec))
    assert run.state == "failed"
    assert run.task_state("contacts") == "failed"
    assert not (tmp_path / "out").exists() or rows(tmp_path / "out") == []


def test_options_are_the_same_after_they_were_plain_data() -> None:
    spec = check_file(VALID).spec
    assert spec is not None
    for endpoint in spec.endpoints.values():
        plain = json.loads(msgspec.json.encode(msgspec.to_builtins(endpoint)))
        assert msgspec.convert(plain, Endpoint, from_attributes=True) == endpoint
