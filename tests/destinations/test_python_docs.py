"""The examples of docs/python-destination.md run as they are shown."""

from __future__ import annotations

import re
import sqlite3
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.specs.check import check_text
from oauth_taskflow.specs.windows import Interval
from tests.api.scripted import Asked, Reply, scripted
from tests.support.auth import bearer_auth

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "python-destination.md").read_text()
(SPEC,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
FUNCTION, CLASS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def sinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package of the examples, in the working directory of the test."""
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "sinks.py").write_text(FUNCTION + CLASS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("my_package", "my_package.sinks"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def pull(answer: Any, function: str = "load_table", run_id: str = "r") -> Any:
    text = SPEC.replace("load_table", function)
    document = {
        "version": 1,
        "dag_id": "crm",
        "connection": "crm",
        "endpoints": {
            "contacts": {
                "request": {"path": "/contacts"},
                "records": "data",
                **yaml.safe_load(text),
            }
        },
    }
    checked = check_text(yaml.safe_dump(document))
    assert checked.spec is not None, checked.problems
    run = EndpointRun(
        name="contacts",
        endpoint=checked.spec.endpoints["contacts"],
        run_id=run_id,
        template_context={"endpoint": "contacts", "dag_id": "crm"},
        interval=Interval(None, datetime(2026, 1, 1, tzinfo=timezone.utc)),
        access=StoreAccess(lambda path, _: Path(path)),
    )
    with scripted(answer) as server, OAuthSession(server.url, bearer_auth("t")) as session:
        return run_endpoint(run, session)


def contacts(_: Asked) -> Any:
    return {"data": [{"id": 1, "name": "ann"}, {"id": 2, "name": "bob"}]}


def stored() -> list[int]:
    with sqlite3.connect("crm.db") as database:
        return [row[0] for row in database.execute("SELECT id FROM contacts ORDER BY id")]


def test_the_generator_function_loads_a_table_and_replaces_its_run(
    sinks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run_id in ("a", "a", "b"):
        summary = pull(contacts, run_id=run_id)
    assert stored() == [1, 1, 2, 2]
    assert capsys.readouterr().out == "2 contacts\n" * 3
    assert (summary.destination, summary.rows, summary.datasets) == ("python", 2, [])


def test_a_pull_that_fails_leaves_the_table_as_it_was(sinks: Path) -> None:
    pull(contacts)
    with pytest.raises(Exception, match="HTTP 404"):
        pull(lambda _: Reply({}, 404))
    assert stored() == [1, 2]


def test_the_class_writes_at_the_commit(sinks: Path) -> None:
    pull(contacts, "LoadCsv")
    assert (sinks / "contacts.csv").read_text().splitlines() == ["1,ann", "2,bob"]
