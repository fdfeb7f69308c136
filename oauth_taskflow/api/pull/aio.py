"""The pull loop on an event loop: the next pages are fetched while the records of one are consumed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from oauth_taskflow.api.exchange import Judge, ResponseHandler
from oauth_taskflow.api.paginators import Paginate
from oauth_taskflow.api.paginators.base import IndexedPaginator
from oauth_taskflow.api.pull.loop import FetchedValue, PageReader, ReadResponse, build_page_reader
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.records import Records
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.response_rules import ResponseRule


class AsyncFetcher(Protocol):
    """The part of ``AsyncOAuthSession`` that the loop needs."""

    async def fetch(
        self,
        request: ApiRequest,
        *,
        decide: ResponseHandler | None = None,
        judge: Judge | None = None,
    ) -> FetchedValue:
        """Returns the response to one request, retried where that helps; ``judge`` reads it, see ``RequestPlan``."""


class _AsyncPuller:
    """Fetches pages and hands them to the reader; ``_running`` are those being fetched, in order."""

    def __init__(self, session: AsyncFetcher, reader: PageReader) -> None:
        self._session = session
        self._reader = reader
        self._sequence = reader.sequence
        self._running: deque[asyncio.Task[ReadResponse]] = deque()

    async def pages(self) -> AsyncGenerator[Page, None]:
        """Yields every page in order; pages past the end are thrown away."""
        sequence, paginator = self._sequence, self._sequence.paginator
        several = isinstance(paginator, IndexedPaginator) and paginator.pages_at_once > 1
        self._start(sequence.start)
        index = 1
        try:
            while sequence.request is not None:
                page = self._reader.take(await self._running.popleft())
                if several and isinstance(paginator, IndexedPaginator):
                    index = self._start_indexed(paginator, index)
                elif sequence.request is not None:
                    self._start(sequence.request)
                if page is not None:
                    yield page
        finally:
            await self._stop()

    def _start(self, request: ApiRequest) -> None:
        self._running.append(asyncio.create_task(self._fetch(request)))

    def _start_indexed(self, paginator: IndexedPaginator, index: int) -> int:
        """Starts requests from page ``index`` on until ``pages_at_once`` run; returns the next index."""
        sequence = self._sequence
        while sequence.request is not None and len(self._running) < paginator.pages_at_once:
            # The next page is always fetched: a total may have been too low.
            if self._running and not sequence.may_have_page(index):
                break
            self._start(paginator.request_at(sequence.start, index))
            index += 1
        return index

    async def _fetch(self, request: ApiRequest) -> ReadResponse:
        reader = self._reader
        answer = await self._session.fetch(request, decide=reader.rules, judge=reader.read)
        reading: ReadResponse = answer.value
        return reading

    async def _stop(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


async def pull_records_async(
    session: AsyncFetcher,
    request: ApiRequest,
    *,
    paginate: Paginate | None,
    records: Records,
    responses: Sequence[ResponseRule],
) -> AsyncGenerator[Any, None]:
    """Yields every record of every page as Python values; raises the errors of ``pull``."""
    reader = build_page_reader(session, request, paginate, records, responses, decode=True)
    async with aclosing(_AsyncPuller(session, reader).pages()) as pages:
        async for page in pages:
            for record in page.records:
                yield record
