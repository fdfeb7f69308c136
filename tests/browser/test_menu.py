"""The page in Airflow's menu, with its modules, at the root of a host and below a path."""

from __future__ import annotations

import re

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.server import ApiServer


def test_the_menu_admin_leads_to_the_page(airflow: ApiServer, open_page: OpenPage) -> None:
    page = open_page()
    page.goto(f"{airflow.url}/")
    page.get_by_role("button", name="Admin").click()
    page.get_by_role("menuitem", name="OAuth").click()
    page.get_by_role("heading", name="OAuth connections").wait_for()
    assert page.url == f"{airflow.url}/plugin/oauth"


def test_below_a_path_the_page_finds_its_files_and_its_api(
    airflow_below: ApiServer, open_page: OpenPage
) -> None:
    page = open_page(server=airflow_below)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def find_outside() -> set[str]:
        return {u for u in asked if not u.startswith((airflow_below.url, "data:", "blob:"))}

    page.goto(f"{airflow_below.url}/")
    page.get_by_role("button", name="Admin").wait_for()
    page.wait_for_load_state("networkidle")
    of_airflow = (
        find_outside()
    )  # a page of Airflow 3.2 asks one address at the root, those of 3.3 none
    asked.clear()
    page.goto(f"{airflow_below.url}/plugin/oauth")
    page.get_by_role("heading", name="OAuth connections").wait_for()
    assert find_outside() <= of_airflow
    ours = [url for url in asked if "/oauth/" in url]
    assert len(ours) > 3
    assert all(re.match(rf"{airflow_below.url}/oauth/(static|api)/", url) for url in ours)


@pytest.mark.parametrize("user", ["", "viewer"])
def test_without_permission_the_api_of_the_page_gives_nothing(
    airflow: ApiServer, open_page: OpenPage, user: str
) -> None:
    answer = open_page(user).request.get(f"{airflow.url}/oauth/api/connections")
    assert answer.status == (403 if user else 401)
    assert set(answer.json()) == {"detail", "where", "hint"}
