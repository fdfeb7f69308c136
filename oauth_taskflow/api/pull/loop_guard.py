"""Guards against page sequences that would never end, and against pages that give records twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

from oauth_taskflow.api.decoders.numbers import encode
from oauth_taskflow.api.paginators.base import PagingOptions
from oauth_taskflow.api.pull.marks import GuardMark, SequenceState, split_digests
from oauth_taskflow.api.pull.own_end import names_own_end
from oauth_taskflow.api.pull.page import PageView
from oauth_taskflow.api.pull.totals import Warn
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import PaginationLimit, PaginationLoop

# This many pages in a row without anything new are a loop; one or two are overlap or chance.
REPEATED_PAGES = 3
_MOVING_HINT = (
    "The rows are others, so the API seems to keep its place itself, as Elasticsearch's scroll does. Then name the exact number "
    "of all records as total in paginate: it shows when a page is lost."
)


class LoopGuard:
    """Remembers the requests and pages of one sequence, in 16 bytes each.

    A request that comes again, even after others, would never end. Neither would ``REPEATED_PAGES`` pages in a row
    that repeat earlier pages of the sequence. A server that keeps its place itself is asked the same again and again, and moves on;
    see ``check_request``. In ``is_indexed`` sequences, whose requests are numbered, the same page
    twice in a row is a loop, unless the total shows that a page of rows was added in front meanwhile. It is the end where the
    page said so itself; see ``check_content``.
    """

    def __init__(
        self, first: ApiRequest, options: PagingOptions, warn: Warn, *, is_indexed: bool
    ) -> None:
        self._options = options
        self._warn = warn
        self._is_indexed = is_indexed
        self._request = first.fingerprint()
        self._requests = {self._request}
        self._rows_before: Callable[[], set[bytes]] = set
        self._contents: set[bytes] = set()
        self._ends: set[bytes] = set()
        self._last = b""
        self._names_end: Callable[[], bool] = bool  # False
        self._total: int | None = None
        self._repeated = self._empty = 0
        # The digests of the last page alone, for its mark.
        self._new_request = self._new_ends = self._new_content = b""

    def mark(self) -> GuardMark:
        """Returns what the last page added, and the counts after it."""
        return GuardMark(
            request=self._new_request,
            ends=self._new_ends,
            content=self._new_content,
            last=self._last,
            repeated=self._repeated,
            empty=self._empty,
            names_end=self._names_end,
        )

    def restore(self, state: SequenceState) -> None:
        """Knows again all pages before the one that ``state`` goes on with."""
        self._requests |= split_digests(state.requests)
        self._request = state.requests[-16:] or self._request
        self._ends |= split_digests(state.ends)
        self._contents |= split_digests(state.contents)
        self._last, self._repeated, self._empty = state.last, state.repeated, state.empty
        self._names_end = partial(bool, state.names_end)

    def check_content(self, page: PageView) -> bool:
        """Compares ``page`` with the pages before it; warns of one that comes again under another cursor or URL.

        Returns whether it is the page before once more, and that one said that no other follows. Some servers answer numbers
        behind the last page like that.

        Raises:
            PaginationLoop: ``page`` is the last of too many without anything new.
        """
        self._new_request = self._new_ends = self._new_content = b""
        if page.rows == 0:
            self._last, self._names_end = b"", bool
            return False
        # Hashing a whole page costs as much as writing it, so only pages that may be repeats are hashed.
        ends = _digest(encode([page.rows, page.received[0], page.received[-1]]))
        may_repeat = ends in self._ends
        self._ends.add(ends)
        self._new_ends = ends
        self._repeated = self._repeated + 1 if may_repeat else 0
        if not (may_repeat or self._is_indexed):
            return False
        is_doubtful = self._options.ends_by == "pointer" and page.rows > 1
        if self._repeated == 1 and is_doubtful and page.received[0] != page.received[-1]:
            self._warn(
                f"Page {page.index + 1} has as many records as an earlier page, and the same first and last ones, under another "
                "page cursor or URL: records came twice, and others may be missing. Check paginate and the request's parameters."
            )
        content, before = _digest(encode(page.received)), self._last
        if self._is_indexed and self._is_last_again(page, content):
            return True
        is_repeated = content in self._contents
        # The page before may be there once more: a page of rows was added in front.
        is_foreign = is_repeated and self._is_indexed and content != before
        if is_foreign and page.received[0] != page.received[-1]:
            self._warn(
                f"Page {page.index + 1} holds exactly what an earlier page held {page.where}: records came twice, and others may be "
                "missing. The API or a cache on the way answered with another page than it was asked for."
            )
        self._contents.add(content)
        self._new_content = content
        if is_repeated and self._repeated >= REPEATED_PAGES:
            raise endless_repeat_error(page.index, page.where)
        return False

    def _is_last_again(self, page: PageView, content: bytes) -> bool:
        # Records are compared, since bodies often echo the page's own number or URL. A lone record may well come twice.
        last = content if page.rows > 1 else _digest(page.body.json)
        before, self._total = self._total, page.total
        is_same = self._last in {content, last} and not _has_grown(before, page)
        if is_same and self._names_end():
            return True
        if is_same:
            raise PaginationLoop(
                f"Page {page.index + 1} holds exactly what page {page.index} held",
                where=page.where,
                hint=self._options.same_page_hint(page),
            )
        # Found out only where it is asked for: it would take a quarter of the time of a short page.
        self._names_end = cache(partial(names_own_end, page, self._options))
        # After a lone record that names the end, the same one is not a new one.
        self._last = content if page.rows == 1 and self._names_end() else last
        return False

    def check_request(self, request: ApiRequest, page: PageView) -> None:
        """Compares the ``request`` that follows ``page`` with the requests before it.

        It may be the one that ``page`` answered where the server moved on all the same: ``page`` has rows, and none of them was on
        the page before. Such a server does not repeat a page that is lost on the way, which only an exact total shows.

        Raises:
            PaginationLoop: ``request`` was made before, or too many empty pages came.
            PaginationLimit: ``request`` is one more than ``max_pages`` allow.
        """
        digest = request.fingerprint()
        # Only a server that keeps its place itself makes them needed, page after page.
        rows = cache(partial(_encode_rows, page.received))
        has_moved = digest == self._request and self._has_moved_on(page, rows)
        if digest in self._requests and not (has_moved and page.total is not None):
            raise PaginationLoop(
                f"Page {page.index + 1} leads back to a page that was read before",
                where=page.where,
                hint=_MOVING_HINT if has_moved else self._options.loop_hint(page),
            )
        self._rows_before = rows
        if not has_moved:
            self._requests.add(digest)
            self._request = self._new_request = digest
        self._check_empty(page)
        if page.index + 1 >= self._options.max_pages:
            raise PaginationLimit(
                f"More than max_pages = {self._options.max_pages} pages follow",
                where=page.where,
                hint="Narrow the request, or raise max_pages if so many are expected.",
            )

    def _has_moved_on(self, page: PageView, rows: Callable[[], set[bytes]]) -> bool:
        if page.index == 0 or page.rows == 0 or self._options.ends_by != "pointer":
            return False
        return self._rows_before().isdisjoint(rows())

    def _check_empty(self, page: PageView) -> None:
        self._empty = self._empty + 1 if page.rows == 0 else 0
        if self._empty > self._options.max_empty_pages:
            raise PaginationLoop(
                f"{self._empty} empty pages came in a row, and more are to follow",
                where=page.where,
                retryable=self._is_indexed,  # pages were announced, by a count or flag
                hint=f"Check paginate, or raise max_empty_pages ({self._options.max_empty_pages}) if the API answers "
                "like this.",
            )


class OverlapGuard:
    """Compares each page of one sequence with the page before.

    Pages that overlap give rows twice, and the API does not say so. The first page after a pull was cut off is not compared.
    """

    def __init__(self, options: PagingOptions, warn: Warn) -> None:
        self._is_numbered = options.has_shifting_pages
        self._warn = warn
        self._before: Sequence[Any] = ()
        self._deep = 0
        self.has_warned = False

    def check(self, page: PageView) -> None:
        """Warns once when ``page`` has the last row of the page before, which was there once.

        Raises:
            PaginationLoop: it is one of several numbered pages in a row that begin with more than half of the page before.
        """
        rows, before, self._before = page.received, self._before, page.received
        if len(before) < 2 or before.count(before[-1]) > 1 or before[-1] not in rows:
            self._deep = 0
            return
        again = rows.index(before[-1]) + 1
        # All of them: one row may come in many pages by right, such as the last hour of a day without events.
        is_deep = 2 * again > len(rows) and list(rows[:again]) == list(before[-again:])
        self._deep = self._deep + 1 if is_deep else 0
        if self._deep == REPEATED_PAGES and self._is_numbered:
            raise PaginationLoop(
                f"Each of {REPEATED_PAGES} pages in a row began with more than half of the page before, the last of them page "
                f"{page.index + 1}",
                where=page.where,
                hint="Correct paginate: type page steps by 1 and type offset by rows; param, start, size and unit belong to it.",
            )
        if not self.has_warned:
            self.has_warned = True
            cause = "the API begins a page with records of the page before"
            if self._is_numbered:
                cause = "paginate steps by less than a page, correct param, start or unit; if records were added while pages were read"
            self._warn(
                f"The last record of page {page.index} came again on page {page.index + 1}, so records are in this output twice. "
                f"If {cause}, write primary_key, which drops repeats."
            )


def _has_grown(before: int | None, page: PageView) -> bool:
    """Whether the total has grown by as many rows as ``page`` has, so that these moved to it from the page before."""
    total = page.total
    return before is not None and total is not None and total - before >= page.rows


def endless_repeat_error(index: int, where: str) -> PaginationLoop:
    """Returns the error for page ``index`` (from 0), the last of ``REPEATED_PAGES`` without a new record."""
    return PaginationLoop(
        f"Pages {index + 2 - REPEATED_PAGES} to {index + 1} hold nothing but records of earlier pages",
        where=where,
        hint="The API repeats itself under new page cursors, URLs or numbers. Check paginate and the request's "
        "parameters; the end may be in a flag (more, last) or a value (end_values).",
    )


def _encode_rows(rows: Sequence[Any]) -> set[bytes]:
    return set(map(encode, rows))


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
