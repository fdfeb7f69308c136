"""The pull loop: sends a request, reads its records, and finds the next page while the consumer uses this one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import requests

from oauth_taskflow.api.decoders.numbers import to_plain_numbers
from oauth_taskflow.api.errors import ApiStatusError, status_error
from oauth_taskflow.api.exchange import Judge
from oauth_taskflow.api.paginators import Paginate
from oauth_taskflow.api.paginators.base import IndexedPaginator
from oauth_taskflow.api.pull.marks import SequenceState
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.page_judge import Content, PageJudge
from oauth_taskflow.api.pull.prefetch import read_ahead
from oauth_taskflow.api.pull.records import AbsentRecords, Records
from oauth_taskflow.api.pull.selector import RecordSelector
from oauth_taskflow.api.pull.sequence import PageSequence, log_warning
from oauth_taskflow.api.pull.totals import Warn
from oauth_taskflow.api.rate_limit import RateLimit, RateLimiter
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.response_rules import Decision, ResponseRule, Rules

_ALL = Records()
Decode = bool | Literal["exact"]


class FetchedValue(Protocol):
    """A response that the judge has read."""

    @property
    def value(self) -> Any:
        """The value that the judge returned."""


class Fetcher(Protocol):
    """The part of ``OAuthSession`` that the loop needs."""

    def fetch(
        self,
        request: ApiRequest,
        *,
        decide: Callable[[requests.Response], Decision | None] | None = None,
        gate: Callable[[], None] | None = None,
        hold: Callable[[float], None] | None = None,
        judge: Judge | None = None,
    ) -> FetchedValue:
        """Returns the response to one request, retried where that helps; ``judge`` reads it, see ``RequestPlan``."""


@dataclass(frozen=True)
class ReadResponse:
    """A response, with its content when it is a page."""

    response: requests.Response
    decision: Decision | None
    content: Content | None


@dataclass(frozen=True)
class PageReader:
    """Turns responses into pages; does no I/O.

    With ``has_plain_numbers``, decoded records hold ordinary floats only.
    """

    sequence: PageSequence
    judge: PageJudge
    rules: Rules
    has_plain_numbers: bool = False

    def read(self, response: requests.Response, decision: Decision | None) -> ReadResponse:
        """Reads a response, in any order; the session calls it as the judge of a ``RequestPlan``.

        Raises:
            ApiError: the response is not a page; ``retryable`` when another attempt may help. See ``PageJudge``.
        """
        status = response.status_code
        if decision is not None or not (status < 300 or status == 304):
            return ReadResponse(response, decision, None)
        return ReadResponse(response, decision, self.judge.read_content(response))

    def take(self, read: ReadResponse) -> Page | None:
        """Returns the next page of the sequence, or None when the sequence ends without one.

        Raises:
            ApiStatusError: the response is an error that no rule forgives.
            PagesCutShort: the sequence ends before everything came that the API announced.
        """
        sequence, response = self.sequence, read.response
        if read.decision is not None and read.decision.action in {"skip", "end"}:
            is_skip, dropped = read.decision.action == "skip", self.judge.count_records(response)
            sequence.end_by_rule(response, is_skip=is_skip, dropped=dropped)
            return None
        if read.content is None:
            if read.decision is None and sequence.is_past_end(response.status_code):
                sequence.end_by_status(response)
                return None
            raise _refusal_error(response, read.decision, sequence.end_hint(response.status_code))
        page = sequence.advance(response, read.content)
        if self.has_plain_numbers and read.content.body.has_exact_numbers:
            page = replace(page, records=to_plain_numbers(page.records))
        return page


class _Puller:
    """Fetches pages and hands them to the reader."""

    def __init__(self, session: Fetcher, reader: PageReader, limiter: RateLimiter | None) -> None:
        self._session = session
        self._reader = reader
        self._limiter = limiter
        self._sequence = reader.sequence

    def fetch(self, request: ApiRequest) -> ReadResponse:
        limiter = self._limiter
        answer = self._session.fetch(
            request,
            decide=self._reader.rules,
            gate=limiter.acquire if limiter else None,
            hold=limiter.hold if limiter else None,
            judge=self._reader.read,
        )
        reading: ReadResponse = answer.value
        return reading

    def one_by_one(self) -> Generator[Page, None, None]:
        while self._sequence.request is not None:
            page = self._reader.take(self.fetch(self._sequence.request))
            if page is not None:
                yield page

    def several_at_once(self, paginator: IndexedPaginator) -> Generator[Page, None, None]:
        """Yields pages in order while the next ones are fetched; pages past the end are thrown away."""
        sequence = self._sequence
        if sequence.index == 0:
            page = self._reader.take(self.fetch(sequence.start))
            if page is None:
                return
            yield page
        with closing(_InFlight(self.fetch, sequence, paginator)) as flight:
            while sequence.request is not None:
                page = self._reader.take(flight.next())
                if page is not None:
                    yield page


class _InFlight:
    """The pages after the first, of which ``pages_at_once`` are fetched at the same time."""

    def __init__(
        self,
        fetch: Callable[[ApiRequest], ReadResponse],
        sequence: PageSequence,
        paginator: IndexedPaginator,
    ) -> None:
        self._fetch, self._sequence, self._paginator = fetch, sequence, paginator
        self._running: deque[Future[ReadResponse]] = deque()
        self._index = max(1, sequence.index)
        self._context = copy_context()
        self._pool = ThreadPoolExecutor(
            paginator.pages_at_once, thread_name_prefix="oauth-taskflow-page"
        )

    def next(self) -> ReadResponse:
        """Returns the next response in order, after starting those that follow it."""
        while self._wants_more():
            request = self._paginator.request_at(self._sequence.start, self._index)
            call = self._context.copy().run
            self._running.append(self._pool.submit(call, self._fetch, request))
            self._index += 1
        return self._running.popleft().result()

    def _wants_more(self) -> bool:
        # The next page is always fetched: a total may have been too low.
        expected = not self._running or self._sequence.may_have_page(self._index)
        return expected and len(self._running) < self._paginator.pages_at_once

    def close(self) -> None:
        """Waits for the requests that still run; their responses are thrown away."""
        self._pool.shutdown()


def _refusal_error(
    response: requests.Response, decision: Decision | None, end_hint: str
) -> ApiStatusError:
    return status_error(response, hint=decision.message if decision else end_hint)


def build_page_reader(
    session: object,
    request: ApiRequest,
    paginate: Paginate | None,
    records: Records,
    responses: Sequence[ResponseRule],
    *,
    decode: Decode,
    warn: Warn = log_warning,
) -> PageReader:
    """Returns the reader of one page sequence. Without ``records.absent``, ``session`` decides what absent records mean."""
    sequence = PageSequence(request, paginate, warn=warn)
    absent: AbsentRecords = getattr(session, "absent_records", "fail")
    has_plain_numbers = decode is True
    selector = RecordSelector(records, decode=bool(decode), has_plain_numbers=has_plain_numbers)
    judge = PageJudge(selector, sequence.options, absent)
    return PageReader(sequence, judge, Rules(responses), has_plain_numbers=has_plain_numbers)


def pull(
    session: Fetcher,
    request: ApiRequest,
    *,
    paginate: Paginate | None = None,
    records: Records = _ALL,
    responses: Sequence[ResponseRule] = (),
    rate_limit: RateLimit | None = None,
    limit_key: str = "",
    decode: Decode = False,
    on_page: Callable[[Page], None] | None = None,
    ahead: int = 1,
    warn: Warn = log_warning,
    resume: SequenceState | None = None,
    is_last: Callable[[list[Any]], bool] | None = None,
) -> Generator[Page, None, None]:
    """Yields the pages that answer ``request`` and the requests after it, in order.

    While one page is consumed, a thread fetches the next ``ahead`` pages, which bounds the memory. Closing the
    iterator early stops the thread. Records are ``msgspec.Raw`` where the record selector allows it, and Python values
    with ``decode``. With ``decode="exact"``, numbers that a float cannot hold are ``ExactFloat``.

    ``limit_key`` names the budget under which this machine shares ``rate_limit``. ``on_page`` is called in the
    consumer's thread before a page is yielded. ``warn`` is called, in any thread, with doubts about the pages read.
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
        session, request, paginate, records, responses, decode=decode, warn=warn
    )
    sequence = reader.sequence
    if resume is not None:
        sequence.restore(resume)
    sequence.is_last = is_last
    limiter = RateLimiter.from_options(rate_limit, limit_key) if rate_limit is not None else None
    puller = _Puller(session, reader, limiter)
    paginator = sequence.paginator
    if isinstance(paginator, IndexedPaginator) and paginator.pages_at_once > 1:
        pages = puller.several_at_once(paginator)
    else:
        pages = puller.one_by_one()
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


def pull_records(
    session: Fetcher, request: ApiRequest, **options: Any
) -> Generator[Any, None, None]:
    """Yields every record of ``pull`` as Python values; ``options`` are those of ``pull``."""
    with closing(pull(session, request, decode=True, **options)) as pages:
        for page in pages:
            yield from page.records
