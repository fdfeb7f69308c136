"""The tab on DAG and task: figures of real runs, the YAML of an endpoint, its changes, and who may read them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow import build_dag
from oauth_taskflow.taskflow.page.endpoint_tasks import diff_specs, find_by_task, find_endpoints
from tests.api.scripted import Asked, scripted
from tests.taskflow.page.conftest import Browse

pytestmark = pytest.mark.airflow

SPEC = """\
version: 1
dag_id: tab
start_date: 2026-01-01
connection: crm
default_args: {{retries: 0}}
defaults: {{records: data, destination: {{path: "{folder}/{{{{ endpoint }}}}"}}}}
endpoints:
  contacts:
    description: People and companies.
    request: {{path: {path}, params: {{limit: {limit}}}}}
    primary_key: id
    incremental: {{field: at, start: 2026-01-01, without_interval: start}}
  notes:
    for_each: {{contact: {{endpoint: contacts, batch: 2}}}}
    request: {{path: "/notes/{{{{ contact.id }}}}"}}
{more}"""
SECRET = "a-very-secret-key"


def answer(asked: Asked) -> Any:
    at = {"at": "2026-02-03T00:00:00Z"}
    if asked.path == "/contacts":
        return {"data": [{"id": number % 3, **at} for number in range(4)]}
    if asked.path == "/broken":
        return {"nothing": True}
    return {"data": [{"id": asked.path, **at} for _ in range(2)]}


class History:
    """Three runs of one DAG, each of another version: of two endpoints, of three, and one that fails in the first."""

    def __init__(self, folder: Path) -> None:
        from tests.taskflow.dags.dag_runs import run_once  # noqa: PLC0415 - Airflow needs its home first

        versions = [("/contacts", 100, ""), ("/contacts", 50, _DEALS), ("/broken", 50, _DEALS)]
        path, self.runs = folder / "tab.yaml", []
        for place, limit, more in versions:
            path.write_text(SPEC.format(folder=folder, path=place, limit=limit, more=more))
            self.runs.append(run_once(build_dag(path)))


_DEALS = "  deals:\n    request: {path: /deals}\n"


@pytest.fixture(scope="module")
def history(airflow_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """See ``History``; the API has a key, which must be in no answer."""
    assert airflow_home.is_dir()
    with scripted(answer) as server, pytest.MonkeyPatch.context() as patch:
        extra = {"auth_type": "api_key", "api_key_name": "X-Key"}
        given = {"conn_type": "oauth2", "host": server.url, "password": SECRET, "extra": extra}
        patch.setenv("AIRFLOW_CONN_CRM", json.dumps(given))
        found = History(tmp_path_factory.mktemp("tab"))
        assert [run.state for run in found.runs] == ["success", "success", "failed"]
        yield found


def get(browse: Browse, path: str = "tab/endpoints", **query: Any) -> Any:
    found = browse("viewer").get(f"/oauth/api/dags/{path}", params=query)
    assert found.status_code == 200, found.text
    assert SECRET not in found.text
    return found.json()


@pytest.mark.no_cover
def test_a_run_shows_rows_windows_and_the_sum_of_mapped_tasks(
    browse: Browse, history: History
) -> None:
    run_id = history.runs[0].run_id
    body = get(browse, run_id=run_id)
    assert (body["dag_id"], body["run_id"]) == ("tab", run_id)
    contacts, notes = body["endpoints"][:2]
    assert contacts["name"] == contacts["task_id"] == "contacts"
    assert (contacts["description"], contacts["is_mapped"]) == ("People and companies.", False)
    assert contacts["spec"] is None, "a list of all would be long"
    assert contacts["run"]["states"] == {"success": 1}
    figures = contacts["run"]["figures"]
    assert (figures["rows"], figures["pages"], figures["duplicates"]) == (3, 1, 1)
    assert figures["watermark"] == "2026-02-03T00:00:00Z"
    assert figures["destination"] == "file"
    assert figures["manifest"].endswith("/_manifest.json")
    assert figures["interval"][1]
    assert "files" not in figures
    assert notes["is_mapped"]
    assert notes["run"]["states"] == {"success": 2}
    assert (notes["run"]["figures"]["rows"], notes["run"]["figures"]["tasks"]) == (6, 2)
    assert not notes["run"]["is_partial"]


def test_a_task_shows_its_own_endpoint_and_a_mapped_instance_its_own_figures(
    browse: Browse, history: History
) -> None:
    for task_id in ("notes", "notes__done", "notes__batches"):
        (one,) = get(browse, task_id=task_id)["endpoints"]
        assert one["task_id"] == "notes"
    query = {"task_id": "notes", "run_id": history.runs[0].run_id}
    found = [get(browse, **query, map_index=index)["endpoints"][0]["run"] for index in (0, 1, 9)]
    assert [run["figures"] and run["figures"]["rows"] for run in found] == [4, 2, None]
    (one,) = get(browse, task_id="contacts")["endpoints"]
    assert one["spec"].startswith("request:\n  path: /broken\n"), "that of the latest version"
    assert get(browse, task_id="another")["endpoints"] == []
    (one,) = get(browse, task_id="notes", run_id="another")["endpoints"]
    assert one["run"] == {"run_id": None, "figures": None, "is_partial": False, "states": {}}


def test_a_run_that_failed_shows_its_state_and_the_figures_of_the_run_before(
    browse: Browse, history: History
) -> None:
    body = get(browse)
    assert body["run_id"] == history.runs[2].run_id
    run = body["endpoints"][0]["run"]
    assert run["states"] == {"failed": 1}
    assert run["run_id"] == history.runs[1].run_id
    assert run["figures"]["rows"] == 3


@contextlib.contextmanager
def changed_xcom(run: Any, task_id: str, value: Any, map_index: int = -1) -> Iterator[None]:
    """The result of a task is ``value`` in this block, or missing where that is None."""
    from airflow.models.xcom import XComModel  # noqa: PLC0415 - Airflow needs its home first
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above
    from sqlalchemy import update  # noqa: PLC0415 - as above

    def write(key: str, written: Any, into: str) -> None:
        with create_session() as session:
            query = update(XComModel).where(XComModel.run_id == run.run_id)
            query = query.where(XComModel.task_id == task_id, XComModel.key == key)
            query = query.where(XComModel.map_index == map_index)
            session.execute(query.values(key=into, value=written))

    kept = run.result(task_id, map_index=map_index)
    write("return_value", value, "return_value" if value is not None else "away")
    try:
        yield
    finally:
        write("away" if value is None else "return_value", json.dumps(kept), "return_value")


def test_instances_are_summed_up_while_the_last_task_has_not_run(
    browse: Browse, history: History
) -> None:
    run = history.runs[1]
    with changed_xcom(run, "notes__done", None):
        notes = get(browse, run_id=run.run_id)["endpoints"][1]["run"]
    assert notes["is_partial"]
    assert (notes["run_id"], notes["figures"]["rows"]) == (run.run_id, 6)


def test_a_full_page_of_an_instance_shows_nothing_while_others_may_go_on(
    browse: Browse, history: History
) -> None:
    run = history.runs[1]
    ends = {"ends_by": "pointer", "marker": "a cursor at 'next'", "full": 10}
    doubtful = json.dumps({**run.result("notes", map_index=0), "ends": ends})
    with changed_xcom(run, "notes__done", None), changed_xcom(run, "notes", doubtful, 0):
        figures = get(browse, run_id=run.run_id)["endpoints"][1]["run"]["figures"]
    assert figures["tasks"] == 2
    assert "warnings" not in figures


@pytest.mark.parametrize("value", ["s3://xcoms/elsewhere", "not json", 7, ["a"], {"rows_": 1}])
def test_where_xcoms_are_kept_elsewhere_the_asset_event_has_the_figures(
    browse: Browse, history: History, value: Any
) -> None:
    run = history.runs[1]
    with changed_xcom(run, "contacts", value):
        found = get(browse, run_id=run.run_id)["endpoints"][0]["run"]
    assert found["figures"]["rows"] == 3


def test_what_changed_since_the_version_before_is_a_diff(browse: Browse, history: History) -> None:
    assert len(history.runs) == 3
    last = get(browse, "tab/endpoints/contacts/changes")
    assert [one["number"] for one in last["versions"]] == [3, 2, 1]
    assert last["since"] == 2
    assert [line for line in last["lines"] if line[0] in "+-"] == [
        "-  path: /contacts",
        "+  path: /broken",
    ]
    first = get(browse, "tab/endpoints/contacts/changes", since=1)
    assert "-    limit: 100" in first["lines"]
    assert "+    limit: 50" in first["lines"]
    assert get(browse, "tab/endpoints/notes__done/changes", since=1)["lines"] == []
    deals = get(browse, "tab/endpoints/deals/changes", since=1)
    assert deals["is_new"]
    assert "+  path: /deals" in deals["lines"]


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("nothing/endpoints", 404),
        ("tab/endpoints/another/changes", 404),
        ("tab/endpoints/contacts/changes?since=99", 404),
        ("tab/endpoints/contacts/changes?since=0", 422),
        ("tab/endpoints/contacts/changes?since=99999999999999999999", 422),
        ("tab/endpoints?map_index=-2", 422),
        ("tab/endpoints?map_index=x", 422),
        ("tab/endpoints?map_index=99999999999999999999", 422),
        ("tab/endpoints/..%2f..%2fcontacts/changes", 404),
        ("tab%00/endpoints", 404),
        ("tab/endpoints?run_id=%00", 422),
        ("tab/endpoints?task_id=%00", 200),
    ],
)
def test_wrong_questions_are_refused(browse: Browse, path: str, status: int) -> None:
    assert browse("admin").get(f"/oauth/api/dags/{path}").status_code == status


def test_an_id_that_postgresql_refuses_never_reaches_the_database(
    browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.models.dag import DagModel  # noqa: PLC0415 - see above

    monkeypatch.setattr(DagModel, "get_team_name", None)  # not called
    answer = browse("admin").get("/oauth/api/dags/a%00b/endpoints")
    assert (answer.status_code, answer.json()["detail"]) == (404, "This page does not exist")
    assert answer.headers["cache-control"] == "no-store"


PATHS = ("tab/endpoints", "tab/endpoints/contacts/changes")


@pytest.mark.usefixtures("history")
def test_only_who_may_read_the_dag_sees_it(browse: Browse, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.api_fastapi.app import get_auth_manager  # noqa: PLC0415 - see above

    asked: list[Any] = []

    def reads_another(*, details: Any = None, **more: Any) -> bool:
        asked.append((details.id, more["method"]))
        return bool(details.id == "another")

    for path in PATHS:
        assert browse().get(f"/oauth/api/dags/{path}").status_code == 401
    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", reads_another)
    for path in PATHS:
        answer = browse("viewer").get(f"/oauth/api/dags/{path}?dag_id=another")
        assert answer.status_code == 403
    assert set(asked) == {("tab", "GET")}


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("refused", "hidden"), [("XCOM", "run"), ("RUN", "run"), ("TASK", "spec"), ("VERSION", "")]
)
def test_each_part_needs_the_permission_of_airflows_own_page(
    browse: Browse, monkeypatch: pytest.MonkeyPatch, refused: str, hidden: str
) -> None:
    from airflow.api_fastapi.app import get_auth_manager  # noqa: PLC0415 - see above

    def refuse_one(*, access_entity: Any = None, **_more: Any) -> bool:
        return access_entity is None or access_entity.name != refused

    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", refuse_one)
    (contacts,) = get(browse, task_id="contacts")["endpoints"]
    assert {name for name in ("run", "spec") if contacts[name] is None} == {hidden} - {""}
    status = browse("viewer").get(f"/oauth/api/dags/{PATHS[1]}").status_code
    assert status == (403 if refused in {"TASK", "VERSION"} else 200)


def test_a_dag_of_others_shows_nothing_and_asks_for_no_results(
    browse: Browse, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415 - see above
    from airflow.providers.standard.operators.empty import EmptyOperator  # noqa: PLC0415 - as above
    from airflow.sdk import DAG  # noqa: PLC0415 - as above
    from airflow.serialization.definitions.dag import SerializedDAG  # noqa: PLC0415 - as above
    from airflow.serialization.serialized_objects import (  # noqa: PLC0415 - as above
        LazyDeserializedDAG,
    )

    from oauth_taskflow.taskflow.page import endpoint_routes  # noqa: PLC0415 - as above

    assert history.runs
    with DAG("tab_others", schedule=None) as dag:
        EmptyOperator(task_id="a")
    lazy = LazyDeserializedDAG.from_dag(dag)
    SerializedDAG.bulk_write_to_db("dags-folder", None, [lazy])
    SerializedDagModel.write_dag(lazy, bundle_name="dags-folder")
    monkeypatch.setattr(endpoint_routes, "read_figures", None)  # not called
    assert get(browse, "tab_others/endpoints")["endpoints"] == []
    assert get(browse, "tab_others/endpoints", task_id="a")["endpoints"] == []


def test_a_value_of_an_author_is_no_figure_and_long_lists_are_cut() -> None:
    from oauth_taskflow.taskflow.page.endpoint_figures import show  # noqa: PLC0415 - see above

    assert show({"rows": "many"}) is None
    assert show({"rows": 1, "warnings": "text"}) is None
    figures = show(
        {
            "rows": 1,
            "files": [{}] * 9,
            "manifests": ["https://u:p@x/m?token=hush", "b"],
            "datasets": [f"s3://{n}" for n in range(30)],
        }
    )
    assert figures is not None
    assert (figures.manifest, figures.destination) == ("https://x/m?token=***", "file")
    assert (len(figures.datasets), figures.datasets[-1]) == (21, "10 more")


@pytest.mark.parametrize(
    "serialized",
    [
        {},
        {"dag": None},
        {"dag": {"tasks": None}},
        {"dag": {"tasks": [None, 7, "a", {"__var": None}]}},
        {"dag": {"tasks": [{"task_type": "EndpointOperator", "_task_module": "of.another"}]}},
    ],
)
def test_what_is_no_dag_of_ours_has_no_endpoints(serialized: Any) -> None:
    assert find_endpoints(serialized) == []


def test_tasks_of_older_releases_and_changed_documentation_are_read_as_they_are() -> None:
    module = "oauth_taskflow.taskflow.dags.operators"
    task = {"task_type": "EndpointOperator", "_task_module": module, "task_id": "group.a"}
    (bare,) = find_endpoints({"dag": {"tasks": [{"__var": task}]}})
    assert (bare.name, bare.spec, bare.description, bare.asset) == ("group.a", "", "", None)
    (own,) = find_endpoints({"dag": {"tasks": [{**task, "doc_md": "only words"}]}})
    assert (own.spec, own.description) == ("only words", "")
    assert find_by_task([own], "group.a") is own
    assert find_by_task([own], "b") is None


def test_a_diff_has_no_head() -> None:
    assert diff_specs("a: 1\nb: 2\n", "a: 1\nb: 3\n") == [
        "@@ -1,2 +1,2 @@",
        " a: 1",
        "-b: 2",
        "+b: 3",
    ]
    assert diff_specs("a: 1\n", "a: 1\n") == []
