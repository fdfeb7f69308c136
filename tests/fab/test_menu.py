"""The entry of the page in Airflow's menu, for each role of the FAB auth manager, in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.server import ApiServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.airflow, pytest.mark.full]
# ``open_as("Op")``: a page of a user of that role.
OpenAs = Callable[[str], "Page"]


@pytest.fixture
def open_as(airflow: ApiServer, chromium: Browser) -> Iterator[OpenAs]:
    """See ``OpenAs``."""
    contexts = []

    def open_as(role: str) -> Page:
        context = chromium.new_context(base_url=airflow.origin)
        contexts.append(context)
        context.set_default_timeout(60_000)
        token = airflow.log_in(role.lower())
        cookie = {"name": "_token", "value": token, "url": f"{airflow.url}/"}
        context.add_cookies([{**cookie, "httpOnly": True, "sameSite": "Lax"}])  # type: ignore[typeddict-item]
        return context.new_page()

    yield open_as
    for context in contexts:
        context.close()


@pytest.mark.parametrize("role", ["Admin", "Op", "Watcher"])
def test_the_menu_leads_to_the_page(open_as: OpenAs, role: str) -> None:
    page = open_as(role)
    page.goto("/")
    page.get_by_role("button", name="Admin").click()
    page.get_by_role("menuitem", name="OAuth").click()
    page.get_by_role("table", name="OAuth connections").wait_for()
    page.locator("[data-connection=crm]").wait_for()


@pytest.mark.parametrize("role", ["User", "Viewer", "Reader"])
def test_the_menu_of_others_has_no_such_entry(open_as: OpenAs, role: str) -> None:
    page = open_as(role)
    with (
        page.expect_response("**/ui/auth/menus"),
        page.expect_response("**/api/v2/plugins*") as asked,
    ):
        page.goto("/")
    assert asked.value.status == 403
    page.get_by_role("button", name="Docs").wait_for()
    menu = page.get_by_role("button", name="Admin")
    if menu.count():
        menu.click()
        page.get_by_role("menu").wait_for()
    assert page.get_by_role("menuitem", name="OAuth").count() == 0


def test_a_role_that_only_reads_connections_has_the_plain_page(open_as: OpenAs) -> None:
    page = open_as("Reader")
    page.goto("/oauth/")
    page.get_by_role("table").get_by_text("crm").wait_for()


def test_a_role_that_reads_plugins_too_has_the_page(open_as: OpenAs) -> None:
    page = open_as("Watcher")
    page.goto("/plugin/oauth")
    page.locator("[data-connection=crm]").wait_for()


@pytest.mark.parametrize(
    ("role", "text"),
    [("Author", "contacts"), ("Watcher", "No task names it in a DAG that you may see.")],
)
def test_an_opened_row_links_to_dags_that_the_user_may_read(
    open_as: OpenAs, role: str, text: str
) -> None:
    page = open_as(role)
    page.goto("/plugin/oauth?q=crm")
    page.get_by_role("button", name="crm", exact=True).click()
    details = page.locator("#details-crm")
    details.get_by_text(text, exact=True).wait_for()
    assert details.get_by_role("link", name="pulls").count() == (role == "Author")


def test_the_tab_of_a_dag_is_for_roles_that_read_dags_and_plugins(open_as: OpenAs) -> None:
    page = open_as("Analyst")
    page.goto("/dags/pulls")
    page.get_by_role("link", name="Endpoints", exact=True).click()
    page.get_by_role("table", name="Endpoints").get_by_text("contacts").wait_for()
    page = open_as("Viewer")
    with page.expect_response("**/api/v2/plugins*"):
        page.goto("/dags/pulls")
    page.get_by_role("link", name="Runs", exact=True).wait_for()
    assert page.get_by_role("link", name="Endpoints").count() == 0


def test_without_the_permission_to_read_plugins_airflow_does_not_know_the_page(
    open_as: OpenAs,
) -> None:
    page = open_as("Reader")
    page.goto("/plugin/oauth")
    page.get_by_role("heading", name="404").wait_for()
