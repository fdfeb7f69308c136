"""Actions whose row is not in the list any more when they end: the operator sees how they ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oauth_taskflow.testing import OAuthTestServer
from tests.browser.conftest import OpenPage
from tests.browser.server import ApiServer

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route


def start_refresh(page: Page, airflow: ApiServer, conn_id: str, query: str = "") -> Route:
    """Presses Refresh now in the list with ``query``; the request that is returned waits."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(f"**/{conn_id}/refresh", hold)
    page.goto(f"{airflow.url}/plugin/oauth?q={conn_id}{query}")
    page.get_by_role("button", name=conn_id).click()
    page.get_by_role("button", name="Refresh now").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Refresh").click()
    page.locator("[aria-busy=true]").wait_for()
    while not held:
        page.wait_for_timeout(10)
    return held[0]


def test_the_error_of_an_action_outlives_the_row_of_a_deleted_connection(
    airflow: ApiServer, authorization_server: OAuthTestServer, open_page: OpenPage
) -> None:
    airflow.add_connection("lost_deleted", authorization_server.connection())
    page = open_page()
    request = start_refresh(page, airflow, "lost_deleted")
    airflow.call("DELETE", "/api/v2/connections/lost_deleted", token=airflow.log_in("admin"))
    page.locator("[data-connection=lost_deleted]").wait_for(state="detached")
    request.continue_()
    error = page.get_by_role("alert").filter(has_text="Refresh now, lost_deleted")
    assert "There is no connection by the name" in error.inner_text()
    page.get_by_role("button", name="Dismiss the error of lost_deleted").click()
    error.wait_for(state="detached")
    assert page.evaluate("document.activeElement.textContent") == "OAuth connections"


def test_the_error_of_an_action_outlives_a_row_that_its_new_state_takes_out_of_the_filter(
    airflow: ApiServer, authorization_server: OAuthTestServer, open_page: OpenPage
) -> None:
    wrong = authorization_server.connection(password="wrong-secret-1")
    airflow.add_connection("lost_filtered", wrong)
    page = open_page()
    request = start_refresh(page, airflow, "lost_filtered", "&state=unused")
    request.continue_()
    page.locator("[data-connection=lost_filtered]").wait_for(state="detached")
    error = page.get_by_role("alert").filter(has_text="Refresh now, lost_filtered")
    assert "invalid_client" in error.inner_text()
    page.get_by_label("State").select_option("")  # the row comes back, with its error
    page.locator("#details-lost_filtered").get_by_role("alert").wait_for()
    assert error.count() == 0


def test_a_row_that_is_closed_while_its_action_runs_loses_neither_error_nor_state(
    airflow: ApiServer, authorization_server: OAuthTestServer, open_page: OpenPage
) -> None:
    airflow.add_connection("lost_closed", authorization_server.connection(password="wrong"))
    page = open_page()
    request = start_refresh(page, airflow, "lost_closed")
    row = page.get_by_role("button", name="lost_closed", exact=True)
    row.click()
    row.click()
    page.locator("#details-lost_closed [aria-busy=true]").wait_for()
    row.click()
    request.continue_()
    page.get_by_role("alert").filter(has_text="Refresh now, lost_closed").wait_for()
