"""New and Edit on the plain page, in Chromium with JavaScript switched off, below a path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.browser.conftest import OpenPage
from tests.browser.server import ApiServer
from tests.browser.test_new_connection import read_row

if TYPE_CHECKING:
    from playwright.sync_api import Page

SECRET = "a-secret-that-no-page-shows"


def fill(page: Page, **texts: str) -> None:
    for label, text in texts.items():
        page.get_by_label(label.replace("_", " ")).fill(text)


def test_without_javascript_a_connection_is_added_and_edited(
    airflow_below: ApiServer, open_page: OpenPage
) -> None:
    page: Page = open_page(server=airflow_below, scripts=False)
    page.goto(f"{airflow_below.url}/oauth/")
    page.get_by_role("link", name="New connection").click()
    page.get_by_role("searchbox").fill("zendesk")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Zendesk", exact=True).click()
    fill(page, Connection_ID="plain crm", Subdomain="acme", Client_ID="client")
    page.get_by_label("Client secret").fill(SECRET)
    page.get_by_role("button", name="Save connection").click()
    alert = page.get_by_role("alert").first.inner_text()
    assert "This cannot be the name of a connection" in alert
    assert SECRET not in page.content()
    fill(page, Connection_ID="plain_crm")
    page.get_by_label("Client secret").fill(SECRET)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="plain_crm is saved").wait_for()
    assert page.url == f"{airflow_below.url}/oauth/saved/plain_crm"
    page.get_by_role("link", name="Edit").click()
    assert SECRET not in page.content()
    fill(page, Description="of the sales team")
    page.get_by_role("button", name="Save connection").click()
    page.get_by_role("heading", name="plain_crm is saved").wait_for()
    row = read_row(airflow_below.deployment, "plain_crm")
    assert (row["login"], row["password"]) == ("client", SECRET)
    assert (row["extra"]["provider"], row["extra"]["subdomain"]) == ("zendesk", "acme")
    page.get_by_role("link", name="All connections").click()
    assert page.get_by_role("link", name="Edit plain_crm").count() == 1


def test_a_form_of_another_site_changes_nothing(airflow: ApiServer, open_page: OpenPage) -> None:
    page = open_page()
    # A page without an address is of another origin.
    page.set_content(
        f'<form method="post" action="{airflow.url}/oauth/new/zendesk">'
        '<input name="conn_id" value="evil"><button>Win</button></form>'
    )
    with page.expect_response("**/oauth/new/zendesk") as answered:
        page.get_by_role("button", name="Win").click()
    assert answered.value.status in {401, 403}
