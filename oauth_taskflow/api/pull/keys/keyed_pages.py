"""The pages of one pull whose records have a primary key: repeats are dropped, and rows that are missing are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from oauth_taskflow.api.paginators import Paginate
from oauth_taskflow.api.pull.keys.dedupe import Deduplicator
from oauth_taskflow.api.pull.keys.moved_rows import Mark, check_moved_rows
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.sequence import log_warning


class KeyedPages:
    """Drops the records whose ``primary_key`` came before in the same pull; the first record with a key stays."""

    def __init__(self, primary_key: str | Sequence[str], paginate: Paginate | None) -> None:
        paths = [primary_key] if isinstance(primary_key, str) else primary_key
        self._keys = Deduplicator(paths)
        self._paginate = paginate
        self._mark: Mark = None
        self._where = ""

    def take(self, page: Page) -> Page:
        """Returns ``page`` without the records that came before.

        Raises:
            InvalidRecord: a part of a key is absent or null.
            PaginationLoop: too many pages in a row hold nothing new.
        """
        if page.index == 0:  # the first, or another request past the cap
            self._keys.begin_sequence(0)
        self._mark, self._where = page.mark, f"at {page.url}"
        records = self._keys.drop_seen(page.records, index=page.index, where=self._where)
        return replace(page, records=records)

    def check_end(self) -> None:
        """Compares the number of different keys with the total that the API announced.

        Raises:
            PagesCutShort: rows moved between pages while these were read, so that others are missing.
        """
        check_moved_rows(
            self._paginate, self._mark, self._keys, where=self._where, warn=log_warning
        )
        self._keys.warn_of_differing(log_warning)
