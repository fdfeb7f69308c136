"""The places of one task's requests in flight, shared by its pages, windows and parents.

A request takes a place before it is sent and frees it with its answer. ``ConcurrencyLimit`` decides how many places there
are; this module counts, waits and measures.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from oauth_taskflow.api.pull.in_flight.limit import DEFAULT_MOST, ConcurrencyLimit
from oauth_taskflow.api.retry import is_overload
from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.schema.types import Concurrency

if TYPE_CHECKING:
    import requests

    from oauth_taskflow.api.exchange import ResponseHandler
    from oauth_taskflow.api.paginators.base import PagingOptions
    from oauth_taskflow.api.response_rules import Decision

_JOIN_SECONDS = 5.0
_log = logging.getLogger(__name__)


class PullStopped(Exception):
    """The pull was closed, or the answer to this request will not be read; never seen outside the pull."""


class Ending(Protocol):
    """A request in flight that is left to itself."""

    def has_ended(self) -> bool:
        """Whether its thread has ended."""

    def join(self, until: float) -> None:
        """Waits for its thread to end, up to an instant of the monotonic clock."""


class Place:
    """The right of one request to be in flight, with all its attempts; ``free`` it exactly once.

    ``is_unwanted``: the answer will not be read, so that no further attempt is made.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._sent: float | None = None
        self._generation = places.generation
        self.is_unwanted = False

    def gate(self, wait_for_budget: Callable[[], None] | None) -> None:
        """Called before each attempt: waits for the budget, then notes when the attempt begins.

        Raises:
            PullStopped: the answer will not be read.
        """
        self._check_wanted()
        self._note_failure()
        if wait_for_budget is not None:
            wait_for_budget()
            self._check_wanted()
        self._generation = self._places.generation
        self._sent = self._places.clock.monotonic()

    def watch(self, decide: ResponseHandler) -> ResponseHandler:
        """Returns ``decide``, which also measures each response that it sees."""

        def observe(response: requests.Response) -> Decision | None:
            decision = decide(response)
            sent, self._sent = self._sent, None
            self._places.note(response, decision, sent, self._generation)
            return decision

        return observe

    def free(self) -> None:
        """Lets another request take this place."""
        self._note_failure()
        self._places.release()

    def _note_failure(self) -> None:
        """Takes an attempt without a response, such as a time-out, for an overload."""
        if self._sent is not None:
            self._sent = None
            self._places.note_failure(self._generation)

    def _check_wanted(self) -> None:
        if self.is_unwanted or self._places.is_closed:
            raise PullStopped


class Places:
    """Counts the requests in flight; safe to use from any thread.

    ``most`` requests at once at the most. By default their number is found while reading; with ``is_fixed`` it is ``most``
    from the beginning. ``start`` is the number to begin with.
    """

    def __init__(
        self,
        most: int = DEFAULT_MOST,
        *,
        start: int = 1,
        is_fixed: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        begin = most if is_fixed else start
        self.clock = clock
        self._limit = ConcurrencyLimit(most, start=begin, is_fixed=is_fixed, now=clock.monotonic())
        self._changed = threading.Condition()
        self._taken = self._waiting = self._requests = 0
        self._left: list[Ending] = []
        self.is_closed = False

    @property
    def limit(self) -> int:
        """How many requests may be in flight now."""
        return self._limit.value

    @property
    def most(self) -> int:
        """How many may ever be in flight."""
        return self._limit.most

    @property
    def generation(self) -> int:
        """The number of times that the limit was halved."""
        return self._limit.generation

    def wait(self) -> Place:
        """Waits for a place and takes it.

        Raises:
            PullStopped: the pull was closed.
        """
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: self.is_closed or self._taken < self._limit.value)
            finally:
                self._waiting -= 1
            if self.is_closed:
                raise PullStopped
            return self._take()

    def add(self) -> Place:
        """Takes a place without waiting, even if all are taken; for an event loop, which must not wait here."""
        with self._changed:
            return self._take()

    def take(self) -> Place | None:
        """Takes a place for a request that may not be needed; None when all are taken or waited for."""
        with self._changed:
            is_free = self._taken + self._waiting < self._limit.value and not self.is_closed
            return self._take() if is_free else None

    def _take(self) -> Place:
        self._taken += 1
        self._requests += 1
        return Place(self)

    def release(self) -> None:
        """Frees a place."""
        with self._changed:
            self._taken -= 1
            self._changed.notify_all()

    def note(
        self,
        response: requests.Response,
        decision: Decision | None,
        sent: float | None,
        generation: int,
    ) -> None:
        """Measures a response to an attempt that began at ``sent``, in ``generation`` of the limit."""
        now = self.clock.monotonic()
        is_limited = decision is not None and decision.holds_all
        with self._changed:
            if is_limited or is_overload(response.status_code, response.headers):
                self._limit.note_overload(now, generation)
            else:
                self._limit.note_answer(now, None if sent is None else now - sent, self._taken)
            self._changed.notify_all()

    def note_failure(self, generation: int) -> None:
        """Counts an attempt that began in ``generation`` and got no response."""
        with self._changed:
            self._limit.note_overload(self.clock.monotonic(), generation)

    def leave(self, requests: Iterable[Ending]) -> None:
        """Takes over requests whose answers will not be read, so that a sequence need not wait for them."""
        with self._changed:
            self._left = [one for one in (*self._left, *requests) if not one.has_ended()]

    def close(self) -> None:
        """Ends all waiting, keeps requests from being sent again, and waits up to five seconds for those in flight."""
        with self._changed:
            self.is_closed = True
            self._changed.notify_all()
        until = time.monotonic() + _JOIN_SECONDS
        for one in self._left:
            one.join(until)

    def log_outcome(self) -> None:
        """Logs which number of requests in flight the pull settled on."""
        limit = self._limit
        if limit.is_fixed or self._requests < 2:
            return
        halved = f", halved {limit.halvings} times after 429, 503 or slow answers"
        _log.info(
            "Settled on %d requests in flight (highest %d of at most %d%s) over %d requests",
            limit.value,
            limit.peak,
            limit.most,
            halved if limit.halvings else "",
            self._requests,
        )


def build_places(concurrency: Concurrency, paginate: PagingOptions | None) -> Places | None:
    """Returns the places that ``concurrency`` means; None for one request after the other.

    A number means as many sequences at once, each with the ``prefetch`` pages of ``paginate``. For ``auto`` the number is
    found while reading; ``prefetch`` is where it begins.
    """
    pages = (paginate.most_at_once if paginate is not None else 1) or 1
    if concurrency == "auto":
        return Places(max(DEFAULT_MOST, pages), start=pages)
    return None if concurrency == 1 else Places(concurrency * pages, is_fixed=True)


@dataclass
class Lane:
    """The share of one page sequence in the places of its task.

    ``may_guess``: pages may be asked for that may not exist. Only the sequence that is being read may, so that others
    do not fill the memory; the reader changes it.
    """

    places: Places
    may_guess: bool = True

    @staticmethod
    @contextmanager
    def open(
        concurrency: Concurrency,
        paginate: PagingOptions | None,
        may_log: Callable[[], bool] = lambda: True,
    ) -> Iterator[Lane | None]:
        """The lane of a sequence that is read alone, closed at the end; None for one request after the other.

        ``may_log`` is asked at the end whether the outcome is worth a line.
        """
        places = build_places(concurrency, paginate)
        if places is None:
            yield None
            return
        with closing(places):
            yield Lane(places)
        if may_log():
            places.log_outcome()
