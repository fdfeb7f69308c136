"""One real API server, one authorization server and one Chromium for all tests of the page; each test gets its own pages.

These tests run in their own process: Playwright keeps an event loop in the main thread.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oauth_taskflow.testing import OAuthTestServer
from tests.browser.colours import THEME
from tests.browser.server import ApiServer, Deployment
from tests.support.chromium import require_chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
_PATIENCE_MS = 120_000

# ``open_page("viewer")``: a page of a new browser context that is logged in as that user, default ``admin``; "" is not logged in.
OpenPage = Callable[..., "Page"]


# ``take_picture(page, "connections")``: a picture for the manual, if the tests were asked to take them.
TakePicture = Callable[["Page", str], None]
PICTURES = Path(__file__).resolve().parents[2] / "docs" / "images"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder need Airflow and a browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.airflow)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless Chromium."""
    path = require_chromium()
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where a browser is

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def authorization_server() -> Iterator[OAuthTestServer]:
    """The authorization server and API of every test here: faults that a test sets are its own to end."""
    with OAuthTestServer(rotate=True) as server:
        yield server


@pytest.fixture(scope="session")
def deployment(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A migrated Airflow, which several API servers may serve."""
    assert chromium.is_connected()
    made = Deployment(tmp_path_factory.mktemp("airflow"))
    made.migrate()
    return made


@pytest.fixture(scope="session")
def airflow(deployment: Deployment) -> Iterator[ApiServer]:
    """The API server at the root of its host."""
    with ApiServer(deployment) as server:
        yield server


@pytest.fixture(scope="session")
def airflow_below(airflow: ApiServer, deployment: Deployment) -> Iterator[ApiServer]:
    """A second API server of the same deployment, below a path, with its own colours."""
    assert airflow.deployment is deployment
    with ApiServer(
        deployment, path="/tools/airflow", slash="/", AIRFLOW__API__THEME=json.dumps(THEME)
    ) as server:
        yield server


@pytest.fixture
def open_page(airflow: ApiServer, chromium: Browser) -> Iterator[OpenPage]:
    """See ``OpenPage``; ``server`` is another API server, ``dark`` the theme; ``scripts`` says whether JavaScript runs."""
    contexts = []

    def open_page(
        user: str = "admin",
        *,
        server: ApiServer = airflow,
        dark: bool = False,
        scripts: bool = True,
    ) -> Page:
        context = chromium.new_context(
            base_url=server.origin,
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
        )
        contexts.append(context)
        context.set_default_timeout(_PATIENCE_MS)
        if user:
            cookie = {"name": "_token", "value": server.log_in(user), "url": f"{server.url}/"}
            context.add_cookies([{**cookie, "httpOnly": True, "sameSite": "Lax"}])  # type: ignore[typeddict-item]
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def take_picture() -> TakePicture:
    """Writes ``docs/images/<name>.png`` when the variable ``TAKE_PICTURES`` is set."""

    def take(page: Page, name: str) -> None:
        if os.environ.get("TAKE_PICTURES"):
            PICTURES.mkdir(exist_ok=True)
            page.set_viewport_size({"width": 1280, "height": 800})
            page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")

    return take
