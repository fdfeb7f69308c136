"""The objects that a task wrote, as asset events, Airflow's hook lineage and OpenLineage name them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oauth_taskflow import build_dag
from oauth_taskflow.taskflow.dags.asset_events import (
    MOST_FILES,
    MOST_SCHEMA_BYTES,
    bound_extra,
    bound_total,
)
from oauth_taskflow.taskflow.dags.lineage import (
    describe_for_openlineage,
    name_for_openlineage,
    report_outputs,
)
from tests.api.scripted import scripted
from tests.taskflow.conftest import RunDag, SetConnection

SPEC = """\
version: 1
dag_id: lineage
connection: crm
defaults:
  records: data
  destinations: [{path: "%(base)s/lake/{{ endpoint }}"}, {path: "%(base)s/copy/{{ endpoint }}"}]
endpoints:
  contacts:
    request: {path: /contacts, params: {since: "{{ window.start }}"}}
    incremental: {start: 2026-01-01}
  notes: {for_each: {contact: contacts}, request: {path: "/notes/{{ contact.id }}"}}
"""


@contextmanager
def serving_two_records(set_connection: SetConnection) -> Iterator[None]:
    """Lets connection ``crm`` lead to an API that answers each request with the same two records."""
    with scripted(lambda _: {"data": [{"id": 1}, {"id": 2}]}) as server:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        yield


@pytest.fixture
def spec(tmp_path: Path, set_connection: SetConnection) -> Iterator[Path]:
    path = tmp_path / "lineage.yaml"
    path.write_text(SPEC % {"base": tmp_path})
    with serving_two_records(set_connection):
        yield path


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Airflow's collector, as it is where a plugin reads hook lineage."""
    from airflow.sdk import lineage, plugins_manager  # noqa: PLC0415 - Airflow needs its home first

    monkeypatch.setattr(plugins_manager, "get_hook_lineage_readers_plugins", lambda: [object])
    lineage.get_hook_lineage_collector.cache_clear()
    yield lineage.get_hook_lineage_collector()
    lineage.get_hook_lineage_collector.cache_clear()


@pytest.mark.airflow
def test_a_real_run_reports_each_object_once(
    spec: Path, tmp_path: Path, run_dag: RunDag, collector: Any
) -> None:
    run = run_dag(build_dag(spec))
    assert run.state == "success"
    outputs = collector.collected_assets.outputs
    assert [each.asset.uri for each in outputs] == [
        f"file://{tmp_path}/{place}/{name}"
        for name in ("contacts", "notes")
        for place in ("lake", "copy")
    ]
    interval = run.result("contacts")["interval"]
    assert len(interval) == 2
    shown = {"endpoint": "contacts", "rows": 2, "bytes": 20, "interval": interval}
    assert outputs[0].asset.extra == shown
    for task_id, rows in (("contacts", 2), ("notes__done", 4)):
        found = run.result(task_id)
        assert found["rows"] == rows
        event = events_of(run.run_id)[task_id]
        assert {key: event[key] for key in ("rows", "bytes", "datasets")} == {
            key: found[key] for key in ("rows", "bytes", "datasets")
        }
        assert event.get("interval") == (interval if task_id == "contacts" else None)
        name = task_id.partition("__")[0]
        assert found["datasets"] == [
            f"file://{tmp_path}/{place}/{name}" for place in ("lake", "copy")
        ]


def events_of(run_id: str) -> dict[str, Any]:
    """Returns the extra of the asset events of a run, by the task that emitted them."""
    from airflow.models.asset import AssetEvent  # noqa: PLC0415 - Airflow needs its home first
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above

    with create_session() as session:
        found = session.query(AssetEvent).filter(AssetEvent.source_run_id == run_id).all()
        return {str(event.source_task_id): event.extra for event in found}


@pytest.mark.airflow
def test_a_uri_that_a_provider_refuses_fails_no_task(collector: Any) -> None:
    lines: list[str] = []
    log = SimpleNamespace(info=lambda text, *args: lines.append(text % args))
    operator = SimpleNamespace(log=log)
    report_outputs(operator, {"datasets": ["airflow://reserved"], "rows": 1})
    report_outputs(operator, {"rows": 1})
    assert collector.collected_assets.outputs == []
    assert len(lines) == 1
    assert lines[0].startswith("Lineage does not know ['airflow://reserved'] (")


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("file:///data/crm/a%20b", ("file", "/data/crm/a b")),
        ("s3://lake/crm/contacts", ("s3://lake", "crm/contacts")),
        ("postgres://db:5432/crm/raw/contacts", ("postgres://db:5432", "crm.raw.contacts")),
    ],
)
def test_names_are_those_of_the_openlineage_specification(uri: str, name: tuple[str, str]) -> None:
    assert name_for_openlineage(uri) == name


SUMMARY: dict[str, Any] = {
    "endpoint": "contacts",
    "rows": 2,
    "bytes": 18,
    "datasets": ["s3://lake/contacts", "postgres://db:5432/crm/raw/contacts"],
    "dataset_bytes": [18, 40],
    "further": [{"bytes": 40, "files": [], "manifest": "m"}],
    "schema": {
        "properties": {"id": {"type": "integer"}, "name": {"type": ["string", "null"]}, "x": True}
    },
}


@pytest.mark.parametrize("summary", [None, {}, {"rows": 1, "datasets": []}])
def test_a_task_that_wrote_nothing_has_no_lineage(summary: Any) -> None:
    assert describe_for_openlineage(summary) is None


def test_an_event_is_bounded_and_says_what_it_leaves_out() -> None:
    file = {"path": "p", "rows": 1, "bytes": 1}
    assert bound_extra(SUMMARY) == SUMMARY
    large = {
        **SUMMARY,
        "files": [file] * (MOST_FILES + 1),
        "schema": {"properties": {"x" * MOST_SCHEMA_BYTES: {}}},
    }
    left = {key: SUMMARY[key] for key in ("endpoint", "rows", "bytes", "datasets", "dataset_bytes")}
    assert bound_extra(large) == {**left, "left_out": ["files", "schema"]}
    assert bound_total({**SUMMARY, "files": [file], "manifests": ["m"], "schema": None}) == {
        **left,
        "schema": None,
    }
