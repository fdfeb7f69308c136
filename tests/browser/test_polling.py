"""How often a page asks the API server: not while it is hidden, seldom after failures, and never again after a refusal."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.server import ApiServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

PERIOD = 5000
# ``failures`` are thrown one after the other, then every answer is good; ``asked`` are the instants of the browser's clock.
START = """async ([module, failures, period]) => {
  const {poll} = await import(module);
  window.asked = [];
  window.isSeen = true;
  Object.defineProperty(document, "visibilityState", {get: () => (window.isSeen ? "visible" : "hidden")});
  poll(async () => {
    window.asked.push(Date.now());
    const failure = failures.shift();
    if (failure) throw failure;
  }, period);
}"""
SEE = """isSeen => {
  window.isSeen = isSeen;
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def page(airflow: ApiServer, open_page: OpenPage) -> Page:
    """A page without a login, whose clock stands still."""
    page: Page = open_page("")
    page.clock.install()
    page.goto(f"{airflow.url}/oauth/static/0/plain.css")
    return page


def start(page: Page, *failures: dict[str, Any]) -> None:
    page.evaluate(START, ["/oauth/static/0/polling.js", list(failures), PERIOD])


def gaps(page: Page) -> list[float]:
    """Seconds between the questions so far."""
    asked: list[int] = page.evaluate("window.asked")
    return [(later - earlier) / 1000 for earlier, later in pairwise(asked)]


def test_a_page_asks_again_a_period_after_each_answer(page: Page) -> None:
    start(page)
    page.clock.run_for(4 * PERIOD)
    assert gaps(page)
    assert all(5.0 <= gap <= 5.6 for gap in gaps(page))


def test_after_each_failure_it_waits_twice_as_long_up_to_a_minute(page: Page) -> None:
    start(page, *[{"status": 503}] * 6)
    page.clock.run_for(300_000)
    wanted = [10, 20, 40, 60, 60, 60, 5]
    assert len(gaps(page)) >= len(wanted)
    assert all(want <= gap <= want * 1.11 for want, gap in zip(wanted, gaps(page), strict=False)), (
        gaps(page)
    )


def test_it_waits_as_long_as_the_server_asks(page: Page) -> None:
    start(page, {"status": 503, "wait": 120_000})
    page.clock.run_for(135_000)
    assert 120 <= gaps(page)[0] <= 133


@pytest.mark.parametrize("status", [401, 403, 404])
def test_it_ends_when_the_login_or_the_permission_does(page: Page, status: int) -> None:
    start(page, {"status": status})
    page.clock.run_for(300_000)
    page.evaluate(SEE, False)
    page.evaluate(SEE, True)
    assert len(page.evaluate("window.asked")) == 1


def test_a_hidden_page_asks_nothing_and_asks_at_once_when_it_is_seen_again(page: Page) -> None:
    start(page)
    page.evaluate(SEE, False)
    page.clock.run_for(300_000)
    assert len(page.evaluate("window.asked")) == 1
    page.evaluate(SEE, True)
    assert len(page.evaluate("window.asked")) == 2
    page.evaluate(SEE, True)  # seen twice is no reason to ask twice
    assert len(page.evaluate("window.asked")) == 2


def test_a_timer_that_fires_early_does_not_end_the_asking(page: Page) -> None:
    page.evaluate("""() => {
      const real = window.setTimeout;
      let isEarly = true;
      window.setTimeout = (call, wait) => {
        const less = isEarly && wait > 1000 ? 1 : 0;
        if (less) isEarly = false;
        return real(call, wait - less);
      };
    }""")
    start(page)
    page.clock.run_for(4 * PERIOD)
    assert len(gaps(page)) >= 3
    assert all(5.0 <= gap <= 5.6 for gap in gaps(page))
