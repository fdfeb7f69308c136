"""A doubt that no single answer can settle: was the first page really the last one?

A cursor, link or next URL that is absent is the end, by every API's rules; a misspelled path is absent, too, and the
rest of the records would be left out without a word.
"""

from __future__ import annotations

from collections.abc import Iterator

from oauth_taskflow.api.options import Cursors, Links, NextUrls
from oauth_taskflow.specs.model import Endpoint


class FirstPages:
    """Watches whether any sequence of a run ever got past its first page, and how full those first pages were."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._full = 0
        self._followed = False

    def ended(self, pages: int, first_rows: int) -> None:
        """Take in a sequence that has ended after ``pages`` pages, with ``first_rows`` rows in the first."""
        self._followed = self._followed or pages > 1
        if pages == 1 and self._is_full(first_rows):
            self._full = max(self._full, first_rows)

    def warning(self) -> str | None:
        """What to tell whoever reads the log, or None when there is no doubt."""
        pointer = _pointer(self._endpoint)
        if pointer is None or self._followed or not self._full:
            return None
        return (
            f"No second page was ever found, although a first page was full ({self._full} rows): no answer had "
            f"{pointer}. If there are more records, correct paginate; they are missing from this output."
        )

    def _is_full(self, rows: int) -> bool:
        sizes = set(_sizes(self._endpoint))
        # Without a size to compare with, a round number is what a server's own page size looks like.
        return rows in sizes if sizes else rows >= 10 and (rows % 10 == 0 or rows % 25 == 0)


def _pointer(endpoint: Endpoint) -> str | None:
    """What the endpoint's pages would point on with; None where they do not, or where a flag tells the end."""
    paginate = endpoint.paginate
    if paginate is None or paginate.more is not None or paginate.last is not None:
        return None
    if isinstance(paginate, Links):
        return f"a Link header with rel={paginate.rel}"
    if isinstance(paginate, NextUrls):
        return f"a next URL at {paginate.next or 'next'!r}"
    if isinstance(paginate, Cursors) and paginate.header is not None:
        return f"a header {paginate.header!r}"
    if isinstance(paginate, Cursors) and paginate.next is not None:
        return f"a cursor at {paginate.next!r}"
    return None


def _sizes(endpoint: Endpoint) -> Iterator[int]:
    """The page size that is asked for; among other parameters any number may be it."""
    if isinstance(endpoint.paginate, Cursors) and endpoint.paginate.size is not None:
        yield endpoint.paginate.size
        return
    for value in endpoint.request.params.values():
        if str(value).isdecimal():
            yield int(str(value))
