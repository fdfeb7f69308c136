"""The tasks that use a connection, as links, after Airflow's own command has serialised the DAG; and texts that look like markup."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from oauth_taskflow.errors import TokenEndpointUnavailable
from oauth_taskflow.testing import OAuthTestServer
from tests.browser import grants
from tests.browser.conftest import OpenPage
from tests.browser.server import ApiServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

DAG = """\
from airflow.sdk import dag
from oauth_taskflow import OAuthSession, oauth_task

@dag(schedule=None)
def pulls_of_crm():
    @oauth_task(conn_id="used_in_dags")
    def contacts(session: OAuthSession) -> int:
        return session.get("/countries").status_code

    @oauth_task(conn_id={"left": "used_in_dags", "right": "named_only_by_a_dag"})
    def deals(left: OAuthSession, right: OAuthSession) -> int:
        return left.get("/countries").status_code

    contacts()
    deals()

pulls_of_crm()
"""


def open_list(page: Page, airflow: ApiServer, conn_id: str) -> None:
    page.goto(f"{airflow.url}/plugin/oauth?q={conn_id}")
    page.locator(f"[data-connection={conn_id}]").wait_for()


def test_the_tasks_that_use_a_connection_are_links_and_a_missing_connection_is_named(
    airflow: ApiServer, authorization_server: OAuthTestServer, open_page: OpenPage
) -> None:
    (airflow.deployment.home / "dags" / "pulls_of_crm.py").write_text(DAG)
    airflow.deployment.command("dags", "reserialize")
    airflow.add_connection("used_in_dags", authorization_server.connection())
    page = open_page()
    open_list(page, airflow, "named_only_by_a_dag")  # the DAGs are searched again every ten seconds
    assert "Missing" in page.locator("[data-connection=named_only_by_a_dag]").inner_text()
    open_list(page, airflow, "used_in_dags")
    row = page.locator("[data-connection=used_in_dags]")
    row.get_by_text("1 DAG").wait_for()
    row.get_by_role("button", name="used_in_dags").click()
    details = page.locator("#details-used_in_dags")
    assert details.get_by_role("link", name="deals").count() == 1
    details.get_by_role("link", name="contacts").click()
    page.wait_for_url(f"{airflow.url}/dags/pulls_of_crm/tasks/contacts")


def test_names_and_errors_that_look_like_markup_stay_text(
    airflow: ApiServer, open_page: OpenPage
) -> None:
    markup = "<img src=x onerror=\"document.title='run'\">"
    now = time.time()
    store = grants.open_store(airflow.deployment)
    error = TokenEndpointUnavailable(markup, where=f"at {markup}", hint=markup)
    key = grants.put(store, "markup", consented_by=markup, last_failure=grants.failure(error, now))
    page = open_page()
    open_list(page, airflow, "markup")
    page.get_by_role("button", name="markup").click()
    assert page.locator("#details-markup").inner_text().count(markup) == 4
    page.goto(f"{airflow.url}/oauth/")
    assert markup in page.get_by_role("table").inner_text()
    assert page.title() == "OAuth connections - Airflow"
    assert page.locator("img[src=x]").count() == 0
    store.forget(key)
    store.close()
