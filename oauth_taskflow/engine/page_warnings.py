"""Warnings about the pages of a run, for readers of the log, the manifest or the asset event.

Two warnings need more than one page. A missing cursor, link or next URL is the end by every API's rules, but a
misspelled path is missing too. The same holds for records where an API may leave out an empty list.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.records import Records
from oauth_taskflow.specs.model import Endpoint

_MOST_WARNINGS = 10


class WarningList:
    """Keeps the first ten warnings of a run, each once, and counts the others; safe to use from any thread."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self._more = 0
        self._lock = threading.Lock()

    def __call__(self, text: str) -> None:
        """Keeps ``text``."""
        with self._lock:
            if len(self._texts) < _MOST_WARNINGS or text in self._texts:
                self._texts[text] = None
            else:
                self._more += 1

    def texts(self) -> list[str]:
        """Returns the warnings, and as the last one the number of those left out."""
        more = [f"There are {self._more:,} more warnings like these."] if self._more else []
        return [*self._texts, *more]


class PageFigures(Struct, frozen=True):
    """The facts that the sequences of a run have shown, and ``pages`` to ``is_missed`` of the current one.

    ``full`` is the most rows of a full first page that none followed. ``has_followed``: some sequence had a second page.
    ``is_found`` and ``is_missed`` are explained at ``PageWarnings.add_sequence``.
    """

    sequences: int = 0
    full: int = 0
    has_followed: bool = False
    has_found: bool = False
    has_missed: bool = False
    pages: int = 0
    first_rows: int = 0
    is_found: bool = False
    is_missed: bool = False


class PageWarnings:
    """Warns when paging may have stopped after page one by mistake, or when pages had no records path."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.figures = PageFigures()

    def begin_sequence(self) -> None:
        """Counts another sequence."""
        self.figures = replace(
            self.figures,
            sequences=self.figures.sequences + 1,
            pages=0,
            first_rows=0,
            is_found=False,
            is_missed=False,
        )

    def add_page(self, page: Page) -> None:
        """Notes the next page of the current sequence."""
        figures = self.figures
        self.figures = replace(
            figures,
            pages=figures.pages + 1,
            first_rows=figures.first_rows if figures.pages else page.count,
            is_found=figures.is_found or not page.is_doubtful,
            is_missed=figures.is_missed or page.is_doubtful,
        )

    def end_sequence(self) -> None:
        """Notes that the current sequence has ended."""
        figures = self.figures
        self.add_sequence(
            figures.pages, figures.first_rows, found=figures.is_found, missed=figures.is_missed
        )

    def add_sequence(
        self, pages: int, first_rows: int, *, found: bool = True, missed: bool = False
    ) -> None:
        """Notes a sequence that has ended after ``pages`` pages, with ``first_rows`` rows in the first.

        ``found`` means that the records path was in a page or may be absent, ``missed`` that a page lacked it.
        """
        figures = self.figures
        is_full = pages == 1 and self._is_full(first_rows)
        self.figures = replace(
            figures,
            full=max(figures.full, first_rows if is_full else 0),
            has_followed=figures.has_followed or pages > 1,
            has_found=figures.has_found or found,
            has_missed=figures.has_missed or missed,
        )

    def warnings(self) -> Iterator[str]:
        """Yields the warnings, if there are any."""
        figures = self.figures
        if figures.has_missed:
            records = self._endpoint.records
            path = records.path if isinstance(records, Records) else records
            subject = "Some answers had no" if figures.has_found else "No answer had"
            yield (
                f"{subject} records at {path or 'its root'!r}, and were taken for empty pages. If the API leaves out an "
                "empty list, set records.absent: empty; if not, records are missing from this output."
            )
        if figures.has_followed or not figures.full:
            return
        ends_by, marker = _end_marker(self._endpoint)
        if ends_by == "count":
            yield (
                f"No second page was ever asked for, although a first page was full ({figures.full} rows): {marker} marked "
                "it as the last one. If it counts the records of one page, records are missing from this output: correct paginate."
            )
        if ends_by == "pointer":
            yield (
                f"No second page was ever found, although a first page was full ({figures.full} rows): no answer had "
                f"{marker}. If there are more records, correct paginate; they are missing from this output."
            )

    def _is_full(self, rows: int) -> bool:
        sizes = set(_sizes(self._endpoint))
        # Without a size to compare with, a round number is most likely the server's default page size.
        return rows in sizes if sizes else rows >= 10 and (rows % 10 == 0 or rows % 25 == 0)


def _end_marker(endpoint: Endpoint) -> tuple[str, str]:
    """Returns how the pages end, and a description of it; both empty where the end is certain, as with a flag."""
    paginate = endpoint.paginate
    if paginate is None or paginate.more is not None or paginate.last is not None:
        return "", ""
    marker = paginate.end_marker()
    return ("", "") if marker is None else (paginate.ends_by, marker)


def _sizes(endpoint: Endpoint) -> Iterator[int]:
    """Yields the page size that is asked for; without a declared one, any number among the parameters may be it."""
    if endpoint.paginate is not None and endpoint.paginate.page_size is not None:
        yield endpoint.paginate.page_size
        return
    for value in endpoint.request.params.values():
        if str(value).isdecimal():
            yield int(str(value))
