"""Page numbers and offsets, page by page."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.api.options import OffsetPaginator, PageNumberPaginator
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import InvalidRecord
from tests.api.pull.offline import first_page, view


@pytest.mark.parametrize(
    ("value", "ends"),
    [(1, True), (2, False), ("1", True), ("2 ", False), (2.0, False), (0, False), (-1, False)],
)
def test_totals_are_read_as_numbers_or_text(value: Any, ends: bool) -> None:
    """A count of zero on a page with rows, or a negative one, is ignored."""
    page = view({"pages": value}, records=[1])
    following = PageNumberPaginator(total_pages="pages").next_request(first_page, page)
    assert (following is None) is ends


@pytest.mark.parametrize("value", ["many", [1], True, 1.5, "9" * 5_000])
def test_an_unreadable_total_is_an_error(value: Any) -> None:
    with pytest.raises(InvalidRecord, match=r"total_pages pages is .*, not a number"):
        PageNumberPaginator(total_pages="pages").next_request(
            first_page, view({"pages": value}, records=[1])
        )


def test_a_total_absent_on_a_later_page_falls_back_to_the_rows() -> None:
    paginator = OffsetPaginator(size=2, total="total")
    assert paginator.next_request(first_page, view({}, records=[1, 2])) is not None
    assert paginator.next_request(first_page, view({}, records=[])) is None


def test_a_short_page_ends_when_declared() -> None:
    paginator = PageNumberPaginator(size=5, short_page="end")
    assert paginator.next_request(first_page, view({}, records=[1])) is None


def test_the_first_page_number_is_left_out_when_asked() -> None:
    paginator = PageNumberPaginator(send_first=False)
    assert paginator.first_request(first_page) == first_page
    following = paginator.next_request(first_page, view({}, records=[1]))
    assert following is not None
    assert following.params == {"q": "a", "page": 2}


def test_counts_travel_in_the_body_when_asked() -> None:
    options = PageNumberPaginator(
        param="paging.page", size=5, size_param="paging.size", send_in="body"
    )
    first = options.first_request(ApiRequest("/x", "POST", json={"paging": {"x": 1}}))
    assert first.json == {"paging": {"x": 1, "size": 5, "page": 1}}
    form = options.first_request(ApiRequest("/x", "POST", form={"q": "a"}))
    assert form.form == {"q": "a", "paging.size": 5, "paging.page": 1}


def test_a_parameter_written_into_the_path_is_replaced() -> None:
    request = ApiRequest("/x?page=1&a=b&pa%67e=9").with_param("page", 2)
    assert (request.path, request.params) == ("/x?a=b", {"page": 2})
    assert ApiRequest("/x?page=1").with_param("page", 2).path == "/x"
