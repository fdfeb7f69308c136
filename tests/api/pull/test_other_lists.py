"""An absent path of records next to another list: the records under another name, or something that every answer has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oauth_taskflow.api.decoders.json import Body
from oauth_taskflow.api.options import (
    CursorPaginator,
    NextUrlPaginator,
    PageNumberPaginator,
    Paginate,
    Records,
    TotalRows,
)
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.pull.other_lists import find_other_list
from oauth_taskflow.errors import RecordsNotFound
from tests.api.pull.offline import Offline, first_page

SELF = [{"relation": "self", "url": "https://fhir.example.com/Patient?name=zz"}]
NEXT = "link[?relation=='next'].url | [0]"
ROWS = [{"id": 1}]
PLAIN = PageNumberPaginator()


def read(paginate: Paginate, records: str, body: Any, headers: Any = None) -> list[Any]:
    api = Offline(lambda _: (body, headers or {}))
    return [
        page.records
        for page in pull(api, first_page, paginate=paginate, records=Records(path=records))
    ]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"data": {"rows": ROWS}}, "data.rows"),
        ({"data": {"rows": [1]}}, None),
        ({"rows": ROWS}, "rows"),
        ({"rows": [], "others": ROWS}, "others"),
        ({"data": 5}, None),
        (ROWS, None),
    ],
)
def test_another_list_of_mappings_is_looked_for_where_the_path_ends(
    body: Any, found: str | None
) -> None:
    read = Body(json.dumps(body).encode())
    assert find_other_list(read, ("data", "items"), PLAIN, {}) == found


def test_an_empty_fhir_bundle_is_an_empty_page() -> None:
    """A Bundle without entries has its own link, which every Bundle has."""
    bundle = {"resourceType": "Bundle", "total": 0, "link": SELF}
    for total in ("total", None):
        paginate = NextUrlPaginator(next=NEXT, total=total, more=None if total else "more")
        body = bundle if total else {**bundle, "more": False}
        assert read(paginate, "entry[].resource", body) == [[]]


@pytest.mark.parametrize("target", ["href", "url", "uri"])
def test_a_list_of_links_is_no_list_of_records(target: str) -> None:
    """HAL leaves ``_embedded`` out where it is empty, and some servers add a list of links."""
    body = {
        "links": [{"rel": "self", target: "/rows"}],
        "page": {"totalElements": None},
        "more": False,
    }
    assert read(PageNumberPaginator(more="more"), "_embedded.rows", body) == [[]]


@pytest.mark.parametrize(
    "rows", [ROWS, [{"rel": "self"}], [{"url": "/a"}], [{"rel": "self", "url": "/a"}, {"id": 1}]]
)
def test_a_list_with_anything_but_links_may_be_the_records(rows: Any) -> None:
    with pytest.raises(
        RecordsNotFound, match=r"The list 'links' looks like the records\. .*If 'links' holds"
    ):
        read(PageNumberPaginator(more="more"), "rows", {"links": rows, "more": False})


@pytest.mark.parametrize(
    "paginate",
    [
        PageNumberPaginator(total="total"),
        PageNumberPaginator(total=TotalRows(header="X-Total-Count")),
    ],
)
def test_an_exact_total_of_zero_says_that_another_list_holds_no_records(paginate: Paginate) -> None:
    body = {"facets": [{"name": "open", "count": 0}], "total": "0"}
    assert read(paginate, "rows", body, {"X-Total-Count": "0"}) == [[]]


@pytest.mark.parametrize(
    ("paginate", "total"),
    [
        (PageNumberPaginator(total="total"), 1),
        (PageNumberPaginator(total=TotalRows(path="total", approximate=True)), 0),
        (PageNumberPaginator(more="more"), 0),
        (PageNumberPaginator(more="more", total="more"), 0),
    ],
)
def test_no_other_total_makes_an_empty_page_of_a_misspelt_path(
    paginate: Paginate, total: int
) -> None:
    """An estimate may be 0 next to records; one that the spec does not name may count anything; a text is not a number."""
    with pytest.raises(RecordsNotFound, match="'rows' looks like the records"):
        read(paginate, "row", {"rows": ROWS, "total": total, "more": False})


def test_a_list_in_which_the_spec_looks_for_an_item_is_no_list_of_records() -> None:
    body = {"meta": [{"name": "next", "value": ""}, {"name": "more", "value": False}]}
    paginate = CursorPaginator(
        next="meta[?name=='next'].value | [0]",
        more="not_null(meta[?name=='more'].value | [0], absent)",
        param="after",
    )
    assert read(paginate, "rows", body) == [[]]


def test_the_list_whose_last_record_has_the_cursor_may_be_the_records() -> None:
    """Where ``records`` is misspelled, the cursor of each page is found all the same."""
    paginate = CursorPaginator(next="rows[-1].id", param="after")
    with pytest.raises(RecordsNotFound, match="'rows' looks like the records"):
        read(paginate, "row", {"rows": ROWS})


def test_a_path_that_expands_items_is_looked_for_beside_its_list() -> None:
    body = {"data": {"rows": ROWS}, "more": False}
    with pytest.raises(RecordsNotFound, match=r"'data\.rows' looks like the records"):
        read(PageNumberPaginator(more="more"), "data.items[].row", body)
