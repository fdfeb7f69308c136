"""Rules about paginators: missing options, contradictions, and small pages."""

from __future__ import annotations

from oauth_taskflow.api.paginators.base import PagingOptions
from oauth_taskflow.api.paginators.custom import CustomPaginator
from oauth_taskflow.api.pull.records import Records
from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule

_SMALL_PAGE = 5


@endpoint_rule("paginator-incomplete", about="paginate")
def paginator_incomplete(view: EndpointView) -> Findings:
    """A paginator that cannot find the next page, or cannot ask for it.

    Bad: `paginate: {type: cursor, next: paging.next.after}` (the cursor is never sent)

    Good: `paginate: {type: cursor, next: paging.next.after, param: after}`
    """
    yield from _flaws(view, "incomplete")


@endpoint_rule("paginator-contradiction", about="paginate")
def paginator_contradiction(view: EndpointView) -> Findings:
    """Options of a paginator that exclude each other, so that one of them would be ignored.

    A parameter or header that the request sets as well counts, unless the paginator sends its own from page two on only: the
    request's value is that of page one.

    Bad: `paginate: {type: offset, prefetch: 4}` (rows received are unknown before the page is there)

    Good: `paginate: {type: offset, prefetch: 4, size: 100}`, `params: {cursor: "*"}` with
    `paginate: {type: cursor, next: meta.next_cursor, param: cursor}`
    """
    yield from _flaws(view, "contradiction")
    paginate = view.endpoint.paginate
    if paginate is None:
        return
    yield from _find_names_set_twice(view, paginate)
    is_sent = not view.placed_names.issuperset(paginate.page_names)
    if paginate.place == "body" and is_sent and view.endpoint.request.method == "GET":
        path = ("paginate", paginate.place_option)
        yield Finding(path, "a GET request has no body to page by", "Write method: POST.")


def _find_names_set_twice(view: EndpointView, paginate: PagingOptions) -> Findings:
    """Parameters and headers that both the request and the paginator set on page one.

    What the paginator sends from page two on only, such as a cursor, replaces the request's own value there.
    """
    request = view.endpoint.request
    names = paginate.sent_names.items()
    elsewhere = view.placed_names | paginate.late_page_names
    sent = {name for value, name in names if name and value not in elsewhere}
    if paginate.place == "query":
        for name in sent.intersection(request.params):
            hint = f"Remove it here; the paginator sends {name!r}."
            message = f"the paginator sets the parameter {name!r}, too"
            yield Finding(("request", "params", name), message, hint, at_key=True)
    if paginate.place == "header":
        lowered = {name.lower() for name in sent}
        for name in request.headers:
            if name.lower() in lowered:
                hint = f"Remove it here; the paginator sends {name!r}."
                message = f"the paginator sets the header {name!r}, too"
                yield Finding(("request", "headers", name), message, hint, at_key=True)


@endpoint_rule("records-contradiction", about="records")
def records_contradiction(view: EndpointView) -> Findings:
    """`require: false` means `absent: empty`; the two must not disagree.

    Bad: `records: {path: items, absent: fail, require: false}`

    Good: `records: {path: items, absent: empty}`
    """
    records = view.endpoint.records
    if isinstance(records, Records) and records.absent == "fail" and not records.require:
        message = "require: false means absent: empty"
        yield Finding(("records", "require"), message, "Keep one of them.")


@endpoint_rule("small-page", "warning", about="paginate")
def small_page(view: EndpointView) -> Findings:
    """A page size of five or less makes hundreds of requests where one would do.

    Bad: `paginate: {type: page, size: 2, size_param: per_page}`, left over from a trial

    Good: `paginate: {type: page, size: 200, size_param: per_page}`
    """
    size = view.endpoint.paginate.page_size if view.endpoint.paginate is not None else None
    if size is not None and size <= _SMALL_PAGE:
        message = f"a page of {size} records is very small"
        yield Finding(("paginate", "size"), message, "APIs allow 50 to 1000.")


@endpoint_rule("size-not-sent", "warning", about="paginate")
def size_not_sent(view: EndpointView) -> Findings:
    """A size that is not sent is a guess: where the API's own pages are of another size, no page counts as short.

    Where the API has no parameter for it and its pages are known to be that long, `size_param: null` says so.

    Bad: `paginate: {type: page, size: 100}`

    Good: `paginate: {type: page, size: 100, size_param: per_page}`, `paginate: {type: page, size: 100, size_param: null}`
    """
    paginate = view.endpoint.paginate
    if paginate is None or paginate.page_size is None or "size" in view.placed_names:
        return
    if not paginate.sent_names.get("size") and "size_param" not in (view.raw.get("paginate") or {}):
        message = f"the size of {paginate.page_size} is not sent"
        hint = "Write size_param: limit, or size_param: null if the API's own pages are that long."
        yield Finding(("paginate", "size"), message, hint)


def _flaws(view: EndpointView, kind: str) -> Findings:
    for flaw in view.paginator_flaws:
        if flaw.kind == kind and flaw.unless_placed not in view.placed_names:
            yield Finding(("paginate", *flaw.option.split(".")), flaw.message, flaw.hint)


@endpoint_rule("concurrency-without-effect", "warning", about="concurrency")
def concurrency_without_effect(view: EndpointView) -> Findings:
    """A number of requests at once for an endpoint that has one request to send at a time: each page leads to the next.

    Parents of `for_each`, windows (`incremental.step`) and the styles `page` and `offset` are read several at once. A number
    from the defaults is for the other endpoints.

    Bad: `concurrency: 8` with `paginate: {type: cursor, …}` and nothing to repeat

    Good: the same without it, or `incremental: {…, step: P7D}` where the API filters by time
    """
    endpoint = view.endpoint
    is_inherited = endpoint.concurrency == view.source.defaults.concurrency
    if is_inherited or endpoint.concurrency in {"auto", 1} or view.parents:
        return
    paginate, windows = endpoint.paginate, endpoint.incremental
    if isinstance(paginate, CustomPaginator) or (windows is not None and windows.step is not None):
        return
    if paginate is None or paginate.most_at_once == 1:
        message = "this endpoint sends one request after the other, whatever the number is"
        yield Finding(("concurrency",), message, "Remove it, or see docs/speed.md.")
