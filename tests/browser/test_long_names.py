"""Names and titles of 200 characters, as many as Airflow takes, from the left and from the right: nothing leaves the window."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from oauth_taskflow.errors import TokenEndpointUnavailable
from oauth_taskflow.testing import OAuthTestServer
from tests.browser import grants
from tests.browser.conftest import OpenPage
from tests.browser.server import ApiServer, Deployment
from tests.support.lanes import gate_and_full

if TYPE_CHECKING:
    from playwright.sync_api import Page

# The elements to the right of the window, by their text.
OUTSIDE = """() => [...document.querySelectorAll("main *, [role=alertdialog] *")]
  .filter((each) => each.checkVisibility() && each.getBoundingClientRect().right > innerWidth + 1)
  .map((each) => each.tagName + " " + each.textContent.slice(0, 30))"""
LONG = {"latin": "x" * 200, "hebrew": "שלום" * 50, "dashes": "ab-" * 66}


@pytest.mark.parametrize("name", gate_and_full(["hebrew"], ["latin", "dashes"]))
def test_a_long_name_leaves_nothing_outside_the_window(
    airflow: ApiServer,
    deployment: Deployment,
    open_page: OpenPage,
    authorization_server: OAuthTestServer,
    name: str,
) -> None:
    conn_id = LONG[name]
    usual = authorization_server.connection_to_authorize()
    extra = {**usual["extra"], "provider": conn_id}  # what stands for the title of a preset
    airflow.add_connection(conn_id, {**usual, "extra": extra})
    error = TokenEndpointUnavailable(conn_id, where=f"at {conn_id}", hint=conn_id)
    store = grants.open_store(deployment)
    grants.put(store, conn_id, last_failure=grants.failure(error, time.time()))
    store.close()
    page: Page = open_page()
    page.goto(f"{airflow.url}/plugin/oauth?q={conn_id}")
    page.get_by_role("row").get_by_role("button", name=conn_id, exact=True).click()
    page.get_by_role("note").get_by_text(conn_id).first.wait_for()
    assert page.evaluate(OUTSIDE) == []
    page.get_by_role("button", name="Forget", exact=True).click()
    page.get_by_role("alertdialog").get_by_role("button", name="Cancel").wait_for()
    assert page.evaluate(OUTSIDE) == []
    page.get_by_role("alertdialog").get_by_role("button", name="Forget").click()
    page.locator("main").get_by_text("1 stored grant of connection").first.wait_for()
    assert page.evaluate(OUTSIDE) == []
    for place in ("connect", "edit"):  # of the plain page
        page.goto(f"{airflow.url}/oauth/{place}/{quote(conn_id, safe='')}")
        page.get_by_role("heading", level=1).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
