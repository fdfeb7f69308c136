"""The output for a screen reader: names, roles, sort state, announcements, and a focus that is never lost.

Chromium's accessibility tree is the one that it gives to screen readers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from oauth_taskflow.testing import OAuthTestServer
from tests.browser import grants
from tests.browser.conftest import OpenPage
from tests.browser.server import ApiServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

CONN = "heard"
# Roles that Chromium gives to what cannot be operated although it takes the focus: scrolling text, headings and errors.
PASSIVE = {"heading", "alert", "note", "generic", "paragraph", "Pre"}


def read_tree(page: Page, part: str) -> list[dict[str, Any]]:
    """The nodes of the accessibility tree below the element that the selector ``part`` finds."""
    browser = page.context.new_cdp_session(page)
    found = browser.send(
        "Runtime.evaluate",
        {"expression": f"document.querySelector({part!r})", "returnByValue": False},
    )
    tree = browser.send("Accessibility.queryAXTree", {"objectId": found["result"]["objectId"]})
    nodes = [describe(node) for node in tree["nodes"] if not node["ignored"]]
    browser.detach()
    return nodes


def describe(node: dict[str, Any]) -> dict[str, Any]:
    facts = {one["name"]: one["value"].get("value") for one in node.get("properties", [])}
    said = {name: node.get(name, {}).get("value", "") for name in ("role", "name", "description")}
    return {**facts, **said}


def find_nameless(page: Page, part: str) -> list[dict[str, Any]]:
    """The elements that take the focus below ``part`` and has no name."""
    nodes = read_tree(page, part)
    controls = [one for one in nodes if one.get("focusable") and one["role"] not in PASSIVE]
    assert controls
    return [one for one in controls if not one["name"].strip()]


def focused(page: Page) -> str:
    text: str = page.evaluate("() => document.activeElement.innerText ?? ''")
    return text


@pytest.fixture
def server(airflow: ApiServer, authorization_server: OAuthTestServer) -> OAuthTestServer:
    """The authorization server, with a connection that a person authorizes."""
    asked = authorization_server.connection_to_authorize()
    device = f"{authorization_server.base_url}/oauth/device"
    asked["extra"] = {**asked["extra"], "device_url": device}
    airflow.add_connection(CONN, asked)
    return authorization_server


def test_every_control_of_the_page_has_a_name(
    airflow: ApiServer, server: OAuthTestServer, open_page: OpenPage
) -> None:
    page = open_page()
    page.goto(f"{airflow.url}/plugin/oauth?q={CONN}")
    page.get_by_role("button", name=CONN).click()
    page.locator(f"#details-{CONN}").wait_for()
    assert find_nameless(page, "table") == []
    heads = [
        one for one in read_tree(page, "table") if one["role"] in {"columnheader", "rowheader"}
    ]
    assert len(heads) == 8
    assert CONN in [one["name"] for one in heads]
    page.goto(f"{airflow.url}/plugin/oauth/new/-")
    page.get_by_role("button", name="Save connection").wait_for()
    assert find_nameless(page, "form") == []
    page.get_by_role("button", name="Save connection").click()
    page.wait_for_function("() => document.activeElement.ariaInvalid === 'true'")
    page.goto(f"{airflow.url}/plugin/oauth/connect/{CONN}")
    page.get_by_role("button", name="Use a code").click()
    page.get_by_role("button", name="Cancel").wait_for()
    assert find_nameless(page, "main") == []
    assert focused(page) == "Consent on another device"
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Use a code").wait_for()
    assert focused(page) == f"Connect {CONN}"


@pytest.mark.parametrize(
    ("place", "part", "title"),
    [
        ("/plugin/oauth/constructor", "main", "OAuth connections"),
        ("/plugin/oauth/new", "main", "New connection"),
        (f"/plugin/oauth/edit/{CONN}", "form", f"Edit connection {CONN}"),
        ("/oauth/", "main", "OAuth connections"),
        ("/oauth/new", "main", "New connection"),
        (f"/oauth/edit/{CONN}", "form", f"Edit connection {CONN}"),
    ],
)
def test_every_page_has_a_title_and_names_what_can_be_chosen(
    airflow: ApiServer,
    server: OAuthTestServer,
    open_page: OpenPage,
    *,
    place: str,
    part: str,
    title: str,
) -> None:
    page = open_page()
    page.goto(f"{airflow.url}{place}")
    page.get_by_role("heading", name=title, level=1).wait_for()
    page.locator(f"{part} a:visible, {part} button:visible").first.wait_for()
    assert page.title() == f"{title} - Airflow"
    assert find_nameless(page, part) == []
    parts = [one for one in read_tree(page, part) if one["role"] in {"image", "search"}]
    assert [one for one in parts if not one["name"]] == []


def test_outcomes_and_changes_are_announced_and_the_focus_stays(
    airflow: ApiServer, server: OAuthTestServer, open_page: OpenPage
) -> None:
    store = grants.open_store(airflow.deployment)
    grants.put(store, "heard_orphan")
    page = open_page()
    page.goto(f"{airflow.url}/plugin/oauth?q=heard")
    page.get_by_text("2 of ").first.wait_for()
    assert page.get_by_role("status").count() == 1
    page.get_by_role("button", name=CONN, exact=True).click()
    test = page.locator(f"#details-{CONN}").get_by_role("button", name="Test")
    test.focus()
    page.keyboard.press("Enter")
    page.get_by_role("alertdialog").get_by_role("button", name="Test").click()
    page.get_by_role("alert").or_(page.get_by_role("status").get_by_text(CONN)).first.wait_for()
    assert focused(page) == "Test"
    grants.put(store, CONN, key=grants.find_key(CONN, server.connection_to_authorize()))
    page.get_by_role("status").get_by_text(f"{CONN}: ").wait_for()
    page.get_by_role("button", name="heard_orphan").click()
    page.locator("#details-heard_orphan").get_by_role("button", name="Forget").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Forget").click()
    page.locator("[data-connection=heard_orphan]").wait_for(state="detached")
    page.wait_for_function("() => document.activeElement.tagName === 'H1'")
    store.close()


def test_a_dialog_whose_connection_goes_away_gives_the_focus_to_the_heading(
    airflow: ApiServer, open_page: OpenPage
) -> None:
    store = grants.open_store(airflow.deployment)
    key = grants.put(store, "heard_twice")
    page = open_page()
    page.goto(f"{airflow.url}/plugin/oauth?q=heard_twice")
    page.get_by_role("button", name="heard_twice").click()
    page.locator("#details-heard_twice").get_by_role("button", name="Forget").click()
    page.get_by_role("alertdialog").wait_for()
    store.forget(key)  # in another tab
    store.close()
    page.get_by_role("status").get_by_text("heard_twice: gone.").wait_for()
    page.wait_for_function("() => document.activeElement.tagName === 'H1'")
    assert page.get_by_role("alertdialog").count() == 0
