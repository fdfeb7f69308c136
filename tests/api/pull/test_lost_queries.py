"""Redirects that drop the query or the body, and next URLs that change it: the answer is one to another question."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from oauth_taskflow.api.options import LinkHeaderPaginator, NextUrlPaginator
from oauth_taskflow.api.request import ApiRequest
from tests.api.pull.both_sessions import read_by_both
from tests.api.pull.offline import read_warnings as read_pages
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


@pytest.mark.parametrize(
    ("value", "copied", "is_changed"),
    [
        ("C++", "C++", True),
        ("2025-01-31T06:00:00+00:00", "2025-01-31T06:00:00+00:00", True),
        ("R&D", "R&D", True),
        ("#12", "#12", True),
        ("50%25", "50%25", True),
        (["C++", "D"], "C++&q=D", True),
        ("C++", "C%2B%2B", False),
        ("100%", "100%", False),
        ("a b", "a+b", False),
        ("C++", "c%2B%2B", False),
        (["C++", "D"], "D", False),
    ],
)
def test_a_next_url_with_values_that_are_not_percent_encoded_is_a_warning(
    value: Any, copied: str, *, is_changed: bool
) -> None:
    """The server of page two reads a plus as a space, and answers for another value: Roundup's next URLs are such ones."""
    asked = ApiRequest("/rows", params={"size": 2, "q": value})
    url = f"/rows?page=2&size=2&q={copied}"
    pages = [{"items": ROWS, "next": url}, {"items": [{"id": 3}], "next": None}]
    warnings = read_pages(NextUrlPaginator(next="next"), "items", *pages, request=asked)
    headers = {"Link": f"<{url}>; rel=next"}
    by_link = read_pages(
        LinkHeaderPaginator(), "items", (pages[0], headers), pages[1], request=asked
    )
    assert by_link == warnings
    assert [text.partition(" at ")[0] for text in warnings] == (
        ["The next URL of page 1 has other values than the request (q)"] if is_changed else []
    )


def test_parameters_in_the_path_are_compared_as_they_are_sent() -> None:
    """A plus in the path is a space from the beginning."""
    pages = [{"items": ROWS, "next": "/rows?page=2&q=a+b"}, {"items": [{"id": 3}], "next": None}]
    asked = ApiRequest("/rows?q=a+b")
    assert read_pages(NextUrlPaginator(next="next"), "items", *pages, request=asked) == []
