"""``[api] theme`` with colours that Airflow has not by itself, and the colours that Chromium computed.

https://airflow.apache.org/docs/apache-airflow/stable/howto/customize-ui.html
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

# Lightness of each shade.
_SHADES = {
    "50": 0.97,
    "100": 0.93,
    "200": 0.87,
    "300": 0.8,
    "400": 0.72,
    "500": 0.63,
    "600": 0.56,
    "700": 0.48,
    "800": 0.4,
    "900": 0.33,
    "950": 0.24,
}


def _make_scale(chroma: float, hue: float) -> dict[str, dict[str, str]]:
    return {name: {"value": f"oklch({light} {chroma} {hue})"} for name, light in _SHADES.items()}


BRAND, GRAY = _make_scale(0.2, 25.3), _make_scale(0.05, 150)
# Airflow 3.3 gives its brand's colours to every button, 3.2 to its main ones.
PLAIN_BUTTONS = GRAY if version("apache-airflow-core").startswith("3.2.") else BRAND
THEME = {"tokens": {"colors": {"brand": BRAND, "gray": GRAY}}}
_READ = """element => {
  const own = getComputedStyle(element);
  let below = element;
  while (below.parentElement && getComputedStyle(below).backgroundColor === "rgba(0, 0, 0, 0)") below = below.parentElement;
  return {text: own.color, border: own.borderBottomColor, back: getComputedStyle(below).backgroundColor};
}"""


def read_colours(found: Locator) -> dict[str, str]:
    """Computed colours of an element: ``text``, ``border``, and ``back``, the first background that is not transparent."""
    colours: dict[str, str] = found.evaluate(_READ)
    return colours


def head_of_airflow(page: Page) -> Locator:
    """The head of a column of Airflow's own list of connections, which ``page`` shows. Its button sorts."""
    return page.locator("th").filter(
        has_text="Connection ID"
    )  # its name is that of the button: "sort"
