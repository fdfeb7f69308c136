"""Pointers to the next page that are offsets or page numbers in disguise."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.api.options import (
    CursorPaginator,
    LinkHeaderPaginator,
    NextUrlPaginator,
    Paginate,
    Records,
)
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.pull.marks import Counters, PageMark
from oauth_taskflow.api.request import ApiRequest
from tests.api.pull.offline import Offline, read_warnings

NEXT = NextUrlPaginator(next="nxt")
LINK = LinkHeaderPaginator()
CURSOR = CursorPaginator(next="nxt", param="after")
IN_BODY = CursorPaginator(next="nxt", body="page.after")


def pages(
    *pointers: Any, sizes: tuple[int, ...] = (10, 10, 10), first_id: int = 5001, **more: Any
) -> list[Any]:
    """Answers with rows of ids that go on, and a pointer each but the last; texts travel as link headers too."""
    answers = []
    for index, pointer in enumerate([*pointers, None]):
        start = first_id + sum(sizes[:index])
        rows = [{"id": start + row, "name": "n"} for row in range(sizes[index])]
        body = {"items": rows, **{key: values[index] for key, values in more.items()}}
        headers = {}
        if pointer is not None:
            body["nxt"] = pointer
            headers = {"Link": f"<{pointer}>; rel=next"}
        answers.append((body, headers))
    return answers


def find_counters(
    paginate: Paginate, answers: list[Any], request: ApiRequest | None = None
) -> Counters:
    left = iter(answers)
    api = Offline(lambda _: next(left))
    request = request or ApiRequest("/rows")
    found = list(pull(api, request, paginate=paginate, records=Records(path="items")))
    mark = found[-1].mark
    assert isinstance(mark, PageMark)
    return mark.announced.counters


@pytest.mark.parametrize(
    ("paginate", "pointers"),
    [
        (NEXT, ["/rows?page=2", "/rows?page=3"]),
        (NEXT, ["/rows?page[number]=1", "/rows?page[number]=2"]),
        (NEXT, ["/rows?limit=10&offset=10", "/rows?limit=10&offset=20"]),
        (NEXT, ["rows?%24skiptoken=10", "rows?%24skiptoken=20"]),
        (LINK, ["/rows?startIndex=11", "/rows?startIndex=21"]),
        (CURSOR, ["10", "20"]),
        (CURSOR, [10, 20]),
        (IN_BODY, ["10", "20"]),
    ],
)
def test_pointers_that_are_as_high_as_the_rows_or_pages_before_count(
    paginate: Paginate, pointers: list[Any]
) -> None:
    assert find_counters(paginate, pages(*pointers)).counts


@pytest.mark.parametrize(
    ("pointers", "more"),
    [
        (["/rows?at=c2", "/rows?at=c3"], {}),
        (["/rows?after=10", "/rows?after=20"], {"first_id": 1}),
        (["/rows?since=10", "/rows?since=25"], {}),
        (["/rows?page=2&at=x", "/rows?page=2&at=y"], {}),
        (["/rows?v=2"], {}),
    ],
    ids=["a token", "keys as high as the rows", "no more on page two", "a constant", "one number"],
)
def test_other_pointers_do_not(pointers: list[Any], more: dict[str, Any]) -> None:
    assert not find_counters(NEXT, pages(*pointers, **more)).counts


def test_a_parameter_of_the_first_request_that_stays_does_not_count() -> None:
    request = ApiRequest("/rows?v=1", params={"page": 2})
    answers = pages("/rows?v=1&page=2&at=x", sizes=(10, 10))
    assert not find_counters(NEXT, answers, request).counts


def test_the_key_of_the_last_record_is_not_looked_at() -> None:
    paginate = CursorPaginator(last_record="id", param="offset")
    assert find_counters(paginate, pages(1, 2, sizes=(10, 10, 0))) == Counters()


FALL = (
    "The total fell from 31 to 29 while pages were read: rows were deleted, and since the pointers to the next pages count rows or "
    "pages, as many others may be missing at "
)


@pytest.mark.parametrize(
    ("pointers", "count"),
    [(["/rows?page=2", "/rows?page=3"], 1), (["/rows?at=x", "/rows?at=y"], 0)],
)
def test_a_total_that_is_not_named_and_falls_behind_such_pointers_is_a_warning(
    pointers: list[str], count: int
) -> None:
    answers = pages(*pointers, sizes=(10, 10, 9), total=[31, 31, 29])
    warnings = read_warnings(NEXT, "items", *answers)
    assert len(warnings) == count
    assert all(warning.startswith(FALL) for warning in warnings)


def test_a_named_total_that_falls_says_so_too() -> None:
    answers = pages("/rows?page=2", "/rows?page=3", sizes=(10, 10, 9), total=[31, 31, 29])
    (warning,) = read_warnings(NextUrlPaginator(next="nxt", total="total"), "items", *answers)
    assert warning.startswith(FALL)
