"""Pages that are asked for before it is known that they exist: which ones, and whether an answer counts.

A guess saves the wait for the page before it. It counts only if it is what reading one page after the other would ask for
next, and if nothing about it is a surprise; else the page is asked for again, alone.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from oauth_taskflow.api.decoders.numbers import encode
from oauth_taskflow.api.paginators.base import IndexedPaginator
from oauth_taskflow.api.pull.in_flight.places import Lane, Places
from oauth_taskflow.api.pull.page_judge import Content
from oauth_taskflow.api.pull.page_reader import ReadResponse
from oauth_taskflow.api.pull.sequence import PageSequence
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.retry import is_overload

# Methods that only read (RFC 9110 §9.2.1). Others are sent ahead only for pages that the API announced.
_READS = frozenset({"GET", "HEAD"})


class AskedAhead(Protocol):
    """A request in flight; ``is_guess``: it was sent before its page was known to exist."""

    request: ApiRequest
    is_guess: bool


class PageGuesses:
    """Decides for one page sequence how many of its pages are asked for at once.

    ``is_ordered``: the author wrote how many, and answers for it. Otherwise pages are guessed once page one is full, until
    the first surprise: a short page with more to follow, rows that came before, an error, a changed total.
    """

    def __init__(self, sequence: PageSequence) -> None:
        self._sequence = sequence
        paginator = sequence.paginator
        self._indexed = paginator if isinstance(paginator, IndexedPaginator) else None
        self._at_once = 1 if self._indexed is None else self._indexed.pages_at_once
        self.is_ordered = self._at_once > 1
        self._is_over = self._indexed is None or sequence.options.most_at_once == 1
        self._edges: set[bytes] = set()
        self._total: int | None = None
        self._rows = 0
        self._has_begun = False

    def own_lane(self) -> Lane:
        """Returns a lane for this sequence alone, without guesses."""
        return Lane(Places(self._at_once, is_fixed=True), may_guess=False)

    @property
    def is_over(self) -> bool:
        """Whether this sequence reads one page after the other from here on."""
        return self._is_over

    def width(self, limit: int, *, may_guess: bool) -> int:
        """Returns how many requests of this sequence may be in flight, the next one included."""
        if self._sequence.index == 0:
            return 1
        if self.is_ordered:
            return self._at_once
        if not (may_guess and self._has_begun) or self._is_over:
            return 1
        sequence = self._sequence
        most = sequence.options.most_at_once or limit
        if sequence.announced_pages is None:
            # Short sequences are many: no more pages are guessed than came.
            most = min(most, 1 + sequence.index)
        return min(limit, most)

    def request_at(self, index: int) -> ApiRequest | None:
        """Returns the request of page ``index`` (from 0); None when it should not be sent before the pages before it."""
        sequence, indexed = self._sequence, self._indexed
        if indexed is None or not sequence.may_have_page(index):
            return None
        if not self.is_ordered and not self._is_within_limits(index):
            return None
        return indexed.request_at(sequence.start, index)

    def _is_within_limits(self, index: int) -> bool:
        options = self._sequence.options
        most = options.max_records
        return index < options.max_pages and (
            most is None or index * self._sequence.first_rows <= most
        )

    def counts(self, read: ReadResponse) -> bool:
        """Whether the answer to a guess counts: a page with new rows, or an end that the author declared."""
        content = read.content
        if content is not None:
            return not any(edge in self._edges for edge in _edges(content))
        if read.decision is not None:
            return read.decision.action in {"skip", "end"}
        return self._sequence.is_past_end(read.response)

    def note(self, read: ReadResponse) -> None:
        """Looks for surprises in the answer that the sequence has just taken."""
        sequence, content = self._sequence, read.content
        rows, self._rows = sequence.rows - self._rows, sequence.rows
        if self._is_over or self.is_ordered or sequence.request is None or content is None:
            return
        if not self._has_begun:
            self._has_begun, self._is_over = True, not self._can_begin(sequence)
        elif rows != sequence.first_rows or sequence.announced_total != self._total:
            self._is_over = True
        self._total = sequence.announced_total
        self._edges.update(_edges(content))

    @staticmethod
    def _can_begin(sequence: PageSequence) -> bool:
        if sequence.is_last is not None:  # the records will say where the end is
            return False
        is_announced = sequence.announced_pages is not None
        is_safe = is_announced or sequence.start.method in _READS
        return is_safe and sequence.options.can_guess_pages(
            sequence.first_rows, is_announced=is_announced
        )

    def note_failure(self, read: ReadResponse | None) -> None:
        """Stops guessing after an answer that does not count; a rate limit only lowers the number of requests."""
        response = read.response if read is not None else None
        if response is None or not is_overload(response.status_code, response.headers):
            self._is_over = True

    def is_refuted(self, run: AskedAhead, request: ApiRequest) -> bool:
        """Whether the first of the requests sent ahead is not the ``request`` to send next, or guessing is over.

        Different requests end the guessing.
        """
        if not run.is_guess:
            return False
        self._is_over = self._is_over or run.request != request
        return self._is_over


def _edges(content: Content) -> set[bytes]:
    """Digests of the first and the last row of a page."""
    rows = content.records if content.received is None else content.received
    return {_digest(encode(row)) for row in (rows[:1] + rows[-1:])}


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
