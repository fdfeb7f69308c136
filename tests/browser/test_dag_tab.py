"""The tabs with endpoints on DAG, task and task instance, over runs of a real DAG in the database of the API server."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.api.scripted import Asked, Reply, scripted
from tests.browser.colours import PLAIN_BUTTONS, head_of_airflow, read_colours
from tests.browser.conftest import OpenPage, TakePicture
from tests.browser.server import ApiServer

SECRET = "a-key-that-no-page-shows"
SPEC = """\
version: 1
dag_id: tab
start_date: 2026-01-01
connection: tab
default_args: {{retries: 0}}
defaults: {{records: data, destination: {{path: "lake/{{{{ endpoint }}}}"}}}}
endpoints:
  contacts:
    description: People and companies.
    request: {{path: /contacts, params: {{limit: {limit}}}}}
    primary_key: id
    incremental: {{field: at, start: 2026-01-01, without_interval: start}}
  notes:
    for_each: {{contact: {{endpoint: contacts, batch: 2}}}}
    request: {{path: "/notes/{{{{ contact.id }}}}"}}
"""
# Two runs, each of another version of the DAG; and a DAG without tasks of this package.
RUNS = """\
import sys
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from oauth_taskflow import build_dag
from tests.taskflow.dags.dag_runs import run_once
for path in sys.argv[1:]:
    run = run_once(build_dag(path))
    print("run:", run.run_id, run.state)
with DAG("tab_other", schedule=None) as dag:
    EmptyOperator(task_id="a")
dag.fileloc = sys.argv[1]
print("run:", "other", run_once(dag).state)
"""


WATERMARK = "2026-02-03T00:00:00Z"


class Api:
    """Four contacts, of which one comes twice, and a sign of more; each run's first request is answered with 429 and a wait of a second."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __call__(self, asked: Asked) -> Any:
        if asked.path == "/contacts" and asked.query["limit"] not in self.asked:
            self.asked.add(asked.query["limit"])
            return Reply({}, 429, {"Retry-After": "1"})
        if asked.path == "/contacts":
            rows = [{"id": number % 3, "at": WATERMARK} for number in range(4)]
            return {"data": rows, "has_more": True}
        return {"data": [{"id": asked.path}, {"id": asked.path}]}


@pytest.fixture(scope="module")
def run_ids(airflow: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The ids of two runs; the spec changed between them."""
    folder = tmp_path_factory.mktemp("tab")
    paths = [folder / f"{limit}.yaml" for limit in (100, 50)]
    for path in paths:
        path.write_text(SPEC.format(limit=path.stem))
    with scripted(Api()) as server:
        extra = {"auth_type": "api_key", "api_key_name": "X-Key"}
        given = {"conn_type": "oauth2", "host": server.url, "password": SECRET, "extra": extra}
        airflow.add_connection("tab", given)
        said = airflow.deployment.run(RUNS, *map(str, paths))
    runs = [line.split()[1:] for line in said.splitlines() if line.startswith("run: ")]
    assert [state for _, state in runs] == ["success"] * 3
    return [runs[0][0], runs[1][0]]


@pytest.fixture(scope="module")
def run_id(run_ids: list[str]) -> str:
    """The id of the second run."""
    return run_ids[1]


def find_link(page: Any, name: str) -> Any:
    """A link of the tab; Airflow's own panel next to it has others of the same name."""
    table = page.get_by_role("table", name="Endpoints")
    return table.get_by_role("link", name=name, exact=True)


def cell(page: Any, row: str, column: str) -> str:
    """The text of a cell, by the name of its row and column."""
    table = page.get_by_role("table", name="Endpoints")
    names = [head.inner_text() for head in table.get_by_role("columnheader").all()]
    cells = table.get_by_role("row", name=row).locator("th, td").all()
    return str(cells[names.index(column)].inner_text())


def test_the_dag_shows_its_endpoints_with_figures_yaml_and_changes(
    airflow: ApiServer, open_page: OpenPage, take_picture: TakePicture, run_id: str
) -> None:
    page = open_page("viewer")
    texts: list[str] = []
    page.on("response", lambda got: texts.append(got.text()) if "/oauth/" in got.url else None)
    page.goto(f"{airflow.url}/dags/tab/plugin/oauth-endpoints")
    find_link(page, "contacts").wait_for()
    assert cell(page, "contacts", "State") == "success"
    assert cell(page, "contacts", "Rows") == "3"
    assert cell(page, "contacts", "Pages") == "1"
    assert re.fullmatch(r"\d+ B", cell(page, "contacts", "Bytes"))
    assert re.fullmatch(r"[\d.]+", cell(page, "contacts", "Seconds"))
    window = page.get_by_role("table", name="Endpoints").get_by_title("the beginning to 20")
    shown, heard = window.locator("> span").all()
    assert re.fullmatch(r"until 20\d\d-\d\d-\d\d \d\d:\d\d(:\d\d)?", shown.inner_text())
    assert shown.get_attribute("aria-hidden") == "true"
    assert heard.inner_text() == window.get_attribute("title")
    assert cell(page, "contacts", "Watermark") == WATERMARK
    assert re.fullmatch(r"[\d.]+ s HTTP 429", cell(page, "contacts", "Waits"))
    assert cell(page, "contacts", "Duplicates") == "1"
    assert cell(page, "contacts", "Warnings") == "1"
    assert cell(page, "contacts", "Destination") == "file"
    assert cell(page, "notes", "State") == "2 success"
    assert cell(page, "notes", "Rows") == "6"
    take_picture(page, "dag-tab")
    details = page.get_by_role("button", name="Details of contacts")
    details.focus()
    page.keyboard.press("Enter")
    assert details.get_attribute("aria-expanded") == "true"
    page.get_by_text("People and companies.").wait_for()
    find_link(page, run_id).wait_for()
    assert "limit: 50" in page.get_by_label("YAML of contacts").inner_text()
    changes = page.get_by_label("Changes from version 1 to 2").inner_text().splitlines()
    assert [line for line in changes if line[0] in "+-"] == ["-    limit: 100", "+    limit: 50"]
    assert texts
    assert not [text for text in texts if SECRET in text]


def test_a_task_shows_its_endpoint_and_the_run_its_instance(
    airflow: ApiServer, open_page: OpenPage, take_picture: TakePicture, run_ids: list[str]
) -> None:
    page, (first, run_id) = open_page("viewer"), run_ids
    page.goto(f"{airflow.url}/dags/tab/runs/{first}/tasks/contacts/plugin/oauth-endpoint-run")
    page.get_by_text("1 s HTTP 429").wait_for()
    page.goto(f"{airflow.url}/dags/tab/tasks/notes/plugin/oauth-endpoint")
    page.locator("dd").get_by_text("6", exact=True).wait_for()
    page.get_by_text("Nothing changed in this endpoint from version 1 to 2.").wait_for()
    page.goto(f"{airflow.url}/dags/tab/tasks/contacts/plugin/oauth-endpoint")
    page.get_by_label("Changes from version 1 to 2").scroll_into_view_if_needed()
    take_picture(page, "task-tab")
    page.goto(
        f"{airflow.url}/dags/tab/runs/{run_id}/tasks/notes/mapped/1/plugin/oauth-endpoint-run"
    )
    page.get_by_text("2", exact=True).first.wait_for()


def test_the_link_output_of_a_task_leads_to_its_figures(
    airflow: ApiServer, open_page: OpenPage, run_id: str
) -> None:
    page = open_page("viewer")
    page.goto(f"{airflow.url}/dags/tab/runs/{run_id}/tasks/contacts/details")
    page.get_by_role("link", name="Output").click()
    page.wait_for_url("**/tasks/contacts/plugin/oauth-endpoint-run")
    page.get_by_text("1 duplicates").wait_for()


def test_below_a_path_and_in_the_dark_the_tab_is_the_same(
    airflow_below: ApiServer, open_page: OpenPage, run_id: str
) -> None:
    page = open_page("viewer", server=airflow_below, dark=True)
    page.goto(f"{airflow_below.url}/dags/tab/plugin/oauth-endpoints")
    link = find_link(page, "contacts")
    link.wait_for()
    assert link.get_attribute("href") == "/tools/airflow/dags/tab/tasks/contacts"
    page.get_by_role("button", name="Details of notes").click()
    shown = find_link(page, run_id)
    shown.wait_for()
    assert shown.get_attribute("href") == f"/tools/airflow/dags/tab/runs/{encode(run_id)}"


_DAY, _HOUR = "2026-01-01T00:00:00Z", "2026-01-01T06:00:00+00:00"
_FULL = "2026-01-01T00:00:00Z to 2026-01-02T00:00:00+05:00"


@pytest.mark.parametrize(
    ("interval", "shown"),
    [
        ([_DAY, _HOUR], "2026-01-01 00:00 to 06:00"),
        ([_DAY, "2026-01-08T00:00:00Z"], "2026-01-01 to 2026-01-08"),
        (
            ["2025-12-31T22:30:00Z", "2026-01-01T00:00:00Z"],
            "2025-12-31 22:30 to 2026-01-01 00:00",
        ),
        ([_HOUR, "2026-01-01T06:00:07.25+00:00"], "2026-01-01 06:00:00 to 06:00:07"),
        (
            ["2026-01-01T00:00+05:30", "2026-01-02T00:00:00+05:30"],
            "2026-01-01 to 2026-01-02 +05:30",
        ),
        ([_DAY, "2026-01-02T00:00:00+05:00"], _FULL),
        (["", "2026-01-01T00:00:00Z"], "until 2026-01-01"),
        (["", _HOUR], "until 2026-01-01 06:00"),
        (["7", "1000"], "7 to 1000"),
        (["", "1000"], "the beginning to 1000"),
        (None, ""),
    ],
)
def test_a_window_is_shortened_without_a_loss(
    airflow: ApiServer, open_page: OpenPage, interval: list[str] | None, shown: str
) -> None:
    page = open_page("")
    page.goto(f"{airflow.url}/oauth/static/0/plain.css")
    read = "async (interval) => (await import('/oauth/static/0/endpoints.js')).shortSpan(interval)"
    assert page.evaluate(read, interval) == shown


@pytest.mark.parametrize("dark", [pytest.param(False, marks=pytest.mark.full), True])
def test_api_theme_colours_the_tab_as_it_does_airflows_own_elements(
    airflow_below: ApiServer, open_page: OpenPage, run_id: str, *, dark: bool
) -> None:
    page = open_page(server=airflow_below, dark=dark)
    page.goto(f"{airflow_below.url}/dags/tab/plugin/oauth-endpoints")
    find_link(page, "contacts").wait_for()
    own = page.locator(f"a[href='/tools/airflow/dags/tab/runs/{run_id}']").first
    assert read_colours(find_link(page, "contacts"))["text"] == read_colours(own)["text"]
    head = read_colours(page.get_by_role("columnheader", name="Destination"))
    opener = read_colours(page.get_by_role("button", name="Details of contacts"))
    page.goto(f"{airflow_below.url}/connections")
    assert read_colours(head_of_airflow(page)) == head
    assert read_colours(head_of_airflow(page).locator("button")) == opener
    assert opener["text"] == PLAIN_BUTTONS["200" if dark else "800"]["value"]


def encode(text: str) -> str:
    return text.replace(":", "%3A").replace("+", "%2B")


@pytest.mark.usefixtures("run_id")
def test_a_dag_or_task_of_others_says_that_it_has_no_endpoint(
    airflow: ApiServer, open_page: OpenPage
) -> None:
    page = open_page("viewer")
    page.goto(f"{airflow.url}/dags/tab_other/plugin/oauth-endpoints")
    page.get_by_text("This DAG has no endpoints of a spec.").wait_for()
    page.goto(f"{airflow.url}/dags/tab_other/tasks/a/plugin/oauth-endpoint")
    page.get_by_text("This task pulls no endpoint of a spec.").wait_for()
