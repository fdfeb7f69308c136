"""The list: states in words, search, filter, sort, details, live refresh, themes, and what a reader sees."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from oauth_taskflow.tokens.state.record import GrantState
from tests.browser import grants
from tests.browser.colours import BRAND, GRAY, head_of_airflow, read_colours
from tests.browser.conftest import OpenPage, TakePicture
from tests.browser.server import ApiServer

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

NEEDED = ("hubspot_eu", "salesforce", "sap", "xero", "slack", "billing", "erp", "legacy", "weather")


@pytest.fixture(scope="module")
def store(airflow: ApiServer, authorization_server: OAuthTestServer) -> Iterator[SqlTokenStore]:
    """Connections and grants in many states; the token store is open for more."""
    server = authorization_server
    asking = server.connection_to_authorize()
    connections = {
        "hubspot_eu": asking | {"extra": {"provider": "hubspot"}},
        "xero": asking | {"extra": {"provider": "xero"}},
        **dict.fromkeys(("salesforce", "sap", "slack"), asking),
    }
    for name, connection in connections.items():
        airflow.add_connection(name, connection)
    keys = {name: grants.find_key(name, connection) for name, connection in connections.items()}
    airflow.add_connection("billing", server.connection())
    airflow.add_connection(
        "weather",
        {
            "conn_type": "oauth2",
            "host": "https://api.example.com",
            "password": "key-1234567",
            "extra": {"auth_type": "api_key", "api_key_name": "X-Key"},
        },
    )
    store = grants.open_store(airflow.deployment)
    now = time.time()
    grants.put(store, "hubspot_eu", key=keys["hubspot_eu"])
    grants.put(store, "xero", key=keys["xero"], token=grants.ended_token(now))
    grants.put(
        store,
        "sap",
        key=keys["sap"],
        token=grants.ended_token(now),
        last_failure=grants.failure(grants.unavailable(), now),
    )
    grants.put(
        store,
        "slack",
        key=keys["slack"],
        token=grants.ended_token(now),
        last_failure=grants.failure(grants.unavailable(), now, now + 240.0),
    )
    grants.put(
        store,
        "salesforce",
        key=keys["salesforce"],
        state=GrantState.NEEDS_CONSENT,
        token=None,
        last_failure=grants.failure(grants.refused(), now),
    )
    grants.put(store, "legacy")
    yield store
    store.close()


def show(page: Page, airflow: ApiServer, query: str = "") -> None:
    page.goto(f"{airflow.url}/plugin/oauth{query}")
    page.get_by_role("table", name="OAuth connections").wait_for()


def row(page: Page, conn_id: str) -> Locator:
    return page.locator(f"[data-connection={conn_id}]")


def shown(page: Page) -> list[str]:
    names: list[str] = page.locator("[data-connection]").evaluate_all(
        "rows => rows.map(row => row.dataset.connection)"
    )
    return names


def wait_for_names(page: Page, *names: str) -> None:
    """Waits until the list shows exactly those, in that order."""
    wanted = json.dumps(names)
    page.wait_for_function(
        "() => JSON.stringify([...document.querySelectorAll('[data-connection]')].map(row => row.dataset.connection))"
        f" === JSON.stringify({wanted})"
    )


def test_the_list_names_every_state_in_words_the_worst_first(
    store: SqlTokenStore, airflow: ApiServer, open_page: OpenPage, take_picture: TakePicture
) -> None:
    page = open_page()
    show(page, airflow)
    said = {name: row(page, name).inner_text() for name in shown(page)}
    assert "Needs consent" in said["salesforce"]
    assert "Reconnect" in said["salesforce"]
    assert re.search(r"Refresh failing\s*since 1 hour ago", said["sap"])
    assert re.search(r"Cooling down\s*ends in [23] minutes", said["slack"])
    assert re.search(r"Idle\s*refreshes when next used", said["xero"])
    assert re.search(
        r"Healthy.*in 4[5-9] minutes.*1[0-4] minutes ago.*in 29 days", said["hubspot_eu"], re.DOTALL
    )
    assert "HubSpot" in said["hubspot_eu"]
    assert "Not used yet" in said["billing"]
    assert "Keeps no grant" in said["weather"]
    assert "Orphaned" in said["legacy"]
    names = shown(page)
    assert (
        names.index("salesforce")
        < names.index("sap")
        < names.index("slack")
        < names.index("hubspot_eu")
    )
    take_picture(page, "connections")


def test_times_are_right_although_the_clock_of_the_browser_is_not(
    store: SqlTokenStore, airflow: ApiServer, open_page: OpenPage
) -> None:
    page = open_page()
    page.clock.install(time="2020-01-01T00:00:00Z")
    show(page, airflow)
    assert re.search(
        r"in \d\d minutes.*in 29 days", row(page, "hubspot_eu").inner_text(), re.DOTALL
    )


def test_the_list_can_be_searched_filtered_and_sorted_and_the_address_keeps_the_choice(
    store: SqlTokenStore, airflow: ApiServer, open_page: OpenPage
) -> None:
    page = open_page()
    show(page, airflow)
    page.get_by_role("searchbox").press_sequentially("hubs")
    wait_for_names(page, "hubspot_eu")
    assert page.get_by_role("searchbox").input_value() == "hubs"
    page.get_by_role("searchbox").fill("")
    page.get_by_label("State", exact=True).select_option("idle")
    wait_for_names(page, "xero")
    assert "state=idle" in page.url
    page.get_by_label("State", exact=True).select_option("")
    header = page.get_by_role("columnheader", name="Connection")
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert shown(page) == sorted(shown(page))
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert shown(page) == sorted(shown(page), reverse=True)
    page.reload()
    row(page, "sap").wait_for()
    assert shown(page) == sorted(shown(page), reverse=True)


def test_a_row_opens_to_its_grant_its_error_and_what_to_do(
    store: SqlTokenStore, airflow: ApiServer, open_page: OpenPage, take_picture: TakePicture
) -> None:
    page = open_page()
    show(page, airflow)
    row(page, "salesforce").get_by_role("button", name="salesforce").click()
    details = page.locator("#details-salesforce")
    text = details.inner_text()
    assert "at https://id.example.com/token" in text
    assert "Authorize it again." in text
    assert "20 days ago by alice" in text
    take_picture(page, "connection-details")


def test_what_changes_in_the_store_is_shown_without_a_reload(
    store: SqlTokenStore, airflow: ApiServer, open_page: OpenPage
) -> None:
    page = open_page()
    show(page, airflow)
    assert "arrived_later" not in shown(page)
    grants.put(store, "arrived_later")
    row(page, "arrived_later").wait_for()
    key = grants.put(store, "arrived_later", state=GrantState.NEEDS_CONSENT)
    row(page, "arrived_later").get_by_text("Orphaned").wait_for()
    store.forget(key)
    row(page, "arrived_later").wait_for(state="detached")


def test_polling_gets_304_while_nothing_changes(airflow: ApiServer, open_page: OpenPage) -> None:
    page = open_page()
    answers: list[int] = []
    page.on(
        "response",
        lambda one: answers.append(one.status) if "/oauth/api/connections" in one.url else None,
    )
    show(page, airflow)
    with page.expect_response(
        lambda one: "/oauth/api/connections" in one.url and one.status == 304
    ):
        pass
    assert answers[0] == 200


def test_the_page_follows_the_theme_of_airflow(
    store: SqlTokenStore, airflow: ApiServer, open_page: OpenPage, take_picture: TakePicture
) -> None:
    colors = {}
    for dark in (False, True):
        page = open_page(dark=dark)
        show(page, airflow)
        colors[dark] = page.get_by_role("heading", name="OAuth connections").evaluate(
            "heading => getComputedStyle(heading).color"
        )
    take_picture(page, "connections-dark")
    assert colors[False] != colors[True]


@pytest.mark.parametrize("dark", [False, pytest.param(True, marks=pytest.mark.full)])
def test_api_theme_colours_the_page_as_it_does_airflows_own_elements(
    store: SqlTokenStore, airflow_below: ApiServer, open_page: OpenPage, *, dark: bool
) -> None:
    page = open_page(server=airflow_below, dark=dark)
    page.goto(f"{airflow_below.url}/connections")
    solid = read_colours(page.get_by_role("button", name="Add Connection"))
    sorting = read_colours(head_of_airflow(page).locator("button"))
    head = read_colours(head_of_airflow(page))
    title = read_colours(page.get_by_role("heading", name="Connections"))
    assert solid["back"] == BRAND["600"]["value"]
    assert head["border"] == GRAY["800" if dark else "200"]["value"]
    show(page, airflow_below)
    assert read_colours(page.get_by_role("link", name="New connection")) == solid
    header = page.get_by_role("columnheader", name="Connection")
    assert read_colours(header.get_by_role("button")) == sorting
    assert read_colours(header) == head
    assert read_colours(page.get_by_role("heading", name="OAuth connections")) == title


def test_a_reader_sees_the_list_and_no_action(
    store: SqlTokenStore, airflow: ApiServer, open_page: OpenPage
) -> None:
    page = open_page("reader")
    show(page, airflow)
    row(page, "salesforce").get_by_role("button", name="salesforce").click()
    page.locator("#details-salesforce").wait_for()
    assert page.get_by_role("group", name="Actions on salesforce").count() == 0
    assert page.get_by_text("Reconnect").count() == 0


def test_a_viewer_is_told_that_the_list_is_not_for_them(
    airflow: ApiServer, open_page: OpenPage
) -> None:
    page = open_page("viewer")
    page.goto(f"{airflow.url}/plugin/oauth")
    assert "Forbidden" in page.get_by_role("alert").inner_text()
    assert page.get_by_role("table").count() == 0


def test_the_plain_page_shows_the_same_without_a_script(
    store: SqlTokenStore, airflow: ApiServer, open_page: OpenPage
) -> None:
    page = open_page()
    page.goto(f"{airflow.url}/oauth/")
    text = page.get_by_role("table").inner_text()
    assert all(name in text for name in ("salesforce", "Refresh failing", "HubSpot"))


def test_without_the_globals_the_page_leads_to_the_plain_one(
    airflow: ApiServer, open_page: OpenPage
) -> None:
    page = open_page()
    page.add_init_script(
        "Object.defineProperty(globalThis, 'ChakraUI', {get: () => undefined, set: () => {}})"
    )
    page.goto(f"{airflow.url}/plugin/oauth")
    page.get_by_text(f"The plain page is at {airflow.url}/oauth/").wait_for()


def test_no_answer_to_the_browser_holds_a_token_or_secret(
    store: SqlTokenStore,
    airflow: ApiServer,
    open_page: OpenPage,
    authorization_server: OAuthTestServer,
) -> None:
    page = open_page()
    bodies: list[str] = []
    page.on(
        "response",
        lambda one: (
            bodies.append(one.text()) if "/oauth/" in one.url and one.status == 200 else None
        ),
    )
    show(page, airflow)
    row(page, "hubspot_eu").get_by_role("button", name="hubspot_eu").click()
    text = json.dumps(bodies) + page.content()
    assert len(bodies) > 3
    secrets = {grants.SECRET, authorization_server.client_secret, "key-1234567"}
    assert [
        one for one in secrets | set(authorization_server.state.list_issued()) if one in text
    ] == []
