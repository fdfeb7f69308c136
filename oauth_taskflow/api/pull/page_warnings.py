"""Warnings about the pages of a run or of a session's pull, which no single page shows.

A missing cursor, link or next URL is the end by every API's rules, but a misspelled path is missing too. The same holds for
records where an API may leave out an empty list, and for a number of pages that is one too low.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from operator import attrgetter
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.api.paginators import Paginate
from oauth_taskflow.api.pull.list_lengths import ListLengths
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.unread_pages import FEWEST_ROWS, looks_full


class PageFigures(Struct, frozen=True):
    """The facts that the sequences of a run have shown, and ``pages`` to ``is_missed`` of the current one.

    ``full`` is the most rows of a full first page that none followed. ``has_followed``: some sequence had a second page.
    ``full_end`` is the most rows of a last page that was as full as the first, ``has_short_end``: some last page was not.
    ``blind_rows`` counts those of ``Page.blind_rows``. ``has_records``: some page had a record; ``has_total``: some answer had the
    total that the spec names.
    ``names_end``: the last page shows that it is the last, see ``Page.shows_end``.
    ``is_found`` and ``is_missed`` are explained at ``PageWarnings.add_sequence``. ``lengths`` are those of lists that were read
    without ``paginate``.
    """

    sequences: int = 0
    full: int = 0
    has_followed: bool = False
    has_found: bool = False
    has_missed: bool = False
    full_end: int = 0
    has_short_end: bool = False
    blind_rows: int = 0
    has_records: bool = False
    has_total: bool = False
    pages: int = 0
    first_rows: int = 0
    last_rows: int = 0
    is_found: bool = False
    is_missed: bool = False
    names_end: bool = False
    lengths: ListLengths = ListLengths()


class PageEnds(Struct, frozen=True, omit_defaults=True):
    """Where the page sequences of one task ended, for ``judge_ends``.

    ``ends_by`` and ``marker`` describe how the pages end, both empty where that is certain; ``numbers`` describes page numbers
    that may count from 0, and ``total`` is the place of the total that the spec names. The other fields mean what they mean in
    ``PageFigures``.
    """

    ends_by: str = ""
    marker: str = ""
    numbers: str = ""
    full: int = 0
    has_followed: bool = False
    full_end: int = 0
    has_short_end: bool = False
    lengths: ListLengths = ListLengths()
    total: str = ""
    has_records: bool = False
    has_total: bool = False


class PageWarnings:
    """Warns when paging may have stopped after page one by mistake, or when pages had no records path."""

    def __init__(
        self,
        paginate: Paginate | None,
        records: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self._paginate, self._records, self._params = paginate, records, params or {}
        self.figures = PageFigures()

    def begin_sequence(self) -> None:
        """Counts another sequence."""
        self.figures = replace(
            self.figures,
            sequences=self.figures.sequences + 1,
            pages=0,
            first_rows=0,
            last_rows=0,
            is_found=False,
            is_missed=False,
            names_end=False,
        )

    def add_page(self, page: Page) -> None:
        """Notes the next page of the current sequence."""
        figures = self.figures
        self.figures = replace(
            figures,
            pages=figures.pages + 1,
            first_rows=figures.first_rows if figures.pages else page.count,
            last_rows=page.count,
            blind_rows=figures.blind_rows + page.blind_rows,
            has_records=figures.has_records or page.count > 0,
            has_total=figures.has_total or page.total is not None,
            is_found=figures.is_found or not page.is_doubtful,
            is_missed=figures.is_missed or page.is_doubtful,
            names_end=page.shows_end,
        )

    def end_sequence(self) -> None:
        """Notes that the current sequence has ended."""
        figures = self.figures
        rows = (figures.first_rows, figures.last_rows)
        shown = {"found": figures.is_found, "missed": figures.is_missed, "named": figures.names_end}
        self.add_sequence(figures.pages, *rows, **shown)

    def add_sequence(
        self,
        pages: int,
        first_rows: int,
        last_rows: int = 0,
        *,
        found: bool = True,
        missed: bool = False,
        named: bool = False,
    ) -> None:
        """Notes a sequence that has ended after ``pages`` pages, with ``first_rows`` and ``last_rows`` rows in the outer ones.

        ``found`` means that the records path was in a page or may be absent, ``missed`` that a page lacked it.
        ``named`` means that the last page shows that it is the last, see ``Page.shows_end``.
        """
        figures = self.figures
        is_full = pages == 1 and not named and self._is_full(first_rows)
        is_full_end = pages > 1 and last_rows == first_rows >= FEWEST_ROWS
        is_list = self._paginate is None and pages == 1 and not named
        self.figures = replace(
            figures,
            full=max(figures.full, first_rows if is_full else 0),
            has_followed=figures.has_followed or pages > 1,
            has_found=figures.has_found or found,
            has_missed=figures.has_missed or missed,
            full_end=max(figures.full_end, last_rows if is_full_end else 0),
            has_short_end=figures.has_short_end or not is_full_end,
            lengths=figures.lengths.add(ListLengths(first_rows, int(is_list))),
        )

    def warnings(self) -> Iterator[str]:
        """Yields the warnings, if there are any."""
        yield from self.find_missed_records()
        yield from judge_ends([self.ends()])

    def find_missed_records(self) -> Iterator[str]:
        """Yields the warning that pages lacked the records path, if some did, and that all rows lacked the rest of it."""
        figures = self.figures
        if figures.blind_rows and not figures.has_records:
            yield (
                f"{figures.blind_rows:,} rows came, and records finds nothing in any of them: no row has the key that {self._records!r} "
                "takes of each. Correct records; the rows are missing from this output."
            )
        if figures.has_missed:
            subject = "Some answers had no" if figures.has_found else "No answer had"
            yield (
                f"{subject} records at {self._records or 'its root'!r}, and were read as empty pages. If the API leaves out an "
                "empty list, set records.absent: empty; if not, records are missing from this output."
            )

    def ends(self) -> PageEnds:
        """Returns where the sequences ended."""
        figures, paginate = self.figures, self._paginate
        ends_by, marker = _end_marker(paginate)
        numbers = None
        if paginate is not None and paginate.may_count_from_zero:
            numbers = paginate.end_marker()
        return PageEnds(
            ends_by=ends_by,
            marker=marker,
            numbers=numbers or "",
            full=figures.full,
            has_followed=figures.has_followed,
            full_end=figures.full_end,
            has_short_end=figures.has_short_end,
            lengths=figures.lengths,
            total="" if paginate is None else paginate.announced_total.description,
            has_records=figures.has_records,
            has_total=figures.has_total,
        )

    def _is_full(self, rows: int) -> bool:
        sizes = set(self._list_sizes())
        return rows in sizes if sizes else looks_full(rows)

    def _list_sizes(self) -> Iterator[int]:
        """Yields the page size that is asked for; without a declared one, any number among the parameters may be it."""
        if self._paginate is not None and self._paginate.page_size is not None:
            yield self._paginate.page_size
            return
        for value in self._params.values():
            if str(value).isdecimal():
                yield int(str(value))


def judge_ends(tasks: Iterable[PageEnds]) -> Iterator[str]:
    """Yields warnings where paging may have stopped too early in all ``tasks`` that read an endpoint.

    One of them that went on in the same way shows that paging works, so short lists of the others really ended.
    """
    tasks = list(tasks)
    yield from reduce(ListLengths.add, (ends.lengths for ends in tasks), ListLengths()).warnings()
    yield from _find_missed_totals(tasks)
    last = max(
        (ends for ends in tasks if ends.numbers), key=attrgetter("full_end"), default=PageEnds()
    )
    if last.full_end and not any(e.has_short_end for e in tasks if e.numbers == last.numbers):
        yield (
            f"The last page by {last.numbers} was as full as the first one ({last.full_end} rows), and page "
            "numbers count from 0. If the number of pages does too, the last page is missing from this output: correct paginate."
        )
    first = max((ends for ends in tasks if ends.marker), key=attrgetter("full"), default=PageEnds())
    if not first.full or any(e.has_followed for e in tasks if e.marker == first.marker):
        return
    if first.ends_by == "count":
        yield (
            f"No second page was ever asked for, although a first page was full ({first.full} rows): {first.marker} marked "
            "it as the last one. If it counts the records of one page, records are missing from this output: correct paginate."
        )
    if first.ends_by == "pointer":
        yield (
            f"No second page was ever found, although a first page was full ({first.full} rows): no answer had "
            f"{first.marker}. If there are more records, correct paginate; they are missing from this output."
        )


def _find_missed_totals(tasks: Iterable[PageEnds]) -> Iterator[str]:
    """Yields a warning for each total that no answer of the ``tasks`` had, although records came.

    An API may send its total with page one alone, or leave it out where there are no records.
    """
    missed = dict.fromkeys(ends.total for ends in tasks if ends.total and ends.has_records)
    for place in missed:
        if not any(ends.has_total for ends in tasks if ends.total == place):
            yield (
                f"No answer had {place}, so that nothing was compared with it. Correct total in paginate, or remove it if the API sends "
                "none; records may be missing from this output."
            )


def _end_marker(paginate: Paginate | None) -> tuple[str, str]:
    """Returns how the pages end, and a description of it; both empty where the end is certain, as with a flag."""
    if paginate is None or paginate.more is not None or paginate.last is not None:
        return "", ""
    marker = paginate.end_marker()
    return ("", "") if marker is None else (paginate.ends_by, marker)
