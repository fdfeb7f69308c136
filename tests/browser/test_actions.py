"""Refresh, test, revoke and forget in a browser: by mouse, by keyboard alone, and refused from another site."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oauth_taskflow.testing import OAuthTestServer
from tests.browser import grants
from tests.browser.conftest import OpenPage, TakePicture
from tests.browser.server import ApiServer

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

# ``open_row("crm")``: the page with that connection's row open, and the row's details.
OpenRow = Callable[..., "tuple[Page, Locator]"]


@pytest.fixture
def server(authorization_server: OAuthTestServer) -> OAuthTestServer:
    """The authorization server, whose log begins with this test."""
    authorization_server.clear_log()
    return authorization_server


@pytest.fixture
def open_row(airflow: ApiServer, open_page: OpenPage) -> OpenRow:
    """See ``OpenRow``."""

    def open_row(conn_id: str, user: str = "admin") -> tuple[Page, Locator]:
        page = open_page(user)
        page.goto(f"{airflow.url}/plugin/oauth?q={conn_id}")
        page.get_by_role("button", name=conn_id).click()
        details = page.locator(f"#details-{conn_id}")
        details.wait_for()
        return page, details

    return open_row


def do(page: Page, details: Locator, button: str, action: str = "") -> None:
    """Presses ``button`` and confirms with the button ``action`` of the dialog, by default of the same name."""
    details.get_by_role("button", name=button).click()
    dialog = page.get_by_role("alertdialog")
    dialog.get_by_role("button", name=action or button, exact=True).click()
    dialog.wait_for(state="detached")


def audited(airflow: ApiServer, conn_id: str) -> list[tuple[str, str, str]]:
    """Event, user and outcome of every row about ``conn_id`` in Airflow's own audit log, the oldest first."""
    path = "/api/v2/eventLogs?order_by=event_log_id&limit=1000"
    rows = airflow.call("GET", path, token=airflow.log_in("admin"))["event_logs"]
    ours = [
        (row, json.loads(row["extra"] or "{}")) for row in rows if row["event"].startswith("oauth_")
    ]
    return [
        (row["event"], row["owner"], extra["outcome"])
        for row, extra in ours
        if extra.get("connection_id") == conn_id
    ]


def test_refresh_and_test_say_how_they_went_and_are_audited(
    airflow: ApiServer, server: OAuthTestServer, open_row: OpenRow
) -> None:
    airflow.add_connection("act_refresh", server.connection())
    page, details = open_row("act_refresh")
    do(page, details, "Refresh now", "Refresh")
    page.get_by_role("status").get_by_text("Connection 'act_refresh' has a new token.").wait_for()
    page.locator("[data-connection=act_refresh]").get_by_text("Healthy").wait_for()
    do(page, details, "Test")
    page.get_by_role("status").get_by_text("Token received").wait_for()
    assert server.counters.token_requests >= 2
    assert audited(airflow, "act_refresh") == [
        ("oauth_refresh", "admin", "done"),
        ("oauth_test", "admin", "works"),
    ]


@pytest.mark.parametrize(
    ("button", "sent"),
    [
        ("Refresh now", "The credentials of the client are sent to {host}."),
        ("Test", "The credentials of the client are sent to {host} for a token"),
    ],
)
def test_refresh_and_test_ask_first_and_say_what_goes_where_by_keyboard(
    airflow: ApiServer, server: OAuthTestServer, open_row: OpenRow, button: str, sent: str
) -> None:
    airflow.add_connection("act_asked", server.connection())
    page, details = open_row("act_asked")
    host = server.base_url.partition("://")[2]
    details.get_by_role("button", name=button).focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("alertdialog")
    dialog.get_by_text(sent.format(host=host)).wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    page.wait_for_function("name => document.activeElement.textContent === name", arg=button)
    assert server.requests == []
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement.closest('[role=alertdialog]')")
    page.keyboard.press("Enter")
    dialog.wait_for(state="detached")
    page.get_by_role("status").get_by_text(re.compile("has a new token|Token received")).wait_for()
    page.wait_for_function("name => document.activeElement.textContent === name", arg=button)
    assert len(server.requests) == 1


def test_a_failed_refresh_shows_what_where_and_what_to_do(
    airflow: ApiServer, server: OAuthTestServer, open_row: OpenRow
) -> None:
    airflow.add_connection("act_wrong", server.connection(password="wrong-secret-1"))
    page, details = open_row("act_wrong")
    do(page, details, "Refresh now", "Refresh")
    text = details.get_by_role("alert").first.inner_text()
    assert "invalid_client" in text
    assert "client secret" in text
    page.locator("[data-connection=act_wrong]").get_by_text("Misconfigured").wait_for()


def test_revoke_asks_first_and_ends_the_grant_at_the_server(
    airflow: ApiServer, server: OAuthTestServer, open_row: OpenRow, take_picture: TakePicture
) -> None:
    seed = server.issue_refresh_token()
    revoke_url = f"{server.base_url}/oauth/revoke"
    airflow.add_connection(
        "act_revoke", server.connection(refresh_token=seed, revoke_url=revoke_url)
    )
    page, details = open_row("act_revoke")
    details.get_by_role("button", name="Refresh now").click()
    dialog = page.get_by_role("alertdialog")
    dialog.get_by_text("The refresh token is sent to ").wait_for()
    take_picture(page, "connection-refresh")
    dialog.get_by_role("button", name="Refresh").click()
    page.locator("[data-connection=act_revoke]").get_by_text("Healthy").wait_for()
    details.get_by_role("button", name="Revoke").click()
    dialog.get_by_text("Revoke the grant of act_revoke?").wait_for()
    dialog.get_by_text("The stored tokens are sent to ").wait_for()
    take_picture(page, "connection-revoke")
    dialog.get_by_role("button", name="Cancel").click()
    dialog.wait_for(state="detached")
    assert not [call for call in server.requests if call.path == "/oauth/revoke"]
    details.get_by_role("button", name="Revoke").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Revoke").click()
    page.locator("[data-connection=act_revoke]").get_by_text("Needs consent").wait_for()
    assert [call for call in server.requests if call.path == "/oauth/revoke"]
    assert ("oauth_revoke", "admin", "done") in audited(airflow, "act_revoke")


def test_forget_by_keyboard_alone(
    airflow: ApiServer, server: OAuthTestServer, open_page: OpenPage
) -> None:
    store = grants.open_store(airflow.deployment)
    grants.put(store, "act_forget")
    page = open_page()
    page.goto(f"{airflow.url}/plugin/oauth?q=act_forget")
    page.locator("[data-connection=act_forget]").wait_for()

    def tab_to(name: str, most: int = 60) -> None:
        for _ in range(most):
            page.keyboard.press("Tab")
            text = page.evaluate(
                "() => document.activeElement.textContent + (document.activeElement.ariaLabel ?? '')"
            )
            if name in text:
                return
        pytest.fail(f"{name} cannot be reached by Tab")

    tab_to("act_forget")
    page.keyboard.press("Enter")
    tab_to("Forget")
    page.keyboard.press("Enter")
    page.get_by_role("alertdialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("alertdialog").wait_for(state="detached")
    assert [one for one, _ in store.list_grants() if one == "act_forget"]
    page.keyboard.press("Enter")  # the focus is back at the button
    page.get_by_role("alertdialog").wait_for()
    tab_to("Forget", most=4)
    page.keyboard.press("Enter")
    page.locator("[data-connection=act_forget]").wait_for(state="detached")
    assert not [one for one, _ in store.list_grants() if one == "act_forget"]
    store.close()


@pytest.fixture
def foreign_site(airflow: ApiServer, tmp_path: Path) -> Iterator[str]:
    """A site of another name whose page posts to Airflow as soon as it is opened, by form and by script."""
    target = f"{airflow.url}/oauth/api/connections/act_foreign/refresh"
    (tmp_path / "form.html").write_text(
        f'<form method="post" enctype="text/plain" action="{target}"><input name=\'{{"a":"\' value=\'"}}\'></form>'
        "<script>document.forms[0].submit()</script>"
    )
    (tmp_path / "script.html").write_text(
        f'<script>fetch("{target}", {{method: "POST", credentials: "include", mode: "no-cors", body: "{{}}"}})'
        '.finally(() => document.title = "sent")</script>'
    )

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given: object) -> None:
            super().__init__(*given, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://localhost:{site.server_port}"
        site.shutdown()


def test_another_site_cannot_make_the_browser_act(
    airflow: ApiServer, server: OAuthTestServer, open_page: OpenPage, foreign_site: str
) -> None:
    airflow.add_connection("act_foreign", server.connection())
    page = open_page()
    with page.expect_response("**/act_foreign/refresh") as by_form:
        page.goto(f"{foreign_site}/form.html")
    assert by_form.value.status in {401, 403, 415}
    page.goto(f"{foreign_site}/script.html")
    page.wait_for_function("() => document.title === 'sent'")
    assert server.requests == []
    assert audited(airflow, "act_foreign") == []


def test_a_readers_own_request_is_refused(
    airflow: ApiServer, server: OAuthTestServer, open_row: OpenRow
) -> None:
    airflow.add_connection("act_reader", server.connection())
    page, details = open_row("act_reader", "reader")
    assert details.get_by_role("group").count() == 0
    status = page.evaluate(
        "async () => (await fetch('/oauth/api/connections/act_reader/refresh', {method: 'POST', body: '{}',"
        " headers: {'Content-Type': 'application/json'}})).status"
    )
    assert status == 403
    assert server.requests == []
