"""Each paginator alone: for any page sizes each record comes once, and it ends."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api import options as options_module
from oauth_taskflow.api.options import (
    CursorPaginator,
    CustomPaginator,
    LinkHeaderPaginator,
    NextUrlPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginate,
    Records,
    SinglePage,
)
from oauth_taskflow.api.paginators.base import IndexedPaginator
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.pull.page import PageView
from oauth_taskflow.api.pull.sequence import PageSequence
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import PaginationLoop, SpecError
from tests.api.pull.offline import BASE, Offline, first_page, view
from tests.api.pull.styles import UntilEmpty

ITEMS = Records(path="items")
totals = st.integers(0, 40)
sizes = st.integers(1, 12)
prefetches = st.integers(1, 4)


def read(api: Offline, paginate: Paginate, request: ApiRequest = first_page) -> list[int]:
    pages = pull(api, request, paginate=paginate, records=ITEMS, decode=True)
    return [record["id"] for page in pages for record in page.records]


def rows(start: int, size: int, total: int) -> list[dict[str, int]]:
    return [{"id": number} for number in range(max(start, 0), min(start + size, total))]


def query(request: ApiRequest) -> dict[str, str]:
    return {**dict(parse_qsl(urlsplit(request.path).query)), **request.params}


@given(totals, sizes, st.integers(0, 1), st.booleans(), prefetches)
def test_page_numbers_read_each_record_once(
    total: int, size: int, start: int, known: bool, prefetch: int
) -> None:
    def api(request: ApiRequest) -> Any:
        page = request.params.get("page", start) - start
        return {"items": rows(page * size, size, total), "pages": -(-total // size)}

    options = PageNumberPaginator(
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
    assert read(api, PageNumberPaginator(size=asked, size_param="n", short_page=rule)) == list(
        range(total)
    )


@given(totals, sizes, sizes, st.integers(0, 1), st.booleans())
def test_offsets_by_rows_received_survive_a_server_that_clamps_the_size(
    total: int, asked: int, clamp: int, start: int, known: bool
) -> None:
    def api(request: ApiRequest) -> Any:
        size = min(request.params["limit"], clamp)
        return {"items": rows(request.params["offset"] - start, size, total), "total": total}

    options = OffsetPaginator(size=asked, start=start, total="total" if known else None)
    assert read(Offline(api), options) == list(range(total))


@given(totals, sizes, st.booleans(), st.sampled_from(["rows", "pages"]), prefetches)
def test_offsets_by_size_or_pages_read_each_record_once(
    total: int, size: int, known: bool, unit: Any, prefetch: int
) -> None:
    def api(request: ApiRequest) -> Any:
        offset = request.params["offset"] * (size if unit == "pages" else 1)
        return {"items": rows(offset, size, total), "total": total}

    options = OffsetPaginator(
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
        "body": CursorPaginator(next="next", param="after"),
        "header": CursorPaginator(header="X-Next", param="after"),
        "json": CursorPaginator(next="next", body="page.after"),
    }[place]
    assert read(Offline(api), options) == list(range(sum(counts)))


@given(totals, sizes)
def test_keyset_cursors_read_each_record_once(total: int, size: int) -> None:
    def api(request: ApiRequest) -> Any:
        return {"items": rows(int(request.params.get("since", -1)) + 1, size, total)}

    assert read(Offline(api), CursorPaginator(last_record="id", param="since")) == list(
        range(total)
    )


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
    assert read(Offline(api), NextUrlPaginator(next="next"), request) == list(range(total))
    assert read(Offline(api), LinkHeaderPaginator(), request) == list(range(total))


def test_a_single_page_has_no_next() -> None:
    paginator = SinglePage()
    assert paginator.first_request(first_page) == first_page
    assert paginator.next_request(first_page, view({})) is None


def test_a_server_that_repeats_its_last_page_is_a_loop() -> None:
    api = Offline(lambda request: {"items": rows(min(request.params["page"], 3) * 2, 2, 99)})
    with pytest.raises(PaginationLoop):
        read(api, PageNumberPaginator())


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
    options = CustomPaginator(
        path="tests.api.paginators.test_every_style.Backwards", options={"pages": 3}
    )
    assert read(api, options) == [3, 2, 1]


class FollowsLinks:
    """A custom paginator with the names that the former release gave to request and page."""

    def first(self, request: ApiRequest) -> ApiRequest:
        return request

    def next(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        url = page.body.decoded()["next"]
        return request.at_url(url) if url else None


def test_a_custom_paginator_may_use_the_names_of_the_former_release() -> None:
    pages = {"/rows": {"items": [{"id": 1}], "next": "/more"}}
    api = Offline(lambda request: pages.get(request.path, {"items": [{"id": 2}], "next": None}))
    options = CustomPaginator(path="tests.api.paginators.test_every_style.FollowsLinks")
    assert read(api, options) == [1, 2]


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("no_such_package.Paging", {}, "cannot be built: No module named 'no_such_package'"),
        ("tests.api.paginators.test_every_style.Forwards", {}, "has no attribute 'Forwards'"),
        (
            "tests.api.paginators.test_every_style.Backwards",
            {},
            "missing 1 required positional argument",
        ),
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
        CustomPaginator(path=path, options=options).build()


class Ahead(UntilEmpty):
    """A custom paginator that knows every request beforehand."""

    prefetch = 3

    def at(self, request: ApiRequest, index: int) -> ApiRequest:
        return request.with_param("at", index)

    def pages(self, page: PageView) -> int | None:
        return None

    def page_count(self, page: PageView) -> int | None:
        return None


def test_a_custom_paginator_that_knows_every_request_is_read_ahead() -> None:
    api = Offline(lambda request: {"items": rows(request.params["at"] * 2, 2, 9)})
    options = CustomPaginator(path="tests.api.paginators.test_every_style.Ahead")
    paginator = options.build()
    assert isinstance(paginator, IndexedPaginator)
    assert paginator.pages_at_once == 3
    assert paginator.request_at(first_page, 7).params["at"] == 7
    assert read(api, options) == list(range(9))


def test_options_that_are_not_a_paginator_are_refused_in_words() -> None:
    options: Any = {"type": "page"}
    with pytest.raises(TypeError) as caught:
        PageSequence(first_page, options)
    assert str(caught.value) == (
        "paginate takes options such as PageNumberPaginator(size=100), not dict; see oauth_taskflow.api.options"
    )


@pytest.mark.parametrize(
    ("former", "style"),
    [
        ("NoPages", SinglePage),
        ("PageNumbers", PageNumberPaginator),
        ("Offsets", OffsetPaginator),
        ("Cursors", CursorPaginator),
        ("Links", LinkHeaderPaginator),
        ("NextUrls", NextUrlPaginator),
        ("CustomPages", CustomPaginator),
    ],
)
def test_former_names_of_the_styles_are_importable(former: str, style: type) -> None:
    assert getattr(options_module, former) is style
    assert former in options_module.__all__
