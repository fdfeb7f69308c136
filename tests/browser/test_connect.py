"""Connect in a real browser: in the same tab, by form_post, with a device code, over two API servers that share a database."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from oauth_taskflow.testing import OAuthTestServer
from tests.browser.conftest import OpenPage, TakePicture
from tests.browser.server import ApiServer, Deployment

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

# ``add("crm", par_url=…)`` stores a connection that a person authorizes, and returns its id.
Add = Callable[..., str]


@pytest.fixture
def provider(authorization_server: OAuthTestServer) -> Iterator[OAuthTestServer]:
    """The authorization server, as it is by default again after the test."""
    authorization_server.clear_log()
    desk = authorization_server.desk
    desk.device_interval = 0.5
    yield authorization_server
    desk.decision, desk.device_interval, desk.issuer = "agree", 5.0, desk.origin


@pytest.fixture
def add(airflow: ApiServer, provider: OAuthTestServer) -> Add:
    """See ``Add``."""

    def add(**overrides: Any) -> str:
        conn_id = f"crm_{secrets.token_hex(3)}"
        place = provider.base_url
        known = {
            "grant_type": "authorization_code",
            "authorize_url": f"{place}/oauth/authorize",
            "device_url": f"{place}/oauth/device",
            "revoke_url": f"{place}/oauth/revoke",
        }
        airflow.add_connection(conn_id, provider.connection(**{**known, **overrides}))
        return conn_id

    return add


def press_connect(page: Page, server: ApiServer, conn_id: str, query: str = "") -> None:
    page.goto(f"{server.url}/plugin/oauth/connect/{conn_id}{query}")
    page.get_by_role("button", name="Connect in this tab").click()


def agree(url: str) -> str:
    """Where the authorization server sends the browser of a person who agrees."""
    answer = requests.get(url, allow_redirects=False, timeout=60)
    return str(answer.headers["Location"])


def log_in(page: Page, airflow: ApiServer) -> None:
    """Fills in the login of Airflow that ``page`` shows."""
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(airflow.deployment.passwords["admin"])
    page.get_by_role("button", name="Sign in").click()


def read_callbacks(page: Page) -> list[str]:
    """A list that collects the addresses of callbacks that ``page`` asks for from now on."""
    found: list[str] = []
    page.on(
        "request",
        lambda request: found.append(request.url) if "/oauth/callback" in request.url else None,
    )
    return found


def test_connect_in_the_same_tab(
    airflow: ApiServer,
    open_page: OpenPage,
    add: Add,
    provider: OAuthTestServer,
    take_picture: TakePicture,
) -> None:
    conn_id, page = add(), open_page()
    callbacks = read_callbacks(page)
    page.goto(f"{airflow.url}/plugin/oauth/connect/{conn_id}?return_to=/dags")
    page.get_by_text(f"{airflow.url}/oauth/callback", exact=True).wait_for()
    page.get_by_text("Register this redirect URI for the client at 127.0.0.1:").wait_for()
    assert provider.requests == []
    take_picture(page, "connect")
    page.get_by_role("button", name="Connect in this tab").click()
    page.get_by_role("heading", name=f"{conn_id} is connected").wait_for()
    assert page.url == f"{airflow.url}/oauth/consent"
    page.get_by_text("The API answered: HTTP ").wait_for()
    assert len(page.context.pages) == 1
    (sent,) = callbacks
    log = airflow.log.read_text()
    assert "/oauth/callback" in log
    for value in parse_qs(urlsplit(sent).query).values():
        if len(value[0]) > 20 and not value[0].startswith("http"):
            assert value[0] not in log
    trade = next(call.form for call in provider.requests if call.path == "/oauth/token")
    for secret in (trade["code_verifier"], provider.client_secret, *provider.state.list_issued()):
        assert secret not in log
    page.get_by_role("link", name="Back to where you came from").click()
    page.wait_for_url(f"{airflow.url}/dags")


def test_going_back_and_reloading_finish_nothing_twice(
    airflow: ApiServer, open_page: OpenPage, add: Add, provider: OAuthTestServer
) -> None:
    conn_id, page = add(), open_page()
    press_connect(page, airflow, conn_id)
    page.get_by_role("heading", name=f"{conn_id} is connected").wait_for()
    page.reload()
    page.get_by_role("heading", name="Nothing to finish").wait_for()
    assert sum(call.path == "/oauth/token" for call in provider.requests) == 1


def test_a_login_that_ended_at_the_provider_is_renewed_and_the_consent_goes_on(
    airflow: ApiServer, open_page: OpenPage, add: Add, provider: OAuthTestServer
) -> None:
    conn_id, page = add(), open_page()

    def end_login(route: Route) -> None:
        page.context.clear_cookies()
        route.continue_()

    page.route("**/oauth/authorize?*", end_login)
    press_connect(page, airflow, conn_id)
    page.get_by_role("heading", name=f"{conn_id} is not connected yet").wait_for()
    page.get_by_text("Your login at Airflow has ended.").wait_for()
    page.reload()  # keeps the answer too
    page.get_by_role("link", name="Log in and finish").click()
    log_in(page, airflow)
    page.get_by_role("heading", name=f"{conn_id} is connected").wait_for()
    assert page.url == f"{airflow.url}/oauth/consent"
    assert sum(call.path == "/oauth/token" for call in provider.requests) == 1


def test_a_busy_token_endpoint_is_named_and_asked_again_by_the_page(
    airflow: ApiServer, open_page: OpenPage, add: Add, provider: OAuthTestServer
) -> None:
    conn_id, page = add(), open_page()
    provider.fault("/oauth/token", status=429, headers={"Retry-After": "20"})
    page.clock.install()
    press_connect(page, airflow, conn_id)
    page.get_by_role("heading", name=f"{conn_id} is not connected yet").wait_for()
    text = page.get_by_role("status").inner_text()
    assert "Token endpoint unavailable (HTTP 429)" in text
    assert re.search(r"tries again by itself at \d+:\d\d:\d\d", text)
    page.reload()
    page.get_by_role("heading", name=f"{conn_id} is not connected yet").wait_for()
    page.clock.fast_forward(21_000)
    page.get_by_role("heading", name=f"{conn_id} is connected").wait_for()


def test_back_from_the_authorization_server_the_buttons_work_again(
    airflow: ApiServer, open_page: OpenPage, add: Add
) -> None:
    conn_id, page = add(), open_page()
    page.route("**/oauth/authorize?*", lambda route: route.fulfill(status=204))
    press_connect(page, airflow, conn_id)
    working = page.locator("button[aria-busy=true]")
    working.wait_for()
    # As the browser says it when Back shows a page that it kept.
    page.evaluate("() => dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    working.wait_for(state="detached")
    assert page.get_by_role("button", name="Connect in this tab").is_enabled()


def test_an_answer_by_form_post(
    airflow: ApiServer, open_page: OpenPage, add: Add, provider: OAuthTestServer
) -> None:
    conn_id, page = add(authorize_params={"response_mode": "form_post"}), open_page()
    press_connect(page, airflow, conn_id)
    page.get_by_role("heading", name=f"{conn_id} is connected").wait_for()
    assert page.url == f"{airflow.url}/oauth/consent"
    code = next(call.form["code"] for call in provider.requests if call.path == "/oauth/token")
    assert code not in airflow.log.read_text()


def test_a_person_who_refuses_is_told_what_to_do(
    airflow: ApiServer, open_page: OpenPage, add: Add, provider: OAuthTestServer
) -> None:
    conn_id, page = add(), open_page()
    provider.desk.decision = "refuse"
    press_connect(page, airflow, conn_id)
    page.get_by_role("heading", name=f"{conn_id} is not connected").wait_for()
    assert "refused (access_denied)" in page.get_by_role("alert").inner_text()
    provider.desk.decision = "agree"
    page.get_by_role("link", name="Connect again").click()
    page.get_by_role("button", name="Connect in this tab").click()
    page.get_by_role("heading", name=f"{conn_id} is connected").wait_for()


def test_reconnect_after_the_provider_ended_the_grant(
    airflow: ApiServer,
    deployment: Deployment,
    open_page: OpenPage,
    add: Add,
    provider: OAuthTestServer,
) -> None:
    conn_id, page = add(), open_page()
    press_connect(page, airflow, conn_id)
    page.get_by_role("heading", name=f"{conn_id} is connected").wait_for()
    for family in list(provider.state._families.values()):
        provider.state.revoke_family(family)
    with pytest.raises(AssertionError, match="invalid_grant"):
        deployment.command("oauth", "refresh", conn_id)
    press_connect(page, airflow, conn_id)
    page.get_by_role("heading", name=f"{conn_id} is connected").wait_for()
    shown = deployment.command("oauth", "status", conn_id, "--output", "json")
    # Airflow 3.2 writes lines of its log before, with their own brackets.
    found = re.search(r"\[\s*\{", shown)
    assert found is not None, shown
    assert json.loads(shown[found.start() :])[0]["state"] == "fresh"


def test_another_user_in_this_browser_gets_nothing(
    airflow: ApiServer, open_page: OpenPage, add: Add, provider: OAuthTestServer
) -> None:
    conn_id, page, other = add(), open_page(), open_page("second")
    with page.expect_request(f"{provider.base_url}/oauth/authorize?**") as asked:
        page.route(f"{provider.base_url}/**", lambda route: route.abort())
        press_connect(page, airflow, conn_id)
    other.goto(agree(asked.value.url))
    other.get_by_role("heading", name=f"{conn_id} is not connected").wait_for()
    assert "Another user of Airflow began this consent" in other.get_by_role("alert").inner_text()
    assert not [call for call in provider.requests if call.path == "/oauth/token"]


def test_a_viewer_cannot_begin(
    airflow: ApiServer, open_page: OpenPage, add: Add, provider: OAuthTestServer
) -> None:
    conn_id, page = add(), open_page("reader")
    page.goto(f"{airflow.url}/plugin/oauth/connect/{conn_id}")
    page.get_by_role("alert").wait_for()
    assert page.get_by_role("button", name="Connect in this tab").count() == 0


@pytest.mark.parametrize("query", ["code=stolen&state=" + "x" * 43, "code=stolen"])
def test_an_answer_to_no_consent_is_a_page_that_says_what_to_do(
    airflow: ApiServer, open_page: OpenPage, query: str
) -> None:
    page = open_page()
    page.goto(f"{airflow.url}/oauth/callback?{query}")
    page.get_by_role("heading", name="Not connected").wait_for()
    assert "stolen" not in page.url
    assert "stolen" not in airflow.log.read_text()


@pytest.mark.parametrize("place", ["/plugin/oauth/connect/", "/oauth/connect/"])
def test_connect_with_a_code_on_another_device(
    open_page: OpenPage,
    add: Add,
    provider: OAuthTestServer,
    take_picture: TakePicture,
    place: str,
) -> None:
    """In Airflow's page and in the plain one."""
    conn_id, page = add(), open_page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{place}{conn_id}")
    page.get_by_role("button", name="Use a code on another device").click()
    page.get_by_role("button", name="Copy code").click()
    code = page.evaluate("navigator.clipboard.readText()")
    page.reload()
    page.get_by_text("Waiting for the consent.").wait_for()
    if place.startswith("/plugin"):
        take_picture(page, "connect-device")
    requests.get(f"{provider.base_url}/device?user_code={code}", timeout=60).raise_for_status()
    page.get_by_text(f"{conn_id} is connected").wait_for()
    secret = next(iter(provider.desk.devices))
    assert secret not in page.content()


@pytest.mark.parametrize("place", ["/plugin/oauth/connect/", "/oauth/connect/"])
def test_a_login_that_ends_while_a_code_waits_leaves_the_code_to_the_next_login(
    airflow: ApiServer, open_page: OpenPage, add: Add, provider: OAuthTestServer, place: str
) -> None:
    conn_id, page = add(), open_page()
    page.goto(f"{place}{conn_id}")
    page.get_by_role("button", name="Use a code on another device").click()
    page.get_by_text("Waiting for the consent.").wait_for()
    code = json.loads(page.evaluate(f"sessionStorage['oauth-device-{conn_id}']"))["user_code"]
    page.context.clear_cookies()
    page.get_by_text("Reload this page to log in again.").wait_for()
    requests.get(f"{provider.base_url}/device?user_code={code}", timeout=60).raise_for_status()
    page.reload()
    log_in(page, airflow)
    page.get_by_text(f"{conn_id} is connected").wait_for()


@pytest.mark.parametrize("place", ["/plugin/oauth/connect/", "/oauth/connect/"])
def test_what_a_hostile_server_says_is_only_text(
    open_page: OpenPage, add: Add, provider: OAuthTestServer, place: str
) -> None:
    conn_id, page = add(), open_page()
    evil = {
        "device_code": "d",
        "user_code": "<img src=x onerror=alert(1)>",
        "verification_uri": "javascript:alert(1)",
        "verification_uri_complete": "data:text/html,x",
    }
    provider.fault("/oauth/device", status=200, body=json.dumps(evil))
    shown: list[str] = []
    page.on("dialog", lambda dialog: shown.append(dialog.message))
    page.goto(f"{place}{conn_id}")
    page.get_by_role("button", name="Use a code on another device").click()
    page.get_by_text("<img src=x onerror=alert(1)>").wait_for()
    links = page.locator("a").evaluate_all("all => all.map((one) => one.href)")
    assert not [link for link in links if link.startswith(("javascript:", "data:"))]
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Use a code on another device").wait_for()
    assert shown == []


def test_connect_on_the_plain_page(
    airflow: ApiServer, open_page: OpenPage, add: Add, provider: OAuthTestServer
) -> None:
    conn_id, page = add(), open_page()
    page.goto(f"{airflow.url}/oauth/")
    page.get_by_role("row", name=conn_id).get_by_role("link", name="Connect").click()
    page.get_by_text(f"{airflow.url}/oauth/callback", exact=True).wait_for()
    page.get_by_role("button", name="Connect in this tab").click()
    page.get_by_role("heading", name=f"{conn_id} is connected").wait_for()


def test_two_api_servers_share_a_consent(
    airflow: ApiServer,
    airflow_below: ApiServer,
    open_page: OpenPage,
    add: Add,
    provider: OAuthTestServer,
) -> None:
    """The browser begins at one server, and its answer arrives at the other one, which finishes."""
    conn_id, page = add(), open_page()
    second = f"{airflow_below.url}/oauth/callback"

    def lead_to_second(route: Route) -> None:
        query = urlsplit(agree(route.request.url)).query
        route.fulfill(status=302, headers={"Location": f"{second}?{query}"})

    page.route(f"{provider.base_url}/oauth/authorize?**", lead_to_second)
    press_connect(page, airflow, conn_id)
    page.get_by_role("heading", name=f"{conn_id} is connected").wait_for()
    assert page.url == f"{airflow_below.url}/oauth/consent"


def test_below_a_path(
    airflow_below: ApiServer, open_page: OpenPage, add: Add, provider: OAuthTestServer
) -> None:
    conn_id, page = add(), open_page(server=airflow_below)
    press_connect(page, airflow_below, conn_id)
    page.get_by_role("heading", name=f"{conn_id} is connected").wait_for()
    assert page.url == f"{airflow_below.url}/oauth/consent"


def test_nothing_that_the_browser_receives_is_a_token(
    airflow: ApiServer, open_page: OpenPage, add: Add, provider: OAuthTestServer
) -> None:
    conn_id, page = add(), open_page()
    bodies: list[str] = []

    def keep(route: Route) -> None:
        answer = route.fetch(max_redirects=0)
        bodies.append(answer.text())
        bodies.extend(answer.headers.values())
        route.fulfill(response=answer)

    page.route(f"{airflow.url}/oauth/api/**", keep)
    press_connect(page, airflow, conn_id)
    page.get_by_role("heading", name=f"{conn_id} is connected").wait_for()
    received = "\n".join(bodies)
    assert conn_id in received
    hidden = [*provider.state.list_issued(), provider.client_secret]
    assert not [one for one in hidden if one in received]
