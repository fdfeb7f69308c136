"""An API server, or a proxy before it, that takes requests and answers none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oauth_taskflow.testing import OAuthTestServer
from tests.browser.conftest import OpenPage
from tests.browser.server import ApiServer

if TYPE_CHECKING:
    from playwright.sync_api import Route

CONN = "in_silence"


def test_a_list_and_an_action_without_an_answer_say_so_and_the_list_comes_back(
    airflow: ApiServer, authorization_server: OAuthTestServer, open_page: OpenPage
) -> None:
    airflow.add_connection(CONN, authorization_server.connection())
    page = open_page()
    page.clock.install()
    page.goto(f"{airflow.url}/plugin/oauth?q={CONN}")
    page.get_by_role("button", name=CONN).click()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/oauth/api/connections**", hold)
    page.get_by_role("button", name="Refresh now").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Refresh").click()
    while not held:
        page.clock.run_for(1000)
    page.clock.fast_forward(300_000)
    details = page.locator(f"#details-{CONN}")
    text = details.get_by_role("alert").inner_text()
    assert "The API server did not answer." in text
    assert "may have happened" in text
    while not [route for route in held if route.request.method == "GET"]:
        page.clock.run_for(1000)
    page.clock.fast_forward(61_000)
    stale = page.get_by_role("alert").filter(has_text="This page asks again by itself.")
    stale.wait_for()
    page.unroute("**/oauth/api/connections**")
    page.clock.fast_forward(70_000)
    stale.wait_for(state="detached")
