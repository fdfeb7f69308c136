"""The links of a pull task: to its output, and after a token failure to the page that connects again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.bases.operator import BaseOperator

from oauth_taskflow import build_dag
from oauth_taskflow.errors import (
    ApiError,
    ConsentRequired,
    InvalidGrant,
    TokenEndpointUnavailable,
)
from oauth_taskflow.taskflow.dags import storage
from oauth_taskflow.taskflow.dags.operators import EndpointOperator
from oauth_taskflow.taskflow.dags.task_links import LINKS, find_output, tab_url
from oauth_taskflow.taskflow.notices.reconnect_link import find_reconnect
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import RunDag, SetConnection

pytestmark = pytest.mark.airflow


def instance(**more: Any) -> Any:
    given = {"dag_id": "crm", "run_id": "manual__2026-01-01T00:00:00+00:00", "task_id": "notes"}
    return SimpleNamespace(**given, **{"map_index": -1, **more})


TAB = (
    "/dags/crm/runs/manual__2026-01-01T00%3A00%3A00%2B00%3A00/tasks/notes/plugin/oauth-endpoint-run"
)


def output(manifest: str, **more: Any) -> str:
    return find_output({"manifest": manifest, **more}, instance())["Output"]


def give_store(monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    def open_path(path: str, conn_id: str | None) -> Any:
        assert path.startswith("s3://")
        assert conn_id == "lake"
        return SimpleNamespace(fs=SimpleNamespace(**options))

    monkeypatch.setattr(storage, "open_path", open_path)


def test_objects_of_amazon_and_google_lead_to_their_consoles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give_store(monkeypatch, client_kwargs={}, endpoint_url=None)
    assert output("s3://lake/crm/run_id=a%3Ab/_manifest.json", conn_id="lake") == (
        "https://s3.console.aws.amazon.com/s3/object/lake?prefix=crm/run_id%3Da%253Ab/_manifest.json"
    )
    assert output("gs://lake/crm/_manifest.json") == (
        "https://console.cloud.google.com/storage/browser/_details/lake/crm/_manifest.json"
    )


@pytest.mark.parametrize(
    "options", [{"client_kwargs": {"endpoint_url": "http://minio"}}, {"endpoint_url": "http://m"}]
)
def test_a_store_that_only_speaks_the_protocol_of_amazon_has_no_console(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    give_store(monkeypatch, **options)
    assert output("s3://lake/crm/_manifest.json", conn_id="lake") == TAB


@pytest.mark.parametrize(
    ("manifest", "more"),
    [
        ("/srv/lake/crm/_manifest.json", {}),
        ("abfs://lake@account/crm/_manifest.json", {}),
        ("postgresql://db/crm.notes#run", {"destination": "postgres"}),
        ("s3://table", {"destination": "dlt"}),
        ("s3://no-library-for-it/x", {}),
        ("gs://lake/" + "x" * 5000, {}),
        ("", {}),
    ],
)
def test_any_other_output_leads_to_the_tab(manifest: str, more: dict[str, Any]) -> None:
    assert output(manifest, **more) == TAB


def test_an_emulator_has_no_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9000")
    assert output("gs://lake/crm/_manifest.json") == TAB


def test_links_begin_with_the_path_of_the_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://tools.example.com/airflow/")
    assert tab_url(instance(map_index=3)) == (
        "/airflow" + TAB.replace("/notes/", "/notes/mapped/3/")
    )
    error = InvalidGrant(error="invalid_grant", status=400, where="")
    assert find_reconnect(error, ["crm eu/1"]) == {
        "Reconnect": "/airflow/plugin/oauth/connect/crm%20eu%2F1"
    }


def test_only_a_failure_that_a_consent_may_mend_leads_to_the_page() -> None:
    wrapped = RuntimeError()
    wrapped.__cause__ = ConsentRequired(error="consent_required", status=400, where="")
    assert set(find_reconnect(wrapped, ["crm"])) == {"Reconnect"}
    for other in (TokenEndpointUnavailable("down"), ApiError("no"), KeyError("x")):
        assert find_reconnect(other, ["crm"]) == {}


def test_all_links_are_declared_and_those_that_lead_nowhere_are_not_kept() -> None:
    operator = EndpointOperator(task_id="a", endpoint_name="a", endpoint={}, conn_id="crm")
    assert list(operator.operator_extra_links) == list(LINKS)
    operator.found_links = {}
    assert list(operator.operator_extra_links) == []
    operator.found_links = {"Output": "/x"}
    (link,) = operator.operator_extra_links
    assert link.get_link(operator, ti_key=instance()) == "/x"
    assert isinstance(operator, BaseOperator)


SPEC = """\
version: 1
dag_id: linked
connection: crm
default_args: {retries: 0}
defaults: {records: data, destination: {path: "%s/{{ endpoint }}"}}
endpoints:
  countries: {request: {path: /countries}}
  twice: {for_each: {n: [1, 2]}, request: {path: /countries, params: {n: "{{ n }}"}}}
"""


def keys(run: Any, task_id: str, map_index: int = -1) -> dict[str, Any]:
    names = ("oauth_taskflow_output", "oauth_taskflow_reconnect")
    return {name: run.result(task_id, name, map_index) for name in names}


def test_each_pull_task_keeps_the_link_that_leads_somewhere(
    tmp_path: Path, oauth_server: OAuthTestServer, set_connection: SetConnection, run_dag: RunDag
) -> None:
    seed = oauth_server.issue_refresh_token()
    set_connection("crm", oauth_server.connection_json(refresh_token=seed))
    path = tmp_path / "linked.yaml"
    path.write_text(SPEC % tmp_path)
    run = run_dag(build_dag(path))
    assert run.state == "success"
    for task_id, index in (("countries", -1), ("twice", 0), ("twice", 1)):
        found = keys(run, task_id, index)
        mapped = f"/mapped/{index}" if index >= 0 else ""
        end = f"/tasks/{task_id}{mapped}/plugin/oauth-endpoint-run"
        assert found["oauth_taskflow_output"].startswith("/dags/linked/runs/manual__")
        assert found["oauth_taskflow_output"].endswith(end)
        assert found["oauth_taskflow_reconnect"] is None


def test_a_refused_grant_leaves_the_way_to_the_page(
    tmp_path: Path, oauth_server: OAuthTestServer, set_connection: SetConnection, run_dag: RunDag
) -> None:
    set_connection("crm", oauth_server.connection_json(refresh_token="unknown-refresh-token"))
    path = tmp_path / "linked.yaml"
    path.write_text(SPEC % tmp_path)
    run = run_dag(build_dag(path))
    assert run.state == "failed"
    assert keys(run, "countries") == {
        "oauth_taskflow_output": None,
        "oauth_taskflow_reconnect": "/plugin/oauth/connect/crm",
    }
