"""The list with 500 connections and 2,000 grants: it shows fifty at once, finds all of them, and is walked by keyboard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from oauth_taskflow.testing import OAuthTestServer
from tests.browser import grants
from tests.browser.conftest import OpenPage
from tests.browser.server import ApiServer

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route


@pytest.fixture
def page(airflow: ApiServer, open_page: OpenPage, authorization_server: OAuthTestServer) -> Page:
    """The page, whose API answers with the row of one real connection five hundred times."""
    airflow.add_connection("many", authorization_server.connection_to_authorize())
    store = grants.open_store(airflow.deployment)
    keys = [grants.put(store, "many", number) for number in range(4)]
    listing = airflow.call("GET", "/oauth/api/connections", token=airflow.log_in("admin"))
    (row,) = [one for one in listing["connections"] if one["conn_id"] == "many"]
    assert len(row["grants"]) == 4
    rows = [{**row, "conn_id": f"crm_{number:03}"} for number in range(500)]
    body = json.dumps({**listing, "connections": rows})

    def answer(route: Route) -> None:
        route.fulfill(body=body, content_type="application/json", headers={"ETag": "x"})

    page: Page = open_page()
    page.route("**/oauth/api/connections", answer)
    page.goto(f"{airflow.url}/plugin/oauth")
    page.locator("[data-connection=crm_000]").wait_for()
    for key in keys:
        store.forget(key)
    store.close()
    return page


def count(page: Page) -> int:
    return page.locator("[data-connection]").count()


def test_five_hundred_connections_are_shown_by_fifties_and_found_at_once(page: Page) -> None:
    assert count(page) == 50
    page.get_by_text("500 of 500 connections", exact=True).wait_for()
    page.get_by_role("searchbox").fill("crm_49")
    # Exact: the live region says it too.
    page.get_by_text("10 of 500 connections", exact=True).wait_for()
    assert count(page) == 10
    page.get_by_role("searchbox").fill("")
    page.get_by_role("columnheader", name="Connection").get_by_role("button").click()
    page.get_by_role("columnheader", name="Connection").get_by_role("button").click()
    page.locator("[data-connection=crm_499]").wait_for()
    assert count(page) == 50


def test_by_keyboard_the_next_fifty_are_asked_for_and_walked_on(page: Page) -> None:
    page.get_by_role("button", name="Show 50 more of 450").focus()
    page.keyboard.press("Enter")
    row = page.locator("[data-connection=crm_050] button")
    row.wait_for()
    page.wait_for_function("() => document.activeElement.closest('[data-connection=crm_050]')")
    assert count(page) == 100
    page.keyboard.press("Enter")
    assert row.get_attribute("aria-expanded") == "true"
    page.locator("#details-crm_050").wait_for()
    assert page.locator("#details-crm_050").get_by_text("Token ends").count() == 4
