"""A sequence goes on from the marks of its pages as if it had never been cut off."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.decoders.numbers import decode, encode
from oauth_taskflow.api.options import CursorPaginator, KeysetPaginator, Records
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.pull.marks import Marks, SequenceState
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.errors import PagesCutShort, PaginationLimit, PaginationLoop
from tests.api.pull.styles import PAGES, ROWS, STYLES, Api, WithoutSockets
from tests.support.auth import bearer_auth

FIRST = ApiRequest("/rows", params={"q": "a"})


def open_session(api: Any) -> OAuthSession:
    session = OAuthSession("https://api.example.com", bearer_auth("t"))
    session.mount("https://", WithoutSockets(api))
    return session


def read(api: Any, style: str, state: SequenceState | None = None, **options: Any) -> list[Page]:
    paginate = STYLES[style](**options)
    with open_session(api) as session:
        pages = pull(
            session,
            FIRST,
            paginate=paginate,
            records=Records(path="items"),
            decode=True,
            resume=state,
        )
        return list(pages)


def state_after(pages: list[Page]) -> SequenceState:
    """The state as it comes back from a file."""
    marks = Marks()
    for page in pages:
        assert page.mark is not None
        marks.add(page.mark)
    state = marks.state()
    assert state is not None
    state.request = decode(encode(state.request))
    return state


@given(style=st.sampled_from(sorted(STYLES)), cut=st.integers(1, PAGES), has_total=st.booleans())
def test_the_pages_after_a_cut_are_those_of_an_uncut_pull(
    style: str, cut: int, has_total: bool
) -> None:
    options: dict[str, Any] = {"total": "total"} if has_total and style != "none" else {}
    whole = read(Api(style, total=len(ROWS) if options else None), style, **options)
    before = whole[:cut]
    api = Api(style, total=len(ROWS) if options else None)
    after = read(api, style, state_after(before), **options)
    records = [record for page in (*before, *after) for record in page.records]
    assert records == [record for page in whole for record in page.records]
    assert [page.index for page in (*before, *after)] == [page.index for page in whole]
    assert [number for number in api.asked if number < len(before)] == []


def test_a_page_that_leads_back_is_noticed_after_the_cut() -> None:
    def route(asked: Any) -> Any:
        at = int(asked.query.get("at", 0))
        return {"items": [{"id": at}], "next": str((at + 1) % 4)}

    with pytest.raises(PaginationLoop):
        read(route, "cursor")
    with open_session(route) as session:
        paginate = CursorPaginator(next="next", param="at")
        pages = list(
            islice(pull(session, FIRST, paginate=paginate, records=Records(path="items")), 2)
        )
    with pytest.raises(PaginationLoop, match="leads back to a page that was read before"):
        read(route, "cursor", state_after(pages))


def test_totals_and_hard_stops_count_the_pages_before_the_cut() -> None:
    first = read(Api("cursor"), "cursor")[:2]
    with pytest.raises(PagesCutShort, match="after 6 records, but the API announced 7"):
        read(Api("cursor", total=7), "cursor", state_after(first), total="total")
    with pytest.raises(PaginationLimit, match="max_records = 5"):
        read(Api("cursor"), "cursor", state_after(first), max_records=5)


def test_records_of_the_last_key_are_dropped_after_the_cut_too() -> None:
    rows = [{"id": number, "at": key} for number, key in enumerate([1, 2, 2, 2, 3, 3, 4])]

    def route(asked: Any) -> Any:
        since = int(asked.query.get("since", 0))
        return {"items": [row for row in rows if row["at"] >= since][:4]}

    paginate = KeysetPaginator(key="at", param="since", overlap=True, size=4)
    options: Any = {"paginate": paginate, "records": Records(path="items"), "decode": True}
    with open_session(route) as session:
        for cut in (1, 2, 3):
            before = list(islice(pull(session, FIRST, **options), cut))
            after = list(pull(session, FIRST, **options, resume=state_after(before)))
            assert [record for page in (*before, *after) for record in page.records] == rows
