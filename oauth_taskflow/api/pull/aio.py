"""The pull loop on an event loop: the next pages are fetched while the records of one are consumed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Any, Protocol

from oauth_taskflow.api.exchange import Admit, Judge, ResponseHandler
from oauth_taskflow.api.paginators import Paginate
from oauth_taskflow.api.pull.caps.walk import CapWalk, plan_walk
from oauth_taskflow.api.pull.fetching import FetchedValue
from oauth_taskflow.api.pull.in_flight.page_guesses import PageGuesses
from oauth_taskflow.api.pull.in_flight.places import Lane
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.page_reader import (
    PageReader,
    ReadResponse,
    build_page_reader,
    with_waits,
)
from oauth_taskflow.api.pull.pull_log import PullLog, log_sequence
from oauth_taskflow.api.pull.records import Records
from oauth_taskflow.api.pull.session_pages import SessionPages
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.response_rules import ResponseRule
from oauth_taskflow.errors import ApiError
from oauth_taskflow.schema.types import Concurrency
from oauth_taskflow.waits import Waits


class AsyncFetcher(Protocol):
    """The part of ``AsyncOAuthSession`` that the loop needs."""

    async def fetch(
        self,
        request: ApiRequest,
        *,
        decide: ResponseHandler | None = None,
        judge: Judge | None = None,
        once: bool = False,
        admit: Admit | None = None,
    ) -> FetchedValue:
        """Returns the response to one request, retried where that helps; ``judge`` reads it, see ``RequestPlan``."""


class _Run:
    """One request in flight; ``is_guess``: it was sent before its page was known to exist."""

    def __init__(
        self, task: asyncio.Task[ReadResponse], request: ApiRequest, *, is_guess: bool
    ) -> None:
        self.task, self.request, self.is_guess = task, request, is_guess


class _AsyncPuller:
    """Fetches pages and hands them to the reader; ``_running`` are those being fetched, in order."""

    def __init__(self, session: AsyncFetcher, reader: PageReader, lane: Lane | None) -> None:
        self._session = session
        self._reader = reader
        self._sequence = reader.sequence
        self._guesses = PageGuesses(reader.sequence)
        self._lane = lane or self._guesses.own_lane()
        self._running: deque[_Run] = deque()
        self._discarded: list[asyncio.Task[ReadResponse]] = []

    async def pages(self) -> AsyncGenerator[Page, None]:
        """Yields every page in order; answers past the end are thrown away unread."""
        sequence = self._sequence
        try:
            self._start_more()
            while sequence.request is not None:
                read = await self._check(self._running.popleft())
                page = self._reader.take(read)
                self._guesses.note(read)
                self._start_more()
                if page is not None:
                    yield page
        finally:
            await self._stop()

    def _start_more(self) -> None:
        """Starts the next request and those that may follow it; none at the end."""
        sequence, guesses, lane = self._sequence, self._guesses, self._lane
        if sequence.request is None:
            return
        if self._running and guesses.is_refuted(self._running[0], sequence.request):
            self._discard()
        if not self._running:
            self._start(sequence.request, is_guess=False)
        width = guesses.width(lane.places.limit, may_guess=lane.may_guess)
        while len(self._running) < width:
            request = guesses.request_at(sequence.index + len(self._running))
            if request is None:
                return
            self._start(request, is_guess=not guesses.is_ordered)

    def _start(self, request: ApiRequest, *, is_guess: bool) -> None:
        task = asyncio.create_task(self._fetch(request, once=is_guess))
        self._running.append(_Run(task, request, is_guess=is_guess))

    async def _check(self, run: _Run) -> ReadResponse:
        """Returns the answer of ``run``; a guess that does not count is sent again, alone."""
        if not run.is_guess:
            return await run.task
        read: ReadResponse | None = None
        with suppress(ApiError):  # the same request, sent again, decides
            read = await run.task
        if read is not None and self._guesses.counts(read):
            return read
        self._guesses.note_failure(read)
        if self._guesses.is_over:
            self._discard()
        return await self._fetch(run.request)

    async def _fetch(self, request: ApiRequest, *, once: bool = False) -> ReadResponse:
        reader, place = self._reader, self._lane.places.add()
        try:
            with Waits() as waits:
                answer = await self._session.fetch(
                    request,
                    decide=place.watch(reader.rules),
                    judge=reader.read,
                    once=once,
                    admit=place.gate,
                )
        finally:
            place.free()
        return with_waits(answer.value, waits)

    def _discard(self) -> None:
        for run in self._running:
            run.task.cancel()
        self._discarded += [run.task for run in self._running]
        self._running.clear()

    async def _stop(self) -> None:
        self._discard()
        await asyncio.gather(*self._discarded, return_exceptions=True)


async def pull_records_async(
    session: AsyncFetcher,
    request: ApiRequest,
    *,
    paginate: Paginate | None,
    records: Records,
    responses: Sequence[ResponseRule],
    primary_key: str | Sequence[str] | None = None,
    concurrency: Concurrency = 1,
    log: PullLog | None = None,
) -> AsyncGenerator[Any, None]:
    """Yields every record of every page as Python values, past a cap; raises the errors of ``pull_past_cap``.

    With ``primary_key``, see ``SessionPages``. ``concurrency`` is the number of requests in flight; ``auto`` finds it while reading. ``log`` is that of the session.
    """
    seen = SessionPages(request, paginate, records, primary_key)

    def pages_of(request: ApiRequest) -> AsyncGenerator[Page, None]:
        reader = build_page_reader(
            session,
            request,
            paginate,
            records,
            responses,
            decode=True,
            drops_repeats=seen.drops_repeats,
        )
        return _AsyncPuller(session, reader, lane).pages()

    async with AsyncExitStack() as stack:
        may_log = {} if log is None else {"may_log": log.allows_line}
        lane = stack.enter_context(Lane.open(concurrency, paginate, **may_log))
        found = _walk(plan_walk(paginate, request), request, pages_of)
        note_page = stack.enter_context(log_sequence(log))
        async for page in await stack.enter_async_context(aclosing(found)):
            note_page(page)
            for record in seen.take(page).records:
                yield record
    seen.finish()


async def _walk(
    walk: CapWalk | None,
    request: ApiRequest,
    pages_of: Callable[[ApiRequest], AsyncGenerator[Page, None]],
) -> AsyncGenerator[Page, None]:
    """Yields the pages of ``request`` and, with ``walk``, of the requests past the API's cap."""
    following: ApiRequest | None = request
    while following is not None:
        async with aclosing(pages_of(following)) as pages:
            async for page in pages:
                yield page if walk is None else walk.take(page)
        following = None if walk is None else walk.next_request()
