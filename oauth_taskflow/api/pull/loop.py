"""The pull loop: sends a request, reads its records, and finds the next page while the consumer uses this one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Any

from oauth_taskflow.api.paginators import Paginate
from oauth_taskflow.api.pull.fetching import Fetcher, Puller
from oauth_taskflow.api.pull.in_flight.places import Lane
from oauth_taskflow.api.pull.in_flight.prefetch import read_ahead
from oauth_taskflow.api.pull.marks import SequenceState
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.page_reader import Decode, build_page_reader
from oauth_taskflow.api.pull.records import Records
from oauth_taskflow.api.pull.sequence import log_warning
from oauth_taskflow.api.pull.totals import Warn
from oauth_taskflow.api.rate_limit import Gate
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.response_rules import ResponseRule

_ALL = Records()


def pull(
    session: Fetcher,
    request: ApiRequest,
    *,
    paginate: Paginate | None = None,
    records: Records = _ALL,
    responses: Sequence[ResponseRule] = (),
    gate: Gate | None = None,
    decode: Decode = False,
    on_page: Callable[[Page], None] | None = None,
    ahead: int = 1,
    lane: Lane | None = None,
    warn: Warn = log_warning,
    resume: SequenceState | None = None,
    is_last: Callable[[list[Any]], bool] | None = None,
    find: str | None = None,
    drops_repeats: bool = False,
) -> Generator[Page, None, None]:
    """Yields the pages that answer ``request`` and the requests after it, in order.

    While one page is consumed, a thread fetches the next ``ahead`` pages, which bounds the memory. Closing the
    iterator early stops the thread. Records are ``msgspec.Raw`` where the record selector allows it, and Python values
    with ``decode``. With ``decode="exact"``, numbers that a float cannot hold are ``ExactFloat``.

    ``lane`` shares the number of requests in flight with other pulls, and allows pages to be asked for before it is known
    that they exist. Without it, pages come one after the other, or as many at once as ``paginate`` says.

    ``find`` is a JMESPath into each page's body; the value is in ``Page.found``.
    With ``drops_repeats``, the caller drops records that come again: numbered pages may overlap then.
    ``gate`` holds requests back until every budget that applies allows them; without it, the session's own does.

    ``on_page`` is called in the consumer's thread before a page is yielded. ``warn`` is called, in any thread, with
    doubts about the pages read.
    With ``resume``, made from the marks of earlier pages, the first page is the one after those. ``is_last`` is asked
    once per page, in order and before the next one is requested: whether nothing that is wanted follows these records.
    docs/paging.md lists when a response is a page, and which ends are valid.

    Raises:
        ApiStatusError: a response is an error that no rule forgives.
        ApiUnreachable: no connection after all attempts; ``ApiTimeout`` likewise.
        ForeignOriginRefused: a next link leads to another origin.
        NotAPage: a response is not a page, after all attempts.
        RecordsNotFound: records are missing where they must be, after all attempts.
        InvalidRecord: a body is not JSON, after all attempts, or a cursor, flag or total is unreadable.
        PagesCutShort: the pages end before everything came that the API announced.
        PaginationLoop: the same pages came repeatedly, or too many empty ones.
        PaginationLimit: more pages or records than allowed.
    """
    reader = build_page_reader(
        session,
        request,
        paginate,
        records,
        responses,
        decode=decode,
        warn=warn,
        find=find,
        drops_repeats=drops_repeats,
    )
    reader.sequence.is_last = is_last
    if resume is not None:
        reader.sequence.restore(resume)
    pages = Puller(session, reader, gate, lane).pages()
    single = paginate is None or ahead == 0
    return _notify_of_pages(pages if single else read_ahead(pages, ahead), on_page)


def _notify_of_pages(
    pages: Generator[Page, None, None], on_page: Callable[[Page], None] | None
) -> Generator[Page, None, None]:
    # Closed explicitly: a traceback that is kept would keep the fetching thread alive too.
    with closing(pages):
        for page in pages:
            if on_page is not None:
                on_page(page)
            yield page
