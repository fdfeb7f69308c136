"""A spec that writes the first page cursor itself, as OpenAlex and json-server want it, where the paginator sends the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.specs.windows import Interval
from tests.api.scripted import Asked
from tests.engine.yaml_run import Pulled, pull_yaml, utc

DAY = Interval(utc(2026, 1, 1), utc(2026, 1, 2))
ROWS = [{"id": number} for number in range(1, 8)]


def answer(value: str | None) -> Any:
    """Three rows from the one that ``value`` names; without one, the API answers by something else than pages."""
    if value is None:
        return ROWS[:3]
    start = 0 if value == "*" else int(value)
    follows = start + 3 < len(ROWS)
    return {"items": ROWS[start : start + 3], "next": str(start + 3) if follows else None}


def find_values(asked: Asked) -> list[str]:
    """Each value of the cursor in a request, wherever it is."""
    query = [part.partition("=")[2] for part in asked.target.partition("?")[2].split("&")]
    header = [value for name, value in asked.headers.items() if name.lower() == "cursor"]
    body = list((asked.json if asked.body else {}).get("page", {}).values())
    return [value.replace("%2A", "*") for value in (*filter(None, query), *header, *body)]


def pull(text: str, folder: Path) -> Pulled:
    return pull_yaml(text, DAY, lambda asked: answer("".join(find_values(asked)) or None), folder)


@pytest.mark.parametrize(
    ("request_parts", "paginate"),
    [
        ('path: /rows, params: {cursor: "*"}', "param: cursor"),
        ('path: "/rows?cursor=*"', "param: cursor"),
        ('path: /rows, headers: {CURSOR: "*"}', "param: cursor, send_in: header"),
        ('path: /rows, method: POST, json: {page: {after: "*"}}', "body: page.after"),
    ],
)
def test_the_first_cursor_of_a_spec_is_sent_once_and_then_replaced(
    tmp_path: Path, request_parts: str, paginate: str
) -> None:
    text = f"""
    request: {{{request_parts}}}
    records: items
    paginate: {{type: cursor, next: next, {paginate}}}
    """
    pulled = pull(text, tmp_path)
    assert pulled.ids == [row["id"] for row in ROWS]
    assert [find_values(asked) for asked in pulled.api.asked] == [["*"], ["3"], ["6"]]
    assert "warnings" not in pulled.manifest or pulled.manifest["warnings"] == []


def test_the_first_cursor_is_not_taken_for_the_page_size(tmp_path: Path) -> None:
    rows = [{"id": number} for number in range(20)]
    text = """
    request: {path: /rows, params: {page: 1}}
    records: items
    paginate: {type: cursor, next: nxt, param: page}
    """
    pulled = pull_yaml(text, DAY, lambda _: {"items": rows, "next": None}, tmp_path)
    assert "a first page was full (20 rows)" in str(pulled.summary.warnings)
