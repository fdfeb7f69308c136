"""Marks: the state of a page sequence after each page, from which another process may go on with the next page.

A mark is small: the loop guard's digests are in it as far as its page added them. ``SequenceState`` adds up the marks of
a sequence to the whole state. Requests in it may hold secrets; the caller decides where they may be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

from oauth_taskflow.api.pull.left_totals import LeftTotals
from oauth_taskflow.api.request import ApiRequest

# The parts of a request that differ from page to page; time limits are those of the first request.
_CHANGING = ("path", "method", "params", "headers", "json", "form", "exact")


# A number of all records that the spec does not name: where it is announced, and the number.
UnnamedTotal = tuple[str, int]


class Counters(Struct, frozen=True):
    """The parameters that have counted rows or pages in all pointers of a sequence so far, as (name, what it counts).

    None before the first pointer. ``is_shown``: in one pointer they were no values of the last record, from which a key would
    go on. ``counts``: pages are asked for by offset or number, openly or because the pointers are such in disguise.
    """

    found: frozenset[tuple[str, str]] | None = None
    is_shown: bool = False
    counts: bool = False


class Announced(Struct, frozen=True):
    """The last total, flag and page count that the API announced, and the lowest total of the sequence.

    ``unnamed`` is that of page one where the spec names no total. ``counters`` are those of its pointers, ``left`` what the totals
    would be if they count what is left. ``doubtful_fall`` is the warning of a fall of the total that the next page may explain.
    """

    total: int | None = None
    continues: bool | None = None
    page_count: int | None = None
    lowest: int | None = None
    unnamed: UnnamedTotal | None = None
    counters: Counters = Counters()
    left: LeftTotals = LeftTotals()
    doubtful_fall: str = ""


class GuardMark(Struct, frozen=True):
    """The changes of the loop guard by one page: new digests (empty without one), and its counts after the page.

    ``names_end`` finds out whether the page says itself that it is the last one.
    """

    request: bytes = b""
    ends: bytes = b""
    content: bytes = b""
    last: bytes = b""
    repeated: int = 0
    empty: int = 0
    names_end: Callable[[], bool] = bool  # False


class KeyMark(Struct, frozen=True):
    """The last key of a sequence that is read by a sort key, as JSON, and the records that come again with it.

    ``digests`` are 16 bytes each, one after the other.
    """

    key: bytes
    digests: bytes = b""


class PageMark(Struct, frozen=True):
    """The state of a sequence after a page, except earlier digests; ``request`` is the next one, None at the end."""

    request: ApiRequest | None
    index: int
    rows: int
    records: int
    first_rows: int
    pages: int | None
    unit: str | None
    announced: Announced
    guard: GuardMark
    key: KeyMark | None = None
    end: Any = None
    overlaps: bool = False


class PartsMark(Struct, frozen=True):
    """The state of a sequence that is read in parts, after the last page of a part: the parts that are ``left``, as plain data.

    ``part`` is the state of the part that has ended.
    """

    left: list[Any]
    part: PageMark | None = None


class SequenceState(Struct):
    """The whole state of a sequence after its last page that is kept.

    ``request`` holds the changing parts of the next request, None at the end of the sequence. The digests are those of
    the loop guard, 16 bytes each, one after the other. ``end`` is the state of what recognises the last page wanted;
    ``overlaps`` says that a page repeated the end of the page before, ``names_end`` that the last page says itself that none
    follows. A sequence that is read in parts has nothing but the ``parts`` that are left.
    """

    request: dict[str, Any] | None
    index: int
    rows: int
    records: int
    first_rows: int
    pages: int | None
    unit: str | None
    announced: Announced
    last: bytes
    repeated: int
    empty: int
    requests: bytes = b""
    ends: bytes = b""
    contents: bytes = b""
    key: KeyMark | None = None
    end: Any = None
    parts: list[Any] | None = None
    overlaps: bool = False
    names_end: bool = False


@runtime_checkable
class ResumableCheck(Protocol):
    """The further methods of a check for the last page wanted that remembers the pages before."""

    def save(self) -> Any:
        """Returns the state after the pages so far as plain data (JSON)."""

    def restore(self, state: Any) -> None:
        """Takes a saved state."""


class Marks:
    """Adds up the marks of one sequence."""

    def __init__(self, earlier: SequenceState | None = None) -> None:
        self._mark: PageMark | None = None
        self._earlier = earlier
        self._requests = bytearray(earlier.requests if earlier else b"")
        self._ends = bytearray(earlier.ends if earlier else b"")
        self._contents = bytearray(earlier.contents if earlier else b"")

    def add(self, mark: PageMark | PartsMark) -> None:
        """Takes the mark of the next page."""
        if isinstance(mark, PartsMark):
            self._mark, self._earlier = None, _state_of_parts(mark.left)
            return
        self._mark = mark
        self._requests += mark.guard.request
        self._ends += mark.guard.ends
        self._contents += mark.guard.content

    def state(self) -> SequenceState | None:
        """Returns the state after the last page; None before page one."""
        mark = self._mark
        if mark is None:
            return self._earlier
        return SequenceState(
            request=None if mark.request is None else _changing_parts(mark.request),
            index=mark.index,
            rows=mark.rows,
            records=mark.records,
            first_rows=mark.first_rows,
            pages=mark.pages,
            unit=mark.unit,
            announced=mark.announced,
            last=mark.guard.last,
            repeated=mark.guard.repeated,
            empty=mark.guard.empty,
            requests=bytes(self._requests),
            ends=bytes(self._ends),
            contents=bytes(self._contents),
            key=mark.key,
            end=mark.end,
            overlaps=mark.overlaps,
            names_end=mark.guard.names_end(),
        )


def _state_of_parts(left: list[Any]) -> SequenceState:
    nothing = (None, 0, 0, 0, 0, None, None, Announced(), b"", 0, 0)
    return SequenceState(*nothing, parts=left)


def _changing_parts(request: ApiRequest) -> dict[str, Any]:
    return {name: getattr(request, name) for name in _CHANGING}


def next_request(first: ApiRequest, parts: Mapping[str, Any] | None) -> ApiRequest | None:
    """Returns the request with the changing ``parts``, and the limits of ``first``; None for None."""
    return None if parts is None else replace(first, **parts)


def split_digests(digests: bytes) -> set[bytes]:
    """Returns the digests that were written one after the other."""
    return set(split_digests_in_order(digests))


def split_digests_in_order(digests: bytes) -> list[bytes]:
    """Returns the digests that were written one after the other, each as often as it was."""
    return [digests[start : start + 16] for start in range(0, len(digests), 16)]
