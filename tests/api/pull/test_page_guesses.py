"""Pages that are asked for ahead: complete, once, in order, and few requests past the end, whatever the API does."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from oauth_taskflow.api.options import OffsetPaginator, PageNumberPaginator, Paginate, Records
from oauth_taskflow.api.paginators.base import TotalRows
from oauth_taskflow.api.pull.in_flight.places import Lane, Places
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.errors import ApiError, ApiRequestFailed, PaginationLoop
from tests.api.conftest import Connect, Serve
from tests.api.scripted import Asked, FakeClock, Reply, Sources
from tests.support.examples import examples

Local = Callable[..., OAuthSession]
End = Literal["empty", "404", "repeat", "drop", "not a page"]
ENDS: tuple[End, ...] = ("empty", "404", "repeat", "drop", "not a page")
ITEMS = Records(path="items")


@dataclass
class PagedApi:
    """``rows`` numbered rows in pages of the size that is asked for, at most ``clamp``; each style of end.

    ``short`` are indices of pages that come with one row less, ``total`` announces the number of rows plus the number of
    the request, if ``drifts``.
    """

    rows: int
    end: End = "empty"
    clamp: int = 1_000
    short: frozenset[int] = frozenset()
    total: bool = False
    drifts: bool = False
    asked: list[int] = field(default_factory=list)
    refusals: dict[int, Any] = field(default_factory=dict)

    def __call__(self, asked: Asked) -> Any:
        query = asked.query
        size = min(int(query.get("limit", 100)), self.clamp)
        start = int(query["offset"]) if "offset" in query else (int(query["page"]) - 1) * size
        index = start // size
        self.asked.append(index)
        if index in self.refusals:
            return self.refusals.pop(index)
        if start >= self.rows and start > 0:
            return self._past_end(size)
        found = list(range(start, min(start + size, self.rows)))
        if index in self.short:
            found = found[:-1]
        return self._body(found)

    def _body(self, rows: list[int]) -> dict[str, Any]:
        total = {"total": self.rows + (len(self.asked) if self.drifts else 0)}
        return {"items": [{"id": row} for row in rows], **(total if self.total else {})}

    def _past_end(self, size: int) -> Any:
        last = range((self.rows - 1) // size * size, self.rows)
        return {
            "empty": self._body([]),
            "404": Reply({"error": "gone"}, 404),
            "repeat": self._body(list(last)),
            "drop": Reply({}, 500),
            "not a page": Reply({"message": "no such page"}, 200),
        }[self.end]


def lane(at_once: int) -> Lane:
    return Lane(Places(at_once, is_fixed=True))


def read(session: OAuthSession, paginate: Paginate, ahead: Lane | None) -> list[int] | str:
    """The numbers of the rows, or the name of the error."""
    pages = pull(
        session, ApiRequest("/"), paginate=paginate, records=ITEMS, decode=True, ahead=0, lane=ahead
    )
    try:
        return [row["id"] for page in pages for row in page.records]
    except ApiError as error:
        return type(error).__name__


def paginator(style: str, size: int, **more: Any) -> Paginate:
    more = {"size": size, "size_param": "limit", "end_on_status": (404,), **more}
    return PageNumberPaginator(**more) if style == "page" else OffsetPaginator(**more)


apis = st.builds(
    PagedApi,
    rows=st.integers(0, 60),
    end=st.sampled_from(ENDS),
    clamp=st.sampled_from([1_000, 3]),
    short=st.frozensets(st.integers(0, 6), max_size=2),
    total=st.booleans(),
)


@pytest.mark.no_cover
@pytest.mark.slow
@examples(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(apis, st.integers(1, 9), st.integers(2, 8), st.sampled_from(["page", "offset"]))
def test_guessing_reads_what_reading_one_by_one_reads(
    local: Local, api: PagedApi, size: int, at_once: int, style: str
) -> None:
    paginate = paginator(style, size, **({"total": "total"} if api.total else {}))
    policy = RetryPolicy(attempts=2)
    alone = read(local(api, retry=policy), paginate, None)
    requests, api.asked, shared = len(api.asked), [], lane(at_once)
    assert read(local(api, retry=policy), paginate, shared) == alone
    assert len(api.asked) <= requests + at_once
    # A late guess draws a pause, and Hypothesis allows no draw while it draws the next example.
    shared.places.close()


@pytest.mark.slow
@examples(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 60), st.integers(1, 9), st.integers(2, 8))
def test_a_total_that_changes_with_every_page_ends_the_guessing(
    local: Local, rows: int, size: int, at_once: int
) -> None:
    api = PagedApi(rows, total=True, drifts=True)
    paginate = PageNumberPaginator(
        size=size, size_param="limit", total=TotalRows(path="total", approximate=True)
    )
    shared = lane(at_once)
    assert read(local(api), paginate, shared) == list(range(rows))
    assert len(api.asked) <= rows // size + 5 + at_once
    shared.places.close()


@pytest.mark.parametrize("style", ["page", "offset"])
@pytest.mark.parametrize("end", ["empty", "404", "not a page"])
@pytest.mark.parametrize("rows", [40, 43])
def test_at_most_one_less_than_in_flight_is_asked_for_past_the_end(
    local: Local, style: str, end: End, rows: int
) -> None:
    api = PagedApi(rows, end)
    found = read(local(api), paginator(style, 5), lane(4))
    natural = rows // 5  # The page that shows the end: the empty or short one.
    assert found == (list(range(rows)) if (rows, end) != (40, "not a page") else "RecordsNotFound")
    # Past the end, which of them were sent before they were thrown away is up to the threads.
    assert set(range(natural + 1)) <= set(api.asked)
    assert max(api.asked) <= natural + 3
    if found != "RecordsNotFound":
        assert len(api.asked) == len(set(api.asked))


@pytest.mark.parametrize("style", ["page", "offset"])
@pytest.mark.parametrize("rows", [5, 40, 43])
def test_an_announced_total_means_no_request_past_the_end(
    local: Local, style: str, rows: int
) -> None:
    api = PagedApi(rows, "drop", total=True)
    assert read(local(api), paginator(style, 5, total="total"), lane(8)) == list(range(rows))
    assert sorted(api.asked) == list(range(-(-rows // 5)))


def test_a_page_count_means_no_request_past_the_end_even_without_a_size(local: Local) -> None:
    def route(asked: Asked) -> Any:
        pages.append(int(asked.query["page"]))
        return {"items": [{"id": pages[-1]}], "pages": 6}

    pages: list[int] = []
    paginate = PageNumberPaginator(total_pages="pages")
    assert read(local(route), paginate, lane(8)) == [1, 2, 3, 4, 5, 6]
    assert sorted(pages) == [1, 2, 3, 4, 5, 6]


def test_guesses_are_in_flight_together(serve: Serve, connect: Connect) -> None:
    together = threading.Barrier(4, timeout=120)
    api = PagedApi(1_000)

    def route(asked: Asked) -> Any:
        if asked.query["page"] in {"6", "7", "8", "9"}:
            together.wait()
        return api(asked)

    pages = pull(
        connect(serve(route)),
        ApiRequest("/"),
        paginate=paginator("page", 10),
        records=ITEMS,
        lane=lane(4),
    )
    assert [next(pages).count for _ in range(9)] == [10] * 9
    pages.close()


def test_no_more_pages_are_guessed_than_came(local: Local) -> None:
    for pages in range(1, 5):
        api = PagedApi(pages * 5)
        assert len(read(local(api), paginator("page", 5), lane(8))) == pages * 5
        # Page one shows nothing, and the page after the last is asked for in any case.
        assert len(api.asked) <= 2 * pages + 1


def test_a_guess_that_hangs_holds_up_no_other_sequence(serve: Serve, connect: Connect) -> None:
    release = threading.Event()

    def route(asked: Asked) -> Any:
        page = int(asked.query["page"])
        if page > 3:
            release.wait(120)
        return {"items": [{"id": page}] * (2 if page < 3 else 1)}

    session, shared = connect(serve(route)), lane(4)
    assert read(session, paginator("page", 2), shared) == [1, 1, 2, 2, 3]
    assert not release.is_set()
    release.set()
    shared.places.close()
    assert [t.name for t in threading.enumerate() if t.name.startswith("oauth-taskflow-")] == []


def test_a_refused_token_is_replaced_once_for_all_guesses(
    serve: Serve, connect: Connect, source: Sources
) -> None:
    api = PagedApi(200)

    def route(asked: Asked) -> Any:
        is_stale = asked.headers["Authorization"] == "Bearer t1" and len(api.asked) > 6
        return Reply({}, 401) if is_stale else api(asked)

    assert read(connect(serve(route)), paginator("page", 10), lane(6)) == list(range(200))
    assert source.number == 2


NOT_GUESSED: dict[str, Paginate] = {
    "no size": PageNumberPaginator(end_on_status=(404,)),
    "size not sent": PageNumberPaginator(size=5),
    "short pages go on": PageNumberPaginator(size=5, size_param="limit", short_page="continue"),
    "one at once": PageNumberPaginator(size=5, size_param="limit", prefetch=1),
    "offset without size": OffsetPaginator(),
}


@pytest.mark.parametrize("name", NOT_GUESSED)
def test_risky_sequences_are_read_one_by_one(local: Local, name: str) -> None:
    api = PagedApi(30, clamp=5)
    assert read(local(api), NOT_GUESSED[name], lane(8)) == list(range(30))
    assert api.asked == list(range(7))


def test_a_post_is_sent_ahead_only_for_announced_pages(local: Local) -> None:
    for total, last in ((False, 6), (True, 5)):
        api = PagedApi(30, "drop" if total else "empty", total=total)
        paginate = paginator("page", 5, **({"total": "total"} if total else {}))
        pages = pull(
            local(api),
            ApiRequest("/", "POST"),
            paginate=paginate,
            records=ITEMS,
            lane=lane(8),
            ahead=0,
        )
        assert sum(page.count for page in pages) == 30
        assert sorted(api.asked) == list(range(last + 1))
        assert total or api.asked == list(range(last + 1))


def test_max_pages_and_max_records_bound_what_is_asked_for(local: Local) -> None:
    for more in ({"max_pages": 3}, {"max_records": 12}):
        api = PagedApi(1_000)
        assert read(local(api), paginator("page", 5, **more), lane(8)) == "PaginationLimit"
        assert max(api.asked) <= 2


def test_a_page_that_is_short_by_chance_ends_the_guessing(local: Local) -> None:
    api = PagedApi(1_000, short=frozenset({3}), total=True)
    paginate = paginator("page", 10, total=TotalRows(path="total", approximate=True))
    assert len(read(local(api), paginate, lane(4))) == 999
    # Those in flight when page three came are asked for again; a thread may begin later than those of the next pages.
    again = Counter(api.asked) - Counter(range(101))
    assert set(api.asked) == set(range(101))
    assert set(again) <= {4, 5, 6}
    assert set(again.values()) <= {1}


@pytest.mark.parametrize("refusal", [Reply({}, 500), Reply({}, 404), Reply(b"<html>")])
def test_an_error_to_a_guess_is_asked_again_alone(local: Local, refusal: Any) -> None:
    api = PagedApi(100, refusals={4: refusal})
    assert read(local(api), paginator("page", 10, end_on_status=()), lane(4)) == list(range(100))
    assert api.asked.count(4) == 2


@pytest.mark.parametrize("status", [429, 503])
def test_a_refused_guess_halves_the_number_and_guessing_goes_on(
    local: Local, clock: FakeClock, status: int
) -> None:
    api = PagedApi(200, refusals={4: Reply({}, status, {"Retry-After": "1"})})
    places = Places(8, start=4, clock=clock)  # by the real one, slow answers would halve it too
    assert read(local(api), paginator("page", 10), Lane(places)) == list(range(200))
    assert places.generation == 1
    assert api.asked.count(4) == 2
    assert len(api.asked) <= 21 + 3 + 1


def test_rows_that_came_before_are_asked_again_alone(local: Local) -> None:
    api = PagedApi(100, refusals={3: {"items": [{"id": row} for row in range(20, 30)]}})
    assert read(local(api), paginator("page", 10), lane(4)) == list(range(100))


def test_a_last_page_that_is_repeated_is_a_loop_with_guesses_too(local: Local) -> None:
    api = PagedApi(40, "repeat")
    with pytest.raises(PaginationLoop, match="Page 9 holds exactly what page 8 held"):
        list(
            pull(
                local(api),
                ApiRequest("/"),
                paginate=paginator("page", 5),
                records=ITEMS,
                lane=lane(4),
                ahead=0,
            )
        )


def test_a_real_error_is_raised_after_the_pages_before_it(local: Local) -> None:
    api = PagedApi(100)
    seen: list[int] = []

    def route(asked: Asked) -> Any:
        return Reply({}, 418) if asked.query["page"] == "5" else api(asked)

    pages = pull(
        local(route),
        ApiRequest("/"),
        paginate=paginator("page", 10),
        records=ITEMS,
        lane=lane(4),
        ahead=0,
    )
    with pytest.raises(ApiRequestFailed, match="418"):
        seen.extend(page.count for page in pages)
    assert seen == [10] * 4


def test_closing_early_ends_all_threads_although_guesses_would_be_retried(
    serve: Serve, connect: Connect
) -> None:
    api = serve(lambda asked: Reply({}, 503) if asked.query["page"] != "1" else {"items": [{}, {}]})
    pages = pull(
        connect(api),
        ApiRequest("/"),
        paginate=paginator("page", 2),
        records=ITEMS,
        lane=lane(8),
        ahead=0,
    )
    next(pages)
    pages.close()
    assert [t.name for t in threading.enumerate() if t.name.startswith("oauth-taskflow-")] == []
