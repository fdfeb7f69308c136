"""The run that counts as the one before, and the outcome of a failed look-up."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.contracts.last_run import LastRun
from oauth_taskflow.destinations.files import FolderDestination
from oauth_taskflow.destinations.transfer import transfer
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.taskflow.dags.last_runs import _read_event, find_in_events, find_in_manifest
from tests.destinations.attempts import RUN

pytestmark = pytest.mark.airflow


def event(extra: Any, dag_id: str = "crm", run_id: str = "before") -> Any:
    return SimpleNamespace(extra=extra, source_dag_id=dag_id, source_run_id=run_id)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (event({"rows": 5, "schema": {"a": 1}}), LastRun("before", 5, {"a": 1})),
        (event({"rows": 0, "schema": "x"}), LastRun("before", 0, None)),
        (event({"rows": 5}, run_id="this"), None),
        (event({"rows": 5}, dag_id="another"), None),
        (event({"rows": "5"}), None),
        (event({}), None),
        (event(None), None),
    ],
)
def test_an_event_of_an_earlier_run_of_the_dag_with_a_number_of_rows_counts(
    found: Any, expected: LastRun | None
) -> None:
    assert _read_event(found, "crm", "this") == expected


def test_events_that_cannot_be_read_make_the_task_try_again(airflow_home: Path) -> None:
    from airflow.sdk import Asset  # noqa: PLC0415 - Airflow needs its home first

    assert airflow_home.is_dir()
    with pytest.raises(OAuthTaskflowError, match="The run before cannot be looked up") as caught:
        find_in_events(Asset("x-crm://contacts"), "crm", "this")  # not in a task: no server answers
    assert caught.value.retryable
    assert caught.value.where == "in the events of asset x-crm://contacts"


def test_the_manifest_that_a_run_replaces_says_how_many_rows_it_had(tmp_path: Path) -> None:
    destination = FolderDestination(tmp_path)
    assert find_in_manifest(destination, RUN) is None
    transfer([Page([{"a": 1}, {"a": 2}], 1, "", 0)], destination, RUN)
    found = find_in_manifest(destination, RUN)
    assert found is not None
    assert (found.run_id, found.rows) == (RUN.run_id, 2)
    (tmp_path / "_manifest.json").write_text('{"rows": "two"}')
    assert find_in_manifest(destination, RUN) is None
