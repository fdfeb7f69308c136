"""Doubts about what was read, for the people who read the log, the manifest or the asset event.

Two of them no single answer can settle. A cursor, link or next URL that is absent is the end, by every API's rules; a
misspelled path is absent, too. The same holds for records where an API may leave out an empty list.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from oauth_taskflow.api.pull.records import Records
from oauth_taskflow.specs.model import Endpoint

_MOST_WARNINGS = 10


class Warnings:
    """The first ten warnings of a run, each once, and the number of the others; safe to use from any thread."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self._more = 0
        self._lock = threading.Lock()

    def __call__(self, text: str) -> None:
        """Keep ``text``."""
        with self._lock:
            if len(self._texts) < _MOST_WARNINGS or text in self._texts:
                self._texts[text] = None
            else:
                self._more += 1

    def texts(self) -> list[str]:
        """What was kept."""
        more = [f"There are {self._more:,} more warnings like these."] if self._more else []
        return [*self._texts, *more]


class FirstPages:
    """Watches whether any sequence of a run ever got past its first page, and whether records were ever there."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._full = 0
        self._followed = False
        self._found = self._missed = False

    def ended(
        self, pages: int, first_rows: int, *, found: bool = True, missed: bool = False
    ) -> None:
        """Take in a sequence that has ended after ``pages`` pages, with ``first_rows`` rows in the first.

        ``found`` says that the records' path was in a page or may be absent, ``missed`` that it was missing in one.
        """
        self._followed = self._followed or pages > 1
        self._found, self._missed = self._found or found, self._missed or missed
        if pages == 1 and self._is_full(first_rows):
            self._full = max(self._full, first_rows)

    def warnings(self) -> Iterator[str]:
        """What to tell the readers of the log; nothing when there is no doubt."""
        if self._missed:
            records = self._endpoint.records
            path = records.path if isinstance(records, Records) else records
            subject = "Some answers had no" if self._found else "No answer had"
            yield (
                f"{subject} records at {path or 'its root'!r}, and were taken for empty pages. If the API leaves out an "
                "empty list, set records.absent: empty; if not, records are missing from this output."
            )
        if self._followed or not self._full:
            return
        ends_by, marker = _end_marker(self._endpoint)
        if ends_by == "count":
            yield (
                f"No second page was ever asked for, although a first page was full ({self._full} rows): {marker} said that "
                "there is none. If it counts what is in a page, correct paginate; records are missing from this output."
            )
        if ends_by == "pointer":
            yield (
                f"No second page was ever found, although a first page was full ({self._full} rows): no answer had "
                f"{marker}. If there are more records, correct paginate; they are missing from this output."
            )

    def _is_full(self, rows: int) -> bool:
        sizes = set(_sizes(self._endpoint))
        # Without a size to compare with, a round number is what a server's own page size looks like.
        return rows in sizes if sizes else rows >= 10 and (rows % 10 == 0 or rows % 25 == 0)


def _end_marker(endpoint: Endpoint) -> tuple[str, str]:
    """What ends the pages, and its description; both empty where nothing can be doubted, as where a flag ends them."""
    paginate = endpoint.paginate
    if paginate is None or paginate.more is not None or paginate.last is not None:
        return "", ""
    marker = paginate.end_marker()
    return ("", "") if marker is None else (paginate.ends_by, marker)


def _sizes(endpoint: Endpoint) -> Iterator[int]:
    """The page size that is asked for; among other parameters any number may be it."""
    if endpoint.paginate is not None and endpoint.paginate.page_size is not None:
        yield endpoint.paginate.page_size
        return
    for value in endpoint.request.params.values():
        if str(value).isdecimal():
            yield int(str(value))
