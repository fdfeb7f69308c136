"""One API in every paging style: three pages of two rows, where any page may be answered otherwise."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.adapters import BaseAdapter

from oauth_taskflow.api.options import (
    CursorPaginator,
    CustomPaginator,
    KeysetPaginator,
    LinkHeaderPaginator,
    NextUrlPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginate,
    SinglePage,
)
from oauth_taskflow.api.pull.page import PageView
from oauth_taskflow.api.request import ApiRequest
from tests.api.scripted import Asked, Reply, Route

PAGES, SIZE = 3, 2
ROWS = [{"id": number} for number in range(1, PAGES * SIZE + 1)]


class UntilEmpty:
    """A custom paginator: numbers pages until one is empty."""

    def first(self, request: ApiRequest) -> ApiRequest:
        return request.with_param("at", 0)

    def next(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        return request.with_param("at", page.index + 1) if page.rows else None


def custom(**options: Any) -> CustomPaginator:
    return CustomPaginator(path="tests.api.pull.styles.UntilEmpty", **options)


# style → paginator from further options
STYLES: dict[str, Callable[..., Paginate]] = {
    "page": lambda **more: PageNumberPaginator(param="at", start=0, **more),
    "page ahead": lambda **more: PageNumberPaginator(param="at", start=0, prefetch=3, **more),
    "offset": lambda **more: OffsetPaginator(param="at", **more),
    "offset ahead": lambda **more: OffsetPaginator(
        param="at", size=SIZE, advance="size", prefetch=3, **more
    ),
    "cursor": lambda **more: CursorPaginator(next="next", param="at", **more),
    "cursor header": lambda **more: CursorPaginator(header="X-Next", param="at", **more),
    "last record": lambda **more: CursorPaginator(last_record="id", param="at", **more),
    "keyset": lambda **more: KeysetPaginator(key="id", param="at", **more),
    "next url": lambda **more: NextUrlPaginator(next="url", **more),
    "next url header": lambda **more: NextUrlPaginator(header="X-Next", **more),
    "link": LinkHeaderPaginator,
    "none": SinglePage,
    "custom": custom,
}
PAGED = [style for style in STYLES if style != "none"]
POINTED = ["cursor", "cursor header", "next url", "next url header", "link"]
COUNTED = ["page", "page ahead", "offset", "offset ahead", "custom", "last record", "keyset"]


class WithoutSockets(BaseAdapter):
    """Answers a session's requests by a route, in this process: thousands of cases in seconds."""

    def __init__(self, route: Route) -> None:
        super().__init__()
        self._route = route

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        asked = Asked(request.method or "", request.path_url, request.headers, b"")
        answer = self._route(asked)
        reply = answer if isinstance(answer, Reply) else Reply(answer)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        response = requests.Response()
        response.status_code = reply.status
        response.headers.update({"Content-Type": "application/json", **reply.headers})
        response.raw = io.BytesIO(b"" if reply.status in {204, 304} else body)
        response.url, response.request = request.url or "", request
        return response

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Api:
    """The route. ``instead`` answers the page of that index otherwise, the first ``times`` times it is asked for.

    ``total`` is in the body and in a header; ``pages`` is how many there really are.
    """

    style: str
    instead: Mapping[int, Any] = field(default_factory=dict)
    times: int = 1_000
    total: Any = None
    pages: int = PAGES
    flags: bool = False
    asked: Counter[int] = field(default_factory=Counter)

    def index(self, asked: Asked) -> int:
        at = int(asked.query.get("at", 0))
        by_rows = self.style in {"offset", "offset ahead", "last record", "keyset"}
        return at // SIZE if by_rows else at

    def __call__(self, asked: Asked) -> Any:
        index = self.index(asked)
        self.asked[index] += 1
        if index in self.instead and self.asked[index] <= self.times:
            return self.instead[index]
        return self.page(
            index, ROWS[index * SIZE : (index + 1) * SIZE] if index < self.pages else []
        )

    def page(self, index: int, rows: list[Any] | None) -> Reply:
        """Returns page ``index`` with ``rows``; without the key of the records when ``rows`` is None."""
        body: dict[str, Any] = {} if rows is None else {"items": rows}
        headers = {}
        if self.flags:
            body["more"] = index + 1 < self.pages
        if self.total is not None:
            body["total"] = self.total
            headers["X-Total"] = str(self.total)
        if index + 1 < self.pages:
            pointers = {
                "cursor": {"next": str(index + 1)},
                "next url": {"url": f"?at={index + 1}"},
            }
            body |= pointers.get(self.style, {})
            headers |= {
                "cursor header": {"X-Next": str(index + 1)},
                "next url header": {"X-Next": f"?at={index + 1}"},
                "link": {"Link": f'<?at={index + 1}>; rel="next"'},
            }.get(self.style, {})
        return Reply(json.dumps(body).encode(), headers=headers)
