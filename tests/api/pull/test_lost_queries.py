"""Redirects that drop the query or the body: the answer is one to another question."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from oauth_taskflow.api.options import NextUrlPaginator
from tests.api.pull.both_sessions import read_by_both
from tests.api.scripted import Asked, Reply

ROWS = [{"id": 1, "author": 5}, {"id": 2, "author": 6}]


def read_warnings(caplog: pytest.LogCaptureFixture, location: str, **options: Any) -> list[str]:
    """Returns the warnings of a pull with both kinds of session whose request is redirected to ``location``."""

    def route(asked: Asked) -> Any:
        is_there = asked.target == location
        return {"items": ROWS} if is_there else Reply(status=302, headers={"Location": location})

    caplog.clear()
    with caplog.at_level(logging.WARNING):
        read_by_both(route, records="items", **options)
    return sorted({record.getMessage().partition(" at ")[0] for record in caplog.records})


@pytest.mark.parametrize(
    ("location", "lost"),
    [
        ("/rows", "author, state"),
        ("/rows/", "author, state"),
        ("/v2/rows", "author, state"),
        ("/rows?author=5", "state"),
        ("/rows/?state=&author=5", None),
        ("/rows?token=a1", None),
        ("/downloads/7.json", None),
    ],
)
def test_a_redirect_that_drops_parameters_is_a_warning(
    caplog: pytest.LogCaptureFixture, location: str, lost: str | None
) -> None:
    """Other parameters, or another name, are a target that the API made on purpose."""
    warnings = read_warnings(caplog, location, params={"author": 5, "state": ""})
    expected = f"A redirect dropped a part of the request ({lost})"
    assert warnings == ([] if lost is None else [expected])


def test_a_body_that_a_redirect_dropped_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    asked: dict[str, Any] = {"method": "POST", "json": {"author": 5}}
    expected = "A redirect dropped a part of the request (the body of POST)"
    assert read_warnings(caplog, "/rows/", **asked) == [expected]
    assert read_warnings(caplog, "/results/7", **asked) == []


def test_a_next_url_whose_query_is_dropped_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Page one comes once more, in pages of another size, so that no page is exactly like an earlier one."""

    def route(asked: Asked) -> Any:
        if asked.query.get("page") == "2":
            return Reply(status=301, headers={"Location": "/rows"})
        rows = [{"id": number} for number in range(3 if asked.query else 5)]
        return {"items": rows, "next": "/rows?page=2&size=3" if asked.query else None}

    with caplog.at_level(logging.WARNING):
        options = {"records": "items", "paginate": NextUrlPaginator(next="next")}
        records, _ = read_by_both(route, path="/rows?size=3", **options)
    assert len(records) == 8
    assert "dropped a part of the request (page, size)" in caplog.text
