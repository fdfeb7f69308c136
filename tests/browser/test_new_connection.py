"""New connection, provider first, in a real Chromium: from the choice to a task's session; and Airflow's own form."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow.testing import OAuthTestServer
from tests.browser.conftest import OpenPage, TakePicture
from tests.browser.server import ApiServer, Deployment

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

SECRET = "s3cret-of-the-client"
PULL = """
import sys
from oauth_taskflow import OAuth2Hook
with OAuth2Hook(http_conn_id=sys.argv[1]).get_conn() as session:
    print(len(session.get(sys.argv[2]).json()["data"]))
"""


def read_row(deployment: Deployment, conn_id: str) -> dict[str, Any]:
    """The stored connection, decrypted."""
    environment = deployment.environment
    fernet = Fernet(environment["AIRFLOW__CORE__FERNET_KEY"])
    columns = "conn_type, host, login, password, extra"
    with closing(sqlite3.connect(deployment.home / "airflow.db")) as database:
        query = f"SELECT {columns} FROM connection WHERE conn_id = ? AND is_extra_encrypted"
        (row,) = database.execute(query, (conn_id,)).fetchall()
    stored = dict(zip(columns.split(", "), row, strict=True))
    opened = {name: fernet.decrypt(stored[name]).decode() for name in ("password", "extra")}
    return {**stored, **opened, "extra": json.loads(opened["extra"])}


def record_traffic(page: Page) -> list[str]:
    """The bodies of every answer that the page gets from now on."""
    bodies: list[str] = []

    def keep(response: Any) -> None:
        if "/oauth/api/" in response.url:
            bodies.append(response.text())

    page.on("response", keep)
    return bodies


def open_new(airflow: ApiServer, page: Page, provider: str) -> None:
    """Opens the form of a provider by its title, as a person would."""
    page.goto(f"{airflow.url}/plugin/oauth")
    page.get_by_role("link", name="New connection").click()
    page.get_by_role("searchbox", name="Provider").fill(provider)
    page.get_by_role("list", name="Providers").get_by_role(
        "link", name=provider, exact=True
    ).click()
    page.get_by_role("heading", name=provider, exact=True).wait_for()


def field(page: Page, name: str) -> Locator:
    return page.locator(f'[data-key="{name}"]')


def save(page: Page) -> None:
    page.get_by_role("button", name="Save connection").click()


def test_a_connection_from_a_preset_works_in_a_session(
    airflow: ApiServer,
    open_page: OpenPage,
    deployment: Deployment,
    authorization_server: OAuthTestServer,
    take_picture: TakePicture,
) -> None:
    page = open_page()
    bodies = record_traffic(page)
    open_new(airflow, page, "Zendesk")
    field(page, "conn_id").get_by_role("textbox").fill("loopback")
    page.get_by_label("The application itself").check()
    field(page, "subdomain").get_by_role("textbox").fill("north")
    field(page, "login").get_by_role("textbox").fill(authorization_server.client_id)
    field(page, "password").locator("input").fill(authorization_server.client_secret)
    page.get_by_role("heading", name="New connection").scroll_into_view_if_needed()
    take_picture(page, "new-connection-form")
    place = authorization_server.base_url
    add_key(page, "token_url")
    field(page, "token_url").get_by_role("textbox").fill(authorization_server.token_url)
    field(page, "host").get_by_role("textbox").fill(place)
    save(page)
    page.get_by_role("heading", name="loopback is saved").wait_for()
    take_picture(page, "new-connection-saved")
    assert 'conn_id="loopback"' in page.locator('[data-copied="DAG file"]').inner_text()
    assert 'connection: "loopback"' in page.locator('[data-copied="spec"]').inner_text()
    assert read_row(deployment, "loopback") == {
        "conn_type": "oauth2",
        "host": place,
        "login": authorization_server.client_id,
        "password": authorization_server.client_secret,
        "extra": {
            "provider": "zendesk",
            "subdomain": "north",
            "token_url": authorization_server.token_url,
        },
    }
    page.get_by_role("button", name="Test").click()
    dialog = page.get_by_role("alertdialog")
    dialog.get_by_text("The credentials of the client are sent to ").wait_for()
    dialog.get_by_role("button", name="Test").click()
    page.get_by_role("status").get_by_text("Token received").wait_for()
    assert int(deployment.run(PULL, "loopback", "/page/airports").split()[-1]) > 0
    assert authorization_server.client_secret not in "".join(bodies)


def test_a_person_connects_the_new_connection_at_once(
    airflow: ApiServer,
    open_page: OpenPage,
    deployment: Deployment,
    authorization_server: OAuthTestServer,
) -> None:
    page = open_page()
    open_new(airflow, page, "Another provider")
    place = authorization_server.base_url
    typed = {
        "conn_id": "connected-at-once",
        "token_url": authorization_server.token_url,
        "authorize_url": f"{place}/oauth/authorize",
        "host": place,
        "login": authorization_server.client_id,
    }
    for name, value in typed.items():
        field(page, name).get_by_role("textbox").fill(value)
    field(page, "password").locator("input").fill(authorization_server.client_secret)
    save(page)
    page.get_by_role("heading", name="connected-at-once is saved").wait_for()
    page.get_by_role("link", name="Connect", exact=True).click()
    page.get_by_role("button", name="Connect in this tab").click()
    page.get_by_role("heading", name="connected-at-once is connected").wait_for()
    assert int(deployment.run(PULL, "connected-at-once", "/page/airports").split()[-1]) > 0


@pytest.mark.parametrize("path", ["new/nobody", "new/%25E0", "edit/nobody", "edit/%25E0%2F.."])
def test_an_address_that_leads_nowhere_is_a_clear_error(
    airflow: ApiServer, open_page: OpenPage, path: str
) -> None:
    page = open_page()
    page.goto(f"{airflow.url}/plugin/oauth/{path}")
    page.get_by_role("alert").first.wait_for()


def add_key(page: Page, name: str) -> None:
    page.get_by_label("Another key").select_option(name)


def test_it_can_be_done_with_the_keyboard_alone(
    airflow: ApiServer, open_page: OpenPage, deployment: Deployment
) -> None:
    page = open_page()
    page.goto(f"{airflow.url}/plugin/oauth/new")
    page.get_by_role("searchbox", name="Provider").wait_for()
    keys = page.keyboard
    keys.type("zende")
    page.get_by_text("2 providers", exact=True).wait_for()
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    keys.press("Enter")
    page.get_by_role("heading", name="Zendesk Sell").wait_for()
    page.go_back()
    page.get_by_role("searchbox", name="Provider").wait_for()
    keys.type("twilio")
    page.get_by_text("2 providers", exact=True).wait_for()
    keys.press("Enter")
    page.get_by_role("heading", name=re.compile("Twilio")).wait_for()
    tab_to(page, "conn_id")
    keys.type("by-keyboard")
    tab_to(page, "login")
    keys.type("SK123")
    tab_to(page, "password")
    keys.type(SECRET)
    keys.press("Enter")
    page.get_by_role("heading", name="by-keyboard is saved").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "by-keyboard is saved"
    assert read_row(deployment, "by-keyboard")["password"] == SECRET


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until the field of a key has the focus."""
    for _ in range(60):
        if page.evaluate("document.activeElement.name") == name:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {name}")


def test_what_is_wrong_stands_at_its_field_and_is_announced(
    airflow: ApiServer, open_page: OpenPage
) -> None:
    page = open_page()
    open_new(airflow, page, "Zendesk")
    field(page, "conn_id").get_by_role("textbox").fill("a b")
    field(page, "subdomain").get_by_role("textbox").fill("acme/evil")
    field(page, "login").get_by_role("textbox").fill("me")
    save(page)
    problem = field(page, "conn_id").get_by_role("alert")
    problem.wait_for()
    assert "without blanks" in problem.inner_text()
    field(page, "conn_id").get_by_role("textbox").fill("wrong-ones")
    save(page)
    field(page, "subdomain").get_by_role("alert").wait_for()
    box = field(page, "subdomain").get_by_role("textbox")
    assert box.get_attribute("aria-invalid") == "true"
    # Nothing that was typed is lost.
    assert field(page, "login").get_by_role("textbox").input_value() == "me"


def test_a_name_that_is_taken_is_said_at_its_field(airflow: ApiServer, open_page: OpenPage) -> None:
    airflow.add_connection("taken", {"conn_type": "oauth2", "extra": {"auth_type": "none"}})
    page = open_page()
    open_new(airflow, page, "Trello")
    field(page, "conn_id").get_by_role("textbox").fill("taken")
    field(page, "login").get_by_role("textbox").fill("key")
    field(page, "password").locator("input").fill(SECRET)
    save(page)
    assert "exists already" in field(page, "conn_id").get_by_role("alert").inner_text()


def test_the_redirect_uri_and_the_scopes_are_shown_before_anything_is_saved(
    airflow: ApiServer, airflow_below: ApiServer, open_page: OpenPage
) -> None:
    for server in (airflow, airflow_below):
        page = open_page(server=server)
        open_new(server, page, "Google Ads")
        uri = page.locator('[data-copied="redirect URI"]')
        assert uri.inner_text() == f"{server.url}/oauth/callback"
        assert page.get_by_text("https://www.googleapis.com/auth/adwords").count() >= 1
        page.get_by_label("A private key signs for an account").check()
        assert uri.count() == 0


def test_an_edit_never_shows_a_secret_and_asks_for_it_when_the_address_changes(
    airflow: ApiServer,
    open_page: OpenPage,
    deployment: Deployment,
    take_picture: TakePicture,
) -> None:
    stored = {
        "provider": "zendesk",
        "subdomain": "acme",
        "scope": "read",
        "api_headers": {"X-Key": SECRET},
    }
    airflow.add_connection(
        "edited", {"conn_type": "oauth2", "login": "me", "password": SECRET, "extra": stored}
    )
    page = open_page()
    bodies = record_traffic(page)
    page.goto(f"{airflow.url}/plugin/oauth?q=edited")
    page.get_by_role("button", name="edited").click()
    page.get_by_role("link", name="Edit").click()
    field(page, "password").get_by_text("stored, unchanged").wait_for()
    take_picture(page, "edit-connection")
    field(page, "scope").get_by_role("textbox").fill("read write")
    save(page)
    page.get_by_role("heading", name="edited is saved").wait_for()
    assert read_row(deployment, "edited")["extra"] == {**stored, "scope": "read write"}
    assert read_row(deployment, "edited")["password"] == SECRET
    page.get_by_role("link", name="Edit").click()
    field(page, "host").get_by_role("textbox").fill("https://evil.example")
    save(page)
    problem = field(page, "password").get_by_role("alert")
    problem.wait_for()
    assert "goes only where it went before" in problem.inner_text()
    page.get_by_role("button", name="Replace Client secret").click()
    field(page, "password").locator("input").fill("another-secret")
    page.get_by_role("button", name="Remove API headers").click()
    save(page)
    page.get_by_role("heading", name="edited is saved").wait_for()
    row = read_row(deployment, "edited")
    assert (row["host"], row["password"]) == ("https://evil.example", "another-secret")
    assert "api_headers" not in row["extra"]
    assert bodies
    assert SECRET not in "".join(bodies)


@pytest.mark.parametrize("user", ["viewer", "reader"])
def test_who_may_not_add_connections_is_told_so(
    airflow: ApiServer, open_page: OpenPage, user: str
) -> None:
    page = open_page(user)
    page.goto(f"{airflow.url}/plugin/oauth/new")
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert page.get_by_role("searchbox", name="Provider").count() == 0
    token = airflow.log_in(user)
    answer = page.request.post(
        f"{airflow.url}/oauth/api/connections",
        data={"conn_id": "refused", "provider": "trello"},
        headers={"Authorization": f"Bearer {token}", "Sec-Fetch-Site": "same-origin"},
    )
    assert answer.status == 403


def test_airflows_own_form_offers_providers_and_leaves_no_nulls(
    airflow: ApiServer,
    open_page: OpenPage,
    deployment: Deployment,
    take_picture: TakePicture,
) -> None:
    page = open_page()
    page.goto(f"{airflow.url}/connections")
    page.get_by_role("button", name="Add Connection").click()
    page.locator("input[name=connection_id]").fill("own-form")
    page.get_by_role("combobox").last.fill("OAuth 2.0")
    page.keyboard.press("Enter")
    page.locator("input[name=password]").fill(SECRET)
    page.locator("input[name=login]").fill("me")
    page.get_by_role("button", name="Provider").click()
    assert page.locator("[id^=element_]").count() <= 15
    page.locator("#element_provider input").first.fill("zendesk s")
    page.get_by_text("Zendesk Sell").wait_for()
    take_picture(page, "airflow-form")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="OAuth 2.0").click()
    page.locator("#element_scope").fill("read")
    page.locator("#element_scope").fill("")  # Airflow makes it null
    page.get_by_role("button", name="Save").click()
    page.get_by_text("own-form").first.wait_for()
    row = read_row(deployment, "own-form")
    assert row["extra"]["provider"] == "zendesk-sell"
    assert None not in row["extra"].values()
    assert "***" not in row["extra"].values()
    # An edit shows the fields that are stored: those that Airflow would show as *** are left out.
    page.reload()  # the toast of Airflow about the new connection lies over the buttons of the last row
    page.get_by_role("row").filter(has_text="own-form").get_by_role("button", name="Edit").click()
    page.get_by_role("button", name="Provider").click()
    page.get_by_text("Zendesk Sell").wait_for()
    assert page.locator("#element_scope").count() == 1
    assert page.locator("#element_audience").count() == 1
