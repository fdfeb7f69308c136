"""Fetches the pages of one sequence, one or several at once, and yields them in order."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any, Protocol

import requests

from oauth_taskflow.api.exchange import Admit, Judge
from oauth_taskflow.api.pull.in_flight.page_guesses import PageGuesses
from oauth_taskflow.api.pull.in_flight.places import Lane, Place
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.page_reader import PageReader, ReadResponse, with_waits
from oauth_taskflow.api.rate_limit import Gate
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.response_rules import Decision
from oauth_taskflow.errors import ApiError
from oauth_taskflow.waits import Waits


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
        gate: Gate | None = None,
        admit: Admit | None = None,
        judge: Judge | None = None,
        once: bool = False,
    ) -> FetchedValue:
        """Returns the response to one request, retried where that helps; ``judge`` reads it, see ``RequestPlan``."""


class _Run:
    """One request, sent by a separate thread; ``is_guess``: it was sent before its page was known to exist."""

    def __init__(
        self,
        fetch: Callable[[], ReadResponse],
        request: ApiRequest,
        place: Place,
        *,
        is_guess: bool,
    ) -> None:
        self.request, self.is_guess = request, is_guess
        self._fetch, self._place = fetch, place
        self._read: ReadResponse | None = None
        self._error: BaseException | None = None
        # The context carries Airflow's secret masking and log settings into the thread.
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._work,), name="oauth-taskflow-page", daemon=True
        )
        self._thread.start()

    def _work(self) -> None:
        try:
            self._read = self._fetch()
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits
            self._error = error

    def result(self) -> ReadResponse:
        """Waits for the answer."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._read is not None
        return self._read

    def discard(self) -> None:
        """Makes sure that no further attempt follows; the answer will not be read."""
        self._place.is_unwanted = True

    def has_ended(self) -> bool:
        """Whether the thread has ended."""
        return not self._thread.is_alive()

    def join(self, until: float) -> None:
        """Waits for the thread to end, up to an instant of the monotonic clock."""
        self._thread.join(max(0.0, until - time.monotonic()))


class Puller:
    """Fetches pages and hands them to the reader, in order. The next ones are fetched at the same time if ``lane`` allows it."""

    def __init__(
        self, session: Fetcher, reader: PageReader, gate: Gate | None, lane: Lane | None
    ) -> None:
        self._session = session
        self._reader = reader
        self._gate = gate
        self._sequence = reader.sequence
        self._guesses = PageGuesses(reader.sequence)
        self._lane = lane or self._guesses.own_lane()
        self._running: deque[_Run] = deque()
        self._owns_places = lane is None

    def pages(self) -> Generator[Page, None, None]:
        """Yields every page; answers past the end are thrown away unread."""
        try:
            while self._sequence.request is not None:
                read = self._next(self._sequence.request)
                page = self._reader.take(read)
                self._guesses.note(read)
                if page is not None:
                    yield page
        finally:
            self._discard()
            if self._owns_places:
                self._lane.places.close()

    def _next(self, request: ApiRequest) -> ReadResponse:
        """Returns the answer to ``request``, after starting those that follow it."""
        if self._running and self._guesses.is_refuted(self._running[0], request):
            self._discard()
        width = self._guesses.width(self._lane.places.limit, may_guess=self._lane.may_guess)
        if width == 1 and not self._running:
            return self._fetch_now(request)
        self._start_more(request, width)
        run = self._running.popleft()
        return self._check_guess(run) if run.is_guess else run.result()

    def _start_more(self, request: ApiRequest, width: int) -> None:
        places, guesses = self._lane.places, self._guesses
        if not self._running:
            self._start(request, places.wait(), is_guess=False)
        while len(self._running) < width:
            following = guesses.request_at(self._sequence.index + len(self._running))
            place = places.take() if following is not None else None
            if following is None or place is None:
                return
            self._start(following, place, is_guess=not guesses.is_ordered)

    def _start(self, request: ApiRequest, place: Place, *, is_guess: bool) -> None:
        fetch = partial(self._fetch, request, place, once=is_guess)
        self._running.append(_Run(fetch, request, place, is_guess=is_guess))

    def _check_guess(self, run: _Run) -> ReadResponse:
        """Returns the answer of ``run`` if it counts, else that of the same request sent again, alone."""
        read: ReadResponse | None = None
        with suppress(ApiError):  # the same request, sent again, decides
            read = run.result()
        if read is not None and self._guesses.counts(read):
            return read
        self._guesses.note_failure(read)
        if self._guesses.is_over:
            self._discard()
        return self._fetch_now(run.request)

    def _fetch_now(self, request: ApiRequest) -> ReadResponse:
        return self._fetch(request, self._lane.places.wait(), once=False)

    def _fetch(self, request: ApiRequest, place: Place, *, once: bool) -> ReadResponse:
        options = {"once": True} if once else {}
        try:
            with Waits() as waits:
                answer = self._session.fetch(
                    request,
                    decide=place.watch(self._reader.rules),
                    gate=self._gate,
                    admit=place.gate,
                    judge=self._reader.read,
                    **options,
                )
        finally:
            place.free()
        return with_waits(answer.value, waits)

    def _discard(self) -> None:
        for run in self._running:
            run.discard()
        self._lane.places.leave(self._running)
        self._running.clear()
