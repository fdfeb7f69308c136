"""Pages are counted in rows as the API returned them, whatever the path of records makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oauth_taskflow.api.options import (
    CursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginate,
    Records,
)
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.pull.path_roots import find_source
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import InvalidRecord, PagesCutShort
from tests.api.conftest import Connect
from tests.api.pull.offline import Offline, first_page
from tests.api.scripted import Asked

SIZE, COUNT = 5, 23
# Pages 3 and 4 hold nothing that is on; every order has three lines.
ORDERS: list[dict[str, Any]] = [
    {"id": n, "on": n < 7 or n > 20, "lines": [{"order": n, "line": m} for m in range(3)]}
    for n in range(1, COUNT + 1)
]
ON = [order["id"] for order in ORDERS if order["on"]]
LINES = [(line["order"], line["line"]) for order in ORDERS for line in order["lines"]]


def answer_by_page(asked: Asked, size: int = SIZE) -> dict[str, Any]:
    first = (int(asked.query["page"]) - 1) * size
    return {"items": ORDERS[first : first + size], "total": COUNT}


def answer_by_offset(asked: Asked, most: int = 1000) -> dict[str, Any]:
    first = int(asked.query["offset"])
    size = min(int(asked.query.get("limit", SIZE)), most)
    return {"items": ORDERS[first : first + size], "total": COUNT}


def answer_by_last_record(asked: Asked) -> dict[str, Any]:
    first = int(asked.query.get("after", 0))
    return {"items": ORDERS[first : first + SIZE], "more": first + SIZE < COUNT, "total": COUNT}


STYLES: dict[str, tuple[Callable[[Asked], Any], Callable[..., Paginate]]] = {
    "page": (answer_by_page, lambda **more: PageNumberPaginator(size=SIZE, **more)),
    "page ahead": (
        answer_by_page,
        lambda **more: PageNumberPaginator(size=SIZE, prefetch=3, **more),
    ),
    "offset": (answer_by_offset, lambda **more: OffsetPaginator(size=SIZE, **more)),
    "offset ahead": (
        answer_by_offset,
        lambda **more: OffsetPaginator(size=SIZE, advance="size", prefetch=3, **more),
    ),
    "last record": (
        answer_by_last_record,
        lambda **more: CursorPaginator(last_record="id", param="after", **more),
    ),
}
styles = pytest.mark.parametrize("style", STYLES)
totals = pytest.mark.parametrize("total", [None, "total"])


def read(local: Connect, api: Callable[[Asked], Any], path: str, paginate: Paginate) -> list[Any]:
    pages = pull(
        local(api),
        ApiRequest("/orders"),
        records=Records(path=path),
        paginate=paginate,
        decode=True,
    )
    return [record for page in pages for record in page.records]


@styles
@totals
@pytest.mark.parametrize("path", ["items[?on]", "items[] | [?on]", "reverse(items)[?on]"])
def test_pages_without_a_match_do_not_end_the_sequence(
    local: Connect, style: str, path: str, total: str | None
) -> None:
    if path.startswith("reverse") and style == "last record":
        pytest.skip("the last record is the first then")
    api, paginate = STYLES[style]
    found = [record["id"] for record in read(local, api, path, paginate(total=total))]
    assert sorted(found) == ON


@styles
@totals
def test_rows_that_hold_several_records_are_counted_once(
    local: Connect, style: str, total: str | None
) -> None:
    api, paginate = STYLES[style]
    path = "items[].lines[]"
    options = paginate(total=total)
    if isinstance(options, CursorPaginator):
        options = CursorPaginator(last_record="order", param="after", total=total, size=SIZE)
    found = read(local, api, path, options)
    assert [(line["order"], line["line"]) for line in found] == LINES


def test_records_within_one_envelope_are_the_rows(local: Connect) -> None:
    def reports(asked: Asked) -> Any:
        rows = answer_by_offset(asked)["items"]
        return {"reports": [{"rows": rows}], "total": COUNT}

    for size, total in ((SIZE, None), (SIZE, "total"), (100, "total")):
        options = OffsetPaginator(size=size, total=total)
        assert read(local, reports, "reports[].rows[]", options) == ORDERS


def test_an_offset_whose_unit_is_unknown_is_refused(local: Connect) -> None:
    """Without a size nothing shows whether the offset counts orders or lines."""
    with pytest.raises(InvalidRecord, match=r"what the offset counts.*Write size"):
        read(local, answer_by_offset, "items[].lines[]", OffsetPaginator())


def test_an_early_end_is_found_although_rows_hold_many_records(local: Connect) -> None:
    """Ten orders have thirty lines: more than the total of orders."""

    def cut_short(asked: Asked) -> Any:
        page = answer_by_last_record(asked)
        return {**page, "next": 5 if not asked.query.get("after") else None}

    options = CursorPaginator(next="next", param="after", total="total")
    with pytest.raises(PagesCutShort, match="after 10 records, but the API announced 23"):
        read(local, cut_short, "items[].lines[]", options)


def test_a_total_of_records_counts_where_nothing_else_shows(local: Connect) -> None:
    def days(_: Asked) -> Any:
        return {"days": [{"events": [{"n": 1}, {"n": 2}]}, {"events": [{"n": 3}]}], "total": 3}

    options = CursorPaginator(next="next", param="after", total="total")
    assert len(read(local, days, "days[].events[]", options)) == 3


@pytest.mark.parametrize("path", ["items[].{on: on}", "items[*].{on: on}"])
def test_similar_pages_are_not_mistaken_for_the_same_page(local: Connect, path: str) -> None:
    found = read(local, answer_by_page, path, PageNumberPaginator(size=SIZE))
    assert found == [{"on": order["on"]} for order in ORDERS]


def test_steps_over_rows_that_the_api_did_not_return_are_refused(local: Connect) -> None:
    """A server that caps its pages at 3 leaves out two of five rows, where the offset goes on by five."""

    def answer_capped(asked: Asked) -> Any:
        return answer_by_offset(asked, most=3)

    wanted = r"Page 1 held 3 of 5 rows, and page 2 has more.*write size: 3\..*short_page: continue"
    for options in (
        OffsetPaginator(size=5, advance="size"),
        OffsetPaginator(size=5, advance="size", prefetch=4),
    ):
        with pytest.raises(InvalidRecord, match=wanted):
            read(local, answer_capped, "items", options)
    sized = OffsetPaginator(size=3, advance="size")
    assert read(local, answer_capped, "items", sized) == read(
        local, answer_capped, "items", OffsetPaginator(size=5)
    )


def test_an_offset_may_skip_rows_that_a_page_leaves_out_when_declared(local: Connect) -> None:
    def answer_filtered(asked: Asked) -> Any:
        return {"items": [row for row in answer_by_offset(asked)["items"] if row["id"] != 2]}

    options = OffsetPaginator(size=5, advance="size", short_page="continue")
    assert len(read(local, answer_filtered, "items", options)) == COUNT - 1


@pytest.mark.parametrize(
    ("path", "expanded"),
    [
        ("items[?on]", False),
        ("sort_by(data.items[?on], &id)", False),
        ("items[?on] || other", False),
        ("items[*] | [?on]", False),
        ("data | items[?on]", False),
        ("items[].lines[]", True),
        ("items[*].lines[] | [?on]", True),
        ("items[?on] | [0].rows", True),
        ("data.items", None),
        ("values(data)", None),
    ],
)
def test_the_list_that_a_path_takes_apart_is_found(path: str, expanded: bool | None) -> None:
    found = find_source(path)
    assert (None if found is None else found.is_expanded) is expanded


@pytest.mark.parametrize(
    ("path", "row"),
    [
        ("data.items[*].row", {}),
        ("data.items[].row", {}),
        ("data.items[*].lines[]", {"lines": []}),
        ("data.lists[0].items[*].row", {}),
    ],
)
def test_rows_without_a_record_count_at_any_depth(path: str, row: dict[str, Any]) -> None:
    """JMESPath parses ``data.items[*]`` as ``items[*]`` within ``data``, and ``data.items[]`` as a projection of both."""
    rows = [{"row": {"id": number}, "lines": [{"id": number}]} for number in range(4)]
    pages = [rows[:2], [rows[2], row], rows[3:]]

    def answer(asked: ApiRequest) -> Any:
        items = pages[asked.params["offset"] // 2]
        return {"data": {"items": items, "lists": [{"items": items}]}}

    options: dict[str, Any] = {"paginate": OffsetPaginator(size=2), "records": Records(path=path)}
    counts = [page.count for page in pull(Offline(answer), first_page, **options)]
    assert counts == [2, 1, 1]
