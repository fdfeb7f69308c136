"""Opens the page OAuth in Chromium, on the data of ``page_child.py``: from the end of the list's answer to its first row."""

from __future__ import annotations

import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from measure import command_line, table, verdict

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.browser.server import ApiServer, Deployment
from tests.support.chromium import find_chromium

_GOAL_MS = 1000.0
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
# A frame after the one that holds the row, so that it has been painted.
_WATCH = """
const look = () => requestAnimationFrame(() => {
  if (document.querySelector("[data-connection]")) requestAnimationFrame(() => { window.rowAt = performance.now(); });
  else look();
});
look();
"""
_READ = """() => {
  const answer = performance.getEntriesByType("resource").find((one) => one.name.endsWith("/oauth/api/connections"));
  return [answer.responseEnd - answer.requestStart, window.rowAt - answer.responseEnd, document.querySelectorAll("[data-connection]").length];
}"""


def open_deployment() -> Deployment:
    """The Airflow of this process's variables, as one that ``ApiServer`` can serve."""
    deployment = Deployment(Path(os.environ["AIRFLOW_HOME"]))
    names = [name for name in os.environ if name.startswith("AIRFLOW")]
    deployment.environment |= {name: os.environ[name] for name in names}
    deployment.environment["AIRFLOW__CORE__AUTH_MANAGER"] = "tests.browser.users.AuthManager"
    passwords = Path(deployment.environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    passwords.write_text(json.dumps(deployment.passwords))
    return deployment


def open_page(browser: Any, server: ApiServer, token: str) -> list[float]:
    """Milliseconds of the answer, and from its end to the first row, and the number of rows, of one opening."""
    context = browser.new_context()
    context.add_cookies([{"name": "_token", "value": token, "url": f"{server.url}/"}])
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.add_init_script(_WATCH)
    page.goto(f"{server.url}/plugin/oauth")
    page.wait_for_function("() => window.rowAt !== undefined")
    figures: list[float] = page.evaluate(_READ)
    context.close()
    return figures


def main() -> None:
    """Prints the table and the verdict."""
    given = command_line(__doc__, connections=500, grants=2000, dags=200, rounds=20, seconds=20)
    path = find_chromium()
    if path is None:
        sys.exit("The first row is not measured: install Chromium.")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where a browser is

    with ApiServer(open_deployment()) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        token = server.log_in("admin")
        figures = [open_page(browser, server, token) for _ in range(min(given.rounds, 10))]
        browser.close()
    rows = [
        [name, f"{min(values):.0f}", f"{statistics.median(values):.0f}", f"{max(values):.0f}"]
        for name, values in zip(
            ("the answer, over HTTP", "from its end to the first row"),
            list(zip(*figures, strict=True))[:2],
            strict=True,
        )
    ]
    print(f"\nChromium, {len(figures)} openings; {figures[0][2]:.0f} rows shown at once\n")
    print(table(["", "shortest ms", "median ms", "longest ms"], rows))
    print()
    shortest = min(row for _, row, _ in figures)
    print(verdict("first row, ms", shortest, _GOAL_MS, lambda value: f"{value:.0f}"))


if __name__ == "__main__":
    main()
