"""The pages of a session's pull: repeats are dropped where the key is known, and doubts are logged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from oauth_taskflow.api.paginators import Paginate
from oauth_taskflow.api.paginators.base import PagingOptions
from oauth_taskflow.api.pull.keys.dedupe import Deduplicator
from oauth_taskflow.api.pull.keys.moved_rows import Mark, check_moved_rows
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.page_warnings import PageWarnings
from oauth_taskflow.api.pull.records import Records
from oauth_taskflow.api.pull.sequence import log_warning
from oauth_taskflow.api.request import ApiRequest


class SessionPages:
    """Looks at each page of one pull, as the engine does at those of a run.

    With ``primary_key``, records whose key came before in the pull are dropped; the first record with a key stays.
    """

    def __init__(
        self,
        request: ApiRequest,
        paginate: Paginate | None,
        records: Records,
        primary_key: str | Sequence[str] | None,
    ) -> None:
        paths = [primary_key] if isinstance(primary_key, str) else primary_key
        self._keys = None if paths is None else Deduplicator(paths)
        params = request.params
        if isinstance(paginate, PagingOptions):  # the sequence refuses anything else
            params = paginate.other_params(params)
        self._warnings = PageWarnings(paginate, records.path, params)
        self._warnings.begin_sequence()
        self._paginate = paginate
        self._mark: Mark = None
        self._where = ""

    @property
    def drops_repeats(self) -> bool:
        """Whether records that come again are dropped."""
        return self._keys is not None

    def take(self, page: Page) -> Page:
        """Returns ``page`` without the records that came before.

        Raises:
            InvalidRecord: a part of a key is absent or null.
            PaginationLoop: too many pages in a row hold nothing new.
        """
        self._warnings.add_page(page)
        if self._keys is None:
            return page
        if page.index == 0:  # the first, or that of another request past the cap
            self._keys.begin_sequence(0)
        self._mark, self._where = page.mark, f"at {page.url}"
        records = self._keys.drop_seen(page.records, index=page.index, where=self._where)
        return replace(page, records=records)

    def finish(self) -> None:
        """Logs what no single page showed, and compares the number of different keys with the total.

        Raises:
            PagesCutShort: rows moved between pages while these were read, so that others are missing.
        """
        self._warnings.end_sequence()
        for text in self._warnings.warnings():
            log_warning(text)
        if self._keys is not None:
            self._keys.warn_of_differing(log_warning)
            mark, where = self._mark, self._where
            check_moved_rows(self._paginate, mark, [self._keys.seen], where=where, warn=log_warning)
