"""Rules about paginators: what is missing and what contradicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from oauth_taskflow.api.options import (
    Cursors,
    CustomPages,
    NextUrls,
    Offsets,
    PageNumbers,
    Records,
    TotalRows,
)
from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule

# key at fault, message, hint
_Flaw = tuple[str, str, str]
_SMALL_PAGE = 5


@endpoint_rule("paginator-incomplete")
def paginator_incomplete(view: EndpointView) -> Findings:
    """A paginator that cannot find the next page, or cannot ask for it.

    Bad: `paginate: {type: cursor, next: paging.next.after}` (the cursor is never sent)

    Good: `paginate: {type: cursor, next: paging.next.after, param: after}`
    """
    yield from _flaws(view, _INCOMPLETE)
    # An offset has a size_param by default, so only one that is written can be meant.
    paginate = view.endpoint.paginate
    if (
        isinstance(paginate, Offsets)
        and paginate.size is None
        and "size_param" in view.raw["paginate"]
    ):
        yield _finding("size_param", "size_param is sent only with size", "Write size: 100.")
    total = paginate.total if paginate else None
    if isinstance(total, TotalRows) and not (total.path or total.header):
        hint = "Write path: meta.total, or header: X-Total-Count."
        yield _finding("total", "the total has no place", hint)


@endpoint_rule("paginator-contradiction")
def paginator_contradiction(view: EndpointView) -> Findings:
    """Options of a paginator that exclude each other, so that one of them would be ignored.

    Bad: `paginate: {type: offset, prefetch: 4}` (rows received are unknown before the page is there)

    Good: `paginate: {type: offset, prefetch: 4, advance: size, size: 100}`
    """
    yield from _flaws(view, _CONTRADICTING)
    paginate = view.endpoint.paginate
    if paginate is None:
        return
    if paginate.more and paginate.last:
        yield _finding("last", "more and last both say where the end is", "Keep one of them.")
    if isinstance(paginate.total, TotalRows) and paginate.total.path and paginate.total.header:
        yield _finding("total", "path and header both hold the total", "Keep one of them.")
    yield from _sent_twice(view)
    if _in_body(paginate) and view.endpoint.request.method == "GET":
        key = "body" if isinstance(paginate, Cursors) else "send_in"
        yield _finding(key, "a GET request has no body to page by", "Write method: POST.")


@endpoint_rule("records-contradiction")
def records_contradiction(view: EndpointView) -> Findings:
    """`require: false` means `absent: empty`; the two must not disagree.

    Bad: `records: {path: items, absent: fail, require: false}`

    Good: `records: {path: items, absent: empty}`
    """
    records = view.endpoint.records
    if isinstance(records, Records) and records.absent == "fail" and not records.require:
        message = "require: false means absent: empty"
        yield Finding(("records", "require"), message, "Keep one of them.")


@endpoint_rule("small-page", "warning")
def small_page(view: EndpointView) -> Findings:
    """A page size of five or less makes hundreds of requests where one would do.

    Bad: `paginate: {type: page, size: 2, size_param: per_page}`, left over from a trial

    Good: `paginate: {type: page, size: 200, size_param: per_page}`
    """
    size = getattr(view.endpoint.paginate, "size", None)
    if size is not None and size <= _SMALL_PAGE:
        yield _finding("size", f"a page of {size} records is very small", "APIs allow 50 to 1000.")


def _finding(key: str, message: str, hint: str) -> Finding:
    return Finding(("paginate", key), message, hint)


def _flaws(view: EndpointView, table: dict[type, Callable[[Any], Iterator[_Flaw]]]) -> Findings:
    finder = table.get(type(view.endpoint.paginate))
    if finder is not None:
        for key, message, hint in finder(view.endpoint.paginate):
            yield _finding(key, message, hint)


def _short_page_without_size(paginate: PageNumbers | Offsets) -> Iterator[_Flaw]:
    if paginate.short_page == "end" and paginate.size is None:
        yield "short_page", "without size nobody knows what a short page is", "Write size: 100."


def _incomplete_pages(paginate: PageNumbers) -> Iterator[_Flaw]:
    yield from _short_page_without_size(paginate)
    if paginate.size_param is not None and paginate.size is None:
        yield "size_param", "size_param is sent only with size", "Write size: 100."


def _incomplete_offsets(paginate: Offsets) -> Iterator[_Flaw]:
    yield from _short_page_without_size(paginate)
    if paginate.advance == "size" and paginate.size is None:
        yield "advance", "advance: size needs a size", "Write size: 100."


def _incomplete_cursors(paginate: Cursors) -> Iterator[_Flaw]:
    if not (paginate.next or paginate.header or paginate.last_record):
        yield "next", "nothing says where the cursor is", "Write next, header or last_record."
    if not (paginate.param or paginate.body):
        yield "param", "nothing says how the cursor is sent", "Write param or body."
    if paginate.size_param is not None and paginate.size is None:
        yield "size_param", "size_param is sent only with size", "Write size: 100."


def _incomplete_urls(paginate: NextUrls) -> Iterator[_Flaw]:
    if paginate.next is None:
        yield "next", "nothing says where the next URL is", "Write next: links.next."


def _incomplete_custom(paginate: CustomPages) -> Iterator[_Flaw]:
    if paginate.path is None:
        yield "path", "no class is named", "Write path: my_package.paging.MyPages."


_INCOMPLETE: dict[type, Callable[[Any], Iterator[_Flaw]]] = {
    PageNumbers: _incomplete_pages,
    Offsets: _incomplete_offsets,
    Cursors: _incomplete_cursors,
    NextUrls: _incomplete_urls,
    CustomPages: _incomplete_custom,
}


def _contradicting_pages(paginate: PageNumbers) -> Iterator[_Flaw]:
    if paginate.total_pages and (paginate.more or paginate.last):
        yield "total_pages", "total_pages and a flag both say where the end is", "Keep one of them."


def _contradicting_offsets(paginate: Offsets) -> Iterator[_Flaw]:
    if paginate.prefetch > 1 and paginate.advance == "received":
        message = "pages cannot be fetched ahead while the offset waits for the rows received"
        yield "prefetch", message, "Write advance: size and size, or remove prefetch."
    if paginate.unit == "pages" and paginate.advance == "size":
        yield "advance", "an offset that counts pages advances by one", "Remove advance or unit."


def _contradicting_cursors(paginate: Cursors) -> Iterator[_Flaw]:
    sources = [name for name in ("next", "header", "last_record") if getattr(paginate, name)]
    if len(sources) > 1:
        which = f"{', '.join(sources[:-1])} and {sources[-1]}"
        yield sources[1], f"{which} say where the cursor is", "Keep one."
    if paginate.param and paginate.body:
        yield "body", "param and body both send the cursor", "Keep one of them."


_CONTRADICTING: dict[type, Callable[[Any], Iterator[_Flaw]]] = {
    PageNumbers: _contradicting_pages,
    Offsets: _contradicting_offsets,
    Cursors: _contradicting_cursors,
}


def _in_body(paginate: Any) -> bool:
    return bool(getattr(paginate, "body", None)) or getattr(paginate, "send_in", "") == "body"


def _sent_twice(view: EndpointView) -> Findings:
    """Parameters that the request and the paginator both set: the paginator's would win silently."""
    paginate = view.endpoint.paginate
    if _in_body(paginate):
        return
    size_param = getattr(paginate, "size_param", None)
    sized = size_param if getattr(paginate, "size", None) is not None else None
    for name in (getattr(paginate, "param", None), sized):
        if name in view.endpoint.request.params:
            hint = f"Remove it here; the paginator sends {name!r}."
            message = f"the paginator sets the parameter {name!r}, too"
            yield Finding(("request", "params", name), message, hint, at_key=True)
