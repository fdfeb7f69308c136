"""Names that users choose and that JavaScript, addresses or screens treat in their own way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oauth_taskflow.testing import OAuthTestServer
from tests.browser import grants
from tests.browser.conftest import OpenPage
from tests.browser.server import ApiServer, Deployment
from tests.support.lanes import gate_and_full

if TYPE_CHECKING:
    from playwright.sync_api import Page


def open_list(page: Page, airflow: ApiServer, conn_id: str, rest: str = "") -> None:
    page.goto(f"{airflow.url}/plugin/oauth{rest}?q={conn_id}")
    page.locator(f"[data-connection='{conn_id}']").wait_for()


def test_names_that_every_object_of_javascript_has_are_names(
    airflow: ApiServer, open_page: OpenPage, authorization_server: OAuthTestServer
) -> None:
    page = open_page()
    failures: list[object] = []

    def note(failure: object) -> None:
        failures.append(failure)

    page.on("pageerror", note)
    odd = {"conn_type": "oauth2", "extra": {"auth_type": "constructor"}}
    airflow.add_connection("constructor", odd)
    open_list(page, airflow, "constructor", "/constructor")
    row = page.locator("[data-connection=constructor]")
    assert row.get_by_role("button").first.get_attribute("aria-expanded") == "false"
    assert row.get_by_role("cell").first.inner_text() == "constructor"
    page.get_by_role("button", name="Provider").click()
    page.locator("[aria-sort=ascending]").get_by_text("Provider").wait_for()
    row.wait_for()

    usual = authorization_server.connection_to_authorize()
    extra = {**usual["extra"], "toString": "a key of nothing"}
    airflow.add_connection("valueOf", {**usual, "extra": extra})
    page.goto(f"{airflow.url}/plugin/oauth/edit/valueOf")
    page.get_by_role("button", name="Replace toString").wait_for()
    assert failures == []


@pytest.mark.parametrize("conn_id", [".", ".."])
def test_an_id_that_no_address_can_hold_says_what_to_do(
    airflow: ApiServer, deployment: Deployment, open_page: OpenPage, conn_id: str
) -> None:
    store = grants.open_store(deployment)
    key = grants.put(store, conn_id)
    page = open_page()
    page.goto(f"{airflow.url}/plugin/oauth?state=orphaned")
    row = page.get_by_role("row").filter(has=page.get_by_text(conn_id, exact=True))
    row.get_by_role("button").first.click()
    page.get_by_role("note").get_by_text("Give the connection another name").wait_for()
    assert page.get_by_role("group", name="Actions on").count() == 0
    store.forget(key)
    store.close()


@pytest.mark.parametrize(
    "conn_id",
    gate_and_full(["a/../b", "#a?b&c", "שלום"], ["a/b//c", "a'b\\c", "x" * 250]),
)
def test_an_id_of_any_signs_can_be_opened_and_forgotten(
    airflow: ApiServer, deployment: Deployment, open_page: OpenPage, conn_id: str
) -> None:
    grants.put(grants.open_store(deployment), conn_id)
    page = open_page()
    page.goto(f"{airflow.url}/plugin/oauth?state=orphaned")
    row = page.get_by_role("row").filter(has=page.get_by_text(conn_id, exact=True))
    row.get_by_role("button").first.click()
    page.get_by_role("button", name="Forget", exact=True).click()
    page.get_by_role("alertdialog").get_by_role("button", name="Forget").click()
    page.get_by_text("1 stored grant of connection").first.wait_for()
    row.wait_for(state="detached")
