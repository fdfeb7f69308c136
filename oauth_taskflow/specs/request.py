"""Options of the request for a page, and of another one for the first run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from oauth_taskflow.api.paginators import Paginate
from oauth_taskflow.api.pull.records import Records
from oauth_taskflow.schema.types import JmesPath, Options, Text, doc

Json = str | int | float | bool | None | list[Any] | dict[str, Any]


class Request(Options, frozen=True, kw_only=True):
    """The request for a page. Every text is a template."""

    method: Annotated[Literal["GET", "POST", "PUT", "PATCH"], doc("HTTP method.", "GET")] = "GET"
    path: Annotated[
        Text | None,
        doc(
            "Path below the connection's base URL; values filled in are percent-encoded.",
            "/v3/contacts",
        ),
    ] = None
    base_url: Annotated[
        Text | None,
        doc(
            "Base URL in place of the connection's, which must allow its origin. A template at the beginning gives a URL, "
            "values elsewhere are percent-encoded.",
            "{{ site.api_url }}",
            "https://{{ params.region }}.example.com/v3",
        ),
    ] = None
    url: Annotated[
        Text | None,
        doc(
            "Whole URL in place of base URL and path, as a record has it; the connection must allow its origin.",
            "{{ file.url_private }}",
        ),
    ] = None
    params: Annotated[
        dict[str, Json],
        doc("Query parameters; null removes a default, a list repeats the name.", {"limit": 200}),
    ] = {}
    headers: Annotated[dict[str, str], doc("Request headers.", {"Accept": "application/json"})] = {}
    json: Annotated[Json, doc("JSON body.", {"filter": {"status": "open"}})] = None
    form: Annotated[dict[str, Json], doc("Form-encoded body.", {"q": "a"})] = {}


class FirstRun(Options, frozen=True, kw_only=True):
    """The request, records and paging of the run that reads from ``start``; merged over those of the endpoint."""

    request: Annotated[
        Request,
        doc("What differs in the request; null removes.", {"path": "/v1/charges"}),
    ] = Request()
    records: Annotated[JmesPath | Records | None, doc("Where the records are.", "data")] = None
    paginate: Annotated[Paginate | None, doc("How the next page is found.", {"type": "link"})] = (
        None
    )
