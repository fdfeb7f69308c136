"""Pages fetched ahead and several at once."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from oauth_taskflow.api.errors import ApiStatusError
from oauth_taskflow.api.options import PageNumberPaginator
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.request import ApiRequest
from tests.api.conftest import Connect, Serve
from tests.api.pull.test_loop import ITEMS, ROWS, answer_by_number, ids
from tests.api.scripted import Asked, Reply


def test_the_next_page_is_fetched_while_one_is_consumed(serve: Serve, connect: Connect) -> None:
    second = threading.Event()

    def route(asked: Asked) -> Any:
        if asked.query["page"] == "2":
            second.set()
        return answer_by_number()(asked)

    pages = pull(
        connect(serve(route)), ApiRequest("/"), paginate=PageNumberPaginator(), records=ITEMS
    )
    next(pages)
    assert second.wait(120)
    assert ids(pages) == list(range(4, 10))


def threads() -> list[str]:
    return [
        thread.name for thread in threading.enumerate() if thread.name.startswith("oauth-taskflow-")
    ]


@pytest.mark.parametrize("prefetch", [1, 3])
def test_stopping_early_ends_the_thread_and_sends_no_more_requests(
    serve: Serve, connect: Connect, prefetch: int
) -> None:
    api = serve(lambda asked: {"items": [{"id": int(asked.query["page"])}]})
    pages = pull(
        connect(api),
        ApiRequest("/"),
        paginate=PageNumberPaginator(prefetch=prefetch),
        records=ITEMS,
    )
    next(pages)
    pages.close()
    asked = len(api.asked)
    assert threads() == []
    assert asked <= 3 + 2 * prefetch
    assert len(api.asked) == asked


def test_pages_before_an_error_arrive_before_it(serve: Serve, connect: Connect) -> None:
    def route(asked: Asked) -> Any:
        return {"items": ROWS[:1]} if asked.query["page"] == "1" else Reply({}, 400)

    seen = []
    pages = pull(
        connect(serve(route)), ApiRequest("/"), paginate=PageNumberPaginator(), records=ITEMS
    )
    seen.append(next(pages).count)
    with pytest.raises(ApiStatusError, match="400"):
        next(pages)
    assert (seen, threads()) == ([1], [])


def test_prefetched_pages_are_in_flight_together(serve: Serve, connect: Connect) -> None:
    together = threading.Barrier(3, timeout=120)

    def route(asked: Asked) -> Any:
        page = int(asked.query["page"])
        if page in {2, 3, 4}:
            together.wait()
        return {"items": ROWS[page - 1 : page], "pages": 4}

    paginate = PageNumberPaginator(total_pages="pages", prefetch=3)
    api = serve(route)
    assert ids(pull(connect(api), ApiRequest("/"), paginate=paginate, records=ITEMS)) == [
        0,
        1,
        2,
        3,
    ]
    assert len(api.asked) == 4


def test_an_error_of_the_observer_ends_the_thread_while_the_error_is_kept(
    serve: Serve, connect: Connect
) -> None:
    def observe(page: object) -> None:
        raise LookupError("not this one")

    api = serve(lambda asked: {"items": [{"id": int(asked.query["page"])}]})
    pages = pull(
        connect(api),
        ApiRequest("/"),
        paginate=PageNumberPaginator(),
        records=ITEMS,
        on_page=observe,
    )
    with pytest.raises(LookupError) as kept:
        next(pages)
    assert (threads(), str(kept.value)) == ([], "not this one")


def test_stopping_the_records_early_ends_the_thread(serve: Serve, connect: Connect) -> None:
    api = serve(lambda asked: {"items": [{"id": int(asked.query["page"])}]})
    records = connect(api).paginate("/", records="items", paginate=PageNumberPaginator())
    assert next(records) == {"id": 1}
    records.close()
    assert threads() == []
