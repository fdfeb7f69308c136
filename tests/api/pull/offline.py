"""A fetcher without a network: a function from request to body stands for the API."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import requests

from oauth_taskflow.api.decoders.json import Body
from oauth_taskflow.api.exchange import FetchResult
from oauth_taskflow.api.options import Paginate, Records
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.pull.page import PageView
from oauth_taskflow.api.request import ApiRequest

BASE = "https://api.example.com/v3/"


def answer(
    body: Any, *, url: str = BASE, status: int = 200, headers: Mapping[str, str] | None = None
) -> requests.Response:
    """A response as ``requests`` makes it; bytes are the body as it is, else it is JSON."""
    response = requests.Response()
    response.status_code = status
    response.url = url
    response.headers.update({"Content-Type": "application/json", **(headers or {})})
    response._content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response.request = requests.Request("GET", url).prepare()
    return response


@dataclass
class Offline:
    """Answers ``api(request)``: a response, a body, or a pair of body and headers."""

    api: Callable[[ApiRequest], Any]
    asked: list[ApiRequest] = field(default_factory=list)

    def fetch(self, request: ApiRequest, **options: Any) -> FetchResult:
        self.asked.append(request)
        made = self.api(request)
        body, headers = made if isinstance(made, tuple) else (made, {})
        response = body
        if not isinstance(body, requests.Response):
            response = answer(body, url=urljoin(BASE, request.path), headers=headers)
        return FetchResult(response, value=options["judge"](response, None))


first_page = ApiRequest("/rows", params={"q": "a"})


def read_warnings(
    paginate: Paginate | None,
    records: str | None,
    *answers: Any,
    request: ApiRequest = first_page,
) -> list[str]:
    """The warnings of a pull of ``answers``, each as ``Offline`` takes them; a request for one more gets a 404."""
    warnings = list[str]()
    left = iter([*answers, answer({}, status=404)])
    options: dict[str, Any] = {"paginate": paginate, "records": Records(path=records)}
    list(pull(Offline(lambda _: next(left)), request, warn=warnings.append, **options))
    return warnings


def view(
    body: Any, *, url: str = BASE, headers: Any = None, records: Any = (), **more: Any
) -> PageView:
    """A first page with a body, for asking a paginator directly."""
    response = answer(body, url=url, headers=headers)
    counts = {"index": 0, "first_rows": len(records), "rows_so_far": len(records), **more}
    return PageView(
        response, Body.from_response(response), list(records), first=first_page, **counts
    )
