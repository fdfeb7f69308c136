"""Each paginator alone: for any page sizes each record comes once, and it ends."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.body import Body
from oauth_taskflow.api.options import (
    Cursors,
    CustomPages,
    Links,
    NextUrls,
    NoPages,
    Offsets,
    PageNumbers,
    Paginate,
    PagingOptions,
    Records,
)
from oauth_taskflow.api.page import PageView
from oauth_taskflow.api.paginators import PAGINATORS, build_paginator, register_paginator
from oauth_taskflow.api.pull import pull
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import InvalidRecord, PaginationLoop, SpecError
from tests.api.offline import BASE, Offline, answer

ITEMS = Records(path="items")
totals = st.integers(0, 40)
sizes = st.integers(1, 12)
prefetches = st.integers(1, 4)
first_page = ApiRequest("/rows", params={"q": "a"})


def read(api: Offline, paginate: Paginate, request: ApiRequest = first_page) -> list[int]:
    pages = pull(api, request, paginate=paginate, records=ITEMS, decode=True)
    return [record["id"] for page in pages for record in page.records]


def rows(start: int, size: int, total: int) -> list[dict[str, int]]:
    return [{"id": number} for number in range(max(start, 0), min(start + size, total))]


def query(request: ApiRequest) -> dict[str, str]:
    return {**dict(parse_qsl(urlsplit(request.path).query)), **request.params}


def view(
    body: Any, *, url: str = BASE, headers: Any = None, records: Any = (), **more: Any
) -> PageView:
    """A first page with a body, for asking a paginator directly."""
    response = answer(body, url=url, headers=headers)
    counts = {"index": 0, "first_rows": len(records), "rows_so_far": len(records), **more}
    return PageView(response, Body.of(response), list(records), first=first_page, **counts)


@given(totals, sizes, st.integers(0, 1), st.booleans(), prefetches)
def test_page_numbers_read_each_record_once(
    total: int, size: int, start: int, known: bool, prefetch: int
) -> None:
    def api(request: ApiRequest) -> Any:
        page = request.params.get("page", start) - start
        return {"items": rows(page * size, size, total), "pages": -(-total // size)}

    options = PageNumbers(
        start=start,
        size=size,
        size_param="per_page",
        total_pages="pages" if known else None,
        prefetch=prefetch,
    )
    assert read(Offline(api), options) == list(range(total))


@given(totals, sizes, sizes, st.sampled_from(["auto", "continue"]))
def test_page_numbers_survive_a_server_that_clamps_the_size(
    total: int, asked: int, clamp: int, rule: Any
) -> None:
    size = min(asked, clamp)
    api = Offline(lambda request: {"items": rows((request.params["page"] - 1) * size, size, total)})
    assert read(api, PageNumbers(size=asked, size_param="n", short_page=rule)) == list(range(total))


@given(totals, sizes, sizes, st.integers(0, 1), st.booleans())
def test_offsets_by_rows_received_survive_a_clamp(
    total: int, asked: int, clamp: int, start: int, known: bool
) -> None:
    def api(request: ApiRequest) -> Any:
        size = min(request.params["limit"], clamp)
        return {"items": rows(request.params["offset"] - start, size, total), "total": total}

    options = Offsets(size=asked, start=start, total="total" if known else None)
    assert read(Offline(api), options) == list(range(total))


@given(totals, sizes, st.booleans(), st.sampled_from(["rows", "pages"]), prefetches)
def test_offsets_by_size_or_pages_read_each_record_once(
    total: int, size: int, known: bool, unit: Any, prefetch: int
) -> None:
    def api(request: ApiRequest) -> Any:
        offset = request.params["offset"] * (size if unit == "pages" else 1)
        return {"items": rows(offset, size, total), "total": total}

    options = Offsets(
        size=size, advance="size", unit=unit, total="total" if known else None, prefetch=prefetch
    )
    assert read(Offline(api), options) == list(range(total))


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=12),
    st.sampled_from(["body", "header", "json"]),
)
def test_cursors_read_each_record_once_empty_pages_included(counts: list[int], place: str) -> None:
    def api(request: ApiRequest) -> Any:
        at = request.json["page"]["after"] if request.json else request.params.get("after", "c0")
        page = int(at[1:])
        begin = sum(counts[:page])
        body = {"items": rows(begin, counts[page], begin + counts[page])}
        if page + 1 == len(counts):
            return body, {"X-Next": ""}
        return ({**body, "next": f"c{page + 1}"}, {"X-Next": f"c{page + 1}"})

    options = {
        "body": Cursors(next="next", param="after"),
        "header": Cursors(header="X-Next", param="after"),
        "json": Cursors(next="next", body="page.after"),
    }[place]
    assert read(Offline(api), options) == list(range(sum(counts)))


@given(totals, sizes)
def test_keyset_cursors_read_each_record_once(total: int, size: int) -> None:
    def api(request: ApiRequest) -> Any:
        return {"items": rows(int(request.params.get("since", -1)) + 1, size, total)}

    assert read(Offline(api), Cursors(last_record="id", param="since")) == list(range(total))


@given(
    totals,
    sizes,
    st.sampled_from(["?from={}", "/v3/rows?from={}", f"{BASE}rows?from={{}}", "rows?from={}"]),
)
def test_links_and_next_urls_read_each_record_once(total: int, size: int, form: str) -> None:
    def api(request: ApiRequest) -> Any:
        begin = int(query(request).get("from", 0))
        body: dict[str, Any] = {"items": rows(begin, size, total)}
        if begin + size >= total:
            return body
        following = form.format(begin + size)
        return {**body, "next": following}, {"Link": f'<{following}>; rel="next"'}

    request = ApiRequest("rows")
    assert read(Offline(api), NextUrls(next="next"), request) == list(range(total))
    assert read(Offline(api), Links(), request) == list(range(total))


# RFC 3986 section 5.4.1, resolved against its own base.
@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        (";x", "http://a/b/c/;x"),
        ("g;x", "http://a/b/c/g;x"),
        ("g;x?y", "http://a/b/c/g;x?y"),
        (".", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../g", "http://a/g"),
        ("http://other/x", "http://other/x"),
    ],
)
def test_rfc_3986_section_5_4_references_resolve_against_the_page(
    reference: str, target: str
) -> None:
    page = view(
        {"next": reference}, url="http://a/b/c/d;p?q", headers={"Link": f"<{reference}>; rel=next"}
    )
    for options in (NextUrls(next="next"), Links()):
        following = build_paginator(options).next(first_page, page)
        assert following is not None
        assert (following.path, following.exact, following.params) == (target, True, {})


def test_api_root_urls_are_left_to_the_session() -> None:
    paginator = build_paginator(NextUrls(next="next", base="api_root"))
    following = paginator.next(first_page, view({"next": "/rows?page=2"}))
    assert following is not None
    assert following.path == "/rows?page=2"


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("/x", "https://api.example.com/x?q=a"),
        ("/x?c=1", "https://api.example.com/x?c=1&q=a"),
        ("/x?q=b", "https://api.example.com/x?q=b"),
        ("/x?q=", "https://api.example.com/x?q="),
    ],
)
def test_sticky_parameters_are_added_only_when_missing(url: str, sent: str) -> None:
    paginator = build_paginator(NextUrls(next="next", sticky=("q", "absent")))
    following = paginator.next(first_page, view({"next": url}))
    assert following is not None
    assert following.path == sent


@pytest.mark.parametrize("end", [None, "", False, {"href": None}, {}])
def test_no_next_url_in_any_spelling_is_the_end(end: Any) -> None:
    assert build_paginator(NextUrls(next="next")).next(first_page, view({"next": end})) is None


def test_a_next_url_may_be_a_link_object() -> None:
    following = build_paginator(NextUrls(next="next")).next(
        first_page, view({"next": {"href": "?p=2"}})
    )
    assert following is not None
    assert following.path == f"{BASE}?p=2"


def test_a_next_url_that_is_a_number_is_an_error() -> None:
    with pytest.raises(InvalidRecord, match="The next URL at 'next' is 7, not text"):
        build_paginator(NextUrls(next="next")).next(first_page, view({"next": 7}))


def test_a_link_without_the_required_attribute_is_the_end() -> None:
    paginator = build_paginator(Links(require={"results": "true"}))
    link = '<?c=1>; rel="next"; results="{}"'
    assert paginator.next(first_page, view({}, headers={"Link": link.format("false")})) is None
    assert paginator.next(first_page, view({}, headers={"Link": link.format("true")})) is not None


def test_links_of_other_relations_are_passed_over() -> None:
    header = {"Link": '<?p=1>; rel="prev", <?p=9>; rel="last"'}
    assert build_paginator(Links()).next(first_page, view({}, headers=header)) is None


def cursor_after(options: Cursors, body: Any, records: Any = ({"id": 1},)) -> Any:
    following = build_paginator(options).next(first_page, view(body, records=records))
    return None if following is None else following.params.get("after", following.json)


@pytest.mark.parametrize(
    "body", [{}, {"next": None}, {"next": ""}, {"next": []}, {"next": {}}, {"other": 1}]
)
def test_absent_null_and_empty_cursors_are_the_end(body: Any) -> None:
    assert cursor_after(Cursors(next="next", param="after"), body) is None


@pytest.mark.parametrize("cursor", [0, "0", False, "a b"])
def test_falsy_cursors_go_on_unless_declared_as_the_end(cursor: Any) -> None:
    assert cursor_after(Cursors(next="next", param="after"), {"next": cursor}) == cursor
    declared = Cursors(next="next", param="after", end_values=(cursor,))
    assert cursor_after(declared, {"next": cursor}) is None


def test_end_values_are_compared_with_their_type() -> None:
    declared = Cursors(next="next", param="after", end_values=(0,))
    assert cursor_after(declared, {"next": False}) is False
    assert cursor_after(declared, {"next": "0"}) == "0"


def test_compound_cursors_travel_as_json() -> None:
    assert cursor_after(Cursors(next="next", param="after"), {"next": [1, "a"]}) == '[1,"a"]'
    in_body = Cursors(next="next", body="search_after")
    assert cursor_after(in_body, {"next": [1, "a"]}) == {"search_after": [1, "a"]}


def test_the_last_record_is_read_undecoded_too() -> None:
    options = Cursors(last_record="key.id", param="after")
    assert cursor_after(options, {}, [msgspec.Raw(b'{"key":{"id":12345678901234567890123}}')]) == (
        12345678901234567890123
    )


def test_a_last_record_without_its_cursor_is_an_error_not_the_end() -> None:
    with pytest.raises(InvalidRecord) as caught:
        cursor_after(Cursors(last_record="uuid", param="after"), {})
    assert str(caught.value) == (
        f"The last record of page 1 has no cursor at 'uuid' at GET {BASE}. "
        "Correct paginate.last_record; without it the rest would be left out silently."
    )


def test_an_empty_page_ends_a_cursor_only_when_declared() -> None:
    options = Cursors(next="next", param="after", empty_page="end")
    assert cursor_after(options, {"next": "a"}, []) is None
    assert cursor_after(Cursors(next="next", param="after"), {"next": "a"}, []) == "a"


@pytest.mark.parametrize(
    ("value", "ends"), [(1, True), (2, False), ("1", True), ("2 ", False), (2.0, False), (0, True)]
)
def test_totals_are_read_as_numbers_or_text(value: Any, ends: bool) -> None:
    page = view({"pages": value}, records=[1])
    following = build_paginator(PageNumbers(total_pages="pages")).next(first_page, page)
    assert (following is None) is ends


@pytest.mark.parametrize("value", ["many", [1], True, 1.5])
def test_an_unreadable_total_is_an_error(value: Any) -> None:
    with pytest.raises(InvalidRecord, match=r"total_pages pages is .*, not a number"):
        build_paginator(PageNumbers(total_pages="pages")).next(
            first_page, view({"pages": value}, records=[1])
        )


def test_a_total_absent_on_a_later_page_falls_back_to_the_rows() -> None:
    paginator = build_paginator(Offsets(size=2, total="total"))
    assert paginator.next(first_page, view({}, records=[1, 2])) is not None
    assert paginator.next(first_page, view({}, records=[])) is None


def test_a_short_page_ends_when_declared() -> None:
    paginator = build_paginator(PageNumbers(size=5, short_page="end"))
    assert paginator.next(first_page, view({}, records=[1])) is None


def test_the_first_page_number_is_left_out_when_asked() -> None:
    paginator = build_paginator(PageNumbers(send_first=False))
    assert paginator.first(first_page) == first_page
    following = paginator.next(first_page, view({}, records=[1]))
    assert following is not None
    assert following.params == {"q": "a", "page": 2}


def test_counts_travel_in_the_body_when_asked() -> None:
    options = PageNumbers(param="paging.page", size=5, size_param="paging.size", send_in="body")
    first = build_paginator(options).first(ApiRequest("/x", "POST", json={"paging": {"x": 1}}))
    assert first.json == {"paging": {"x": 1, "size": 5, "page": 1}}
    form = build_paginator(options).first(ApiRequest("/x", "POST", form={"q": "a"}))
    assert form.form == {"q": "a", "paging.size": 5, "paging.page": 1}


def test_a_parameter_written_into_the_path_is_replaced() -> None:
    request = ApiRequest("/x?page=1&a=b&pa%67e=9").with_param("page", 2)
    assert (request.path, request.params) == ("/x?a=b", {"page": 2})
    assert ApiRequest("/x?page=1").with_param("page", 2).path == "/x"


def test_a_single_page_has_no_next() -> None:
    paginator = build_paginator(NoPages())
    assert paginator.first(first_page) == first_page
    assert paginator.next(first_page, view({})) is None


def test_a_server_that_repeats_its_last_page_is_a_loop() -> None:
    api = Offline(lambda request: {"items": rows(min(request.params["page"], 3) * 2, 2, 99)})
    with pytest.raises(PaginationLoop):
        read(api, PageNumbers())


class Backwards:
    """A custom paginator: page numbers from the end."""

    def __init__(self, pages: int) -> None:
        self.pages = pages

    def first(self, request: ApiRequest) -> ApiRequest:
        return request.with_param("page", self.pages)

    def next(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        number = request.params["page"] - 1
        return request.with_param("page", number) if number else None


def test_a_custom_paginator_is_named_by_its_dotted_path() -> None:
    api = Offline(lambda request: {"items": [{"id": request.params["page"]}]})
    options = CustomPages(path="tests.api.test_paginators.Backwards", options={"pages": 3})
    assert read(api, options) == [3, 2, 1]


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("no_such_package.Paging", {}, "cannot be built: No module named 'no_such_package'"),
        ("tests.api.test_paginators.Forwards", {}, "has no attribute 'Forwards'"),
        ("tests.api.test_paginators.Backwards", {}, "missing 1 required positional argument"),
        (
            "oauth_taskflow.api.request.ApiRequest",
            {"path": "/x"},
            "lacks the methods first and next",
        ),
    ],
)
def test_a_custom_paginator_that_cannot_be_built_is_named(
    path: str, options: Any, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        build_paginator(CustomPages(path=path, options=options))


def test_a_registered_paginator_is_found_by_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    class Countdown(PagingOptions, frozen=True, kw_only=True, tag="countdown"):
        pages: int = 2

    known: Any = PAGINATORS
    monkeypatch.setitem(known, Countdown, None)  # taken out again afterwards
    register_paginator(Countdown, lambda options: Backwards(options.pages))
    assert build_paginator(Countdown()).first(ApiRequest("/x")).params == {"page": 2}
