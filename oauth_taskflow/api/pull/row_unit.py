"""The rows that an API counts, where the path of ``records`` filters or expands them."""

from __future__ import annotations

from typing import Any, Literal

from oauth_taskflow.api.paginators.base import PagingOptions
from oauth_taskflow.api.pull.page_judge import Content


class RowUnit:
    """Finds the rows of each page of one sequence, as the API counts them.

    ``items[?on]`` leaves rows out, while pages, offsets and totals count ``items``. ``items[].lines[]`` makes several
    records of a row. The size of the first page with rows shows whether the API counts items or lines.
    """

    def __init__(self, options: PagingOptions) -> None:
        self._size = options.page_size
        self.counts: Literal["items", "records", "unknown"] | None = None

    def restore(self, counts: str | None) -> None:
        """Takes what the pages of an earlier process have shown."""
        self.counts = counts if counts in {"items", "records", "unknown"} else None  # type: ignore[assignment]

    @property
    def is_unsure(self) -> bool:
        """Whether no page has shown what the API counts."""
        return self.counts == "unknown"

    def rows(self, content: Content) -> list[Any]:
        """Returns the rows of a page as the API counts them; while that is unknown, as the API returned them."""
        received = content.received
        if received is None:
            return content.records
        if content.is_expanded and self.counts is None and received:
            self.counts = self._decide_unit(len(received), len(content.records))
        return content.records if self.counts == "records" else received

    def _decide_unit(self, items: int, records: int) -> Literal["items", "records", "unknown"]:
        if items in {self._size, records}:
            return "items"
        # One item is an envelope, as in reports[].rows[], or the only row.
        if records == self._size or items == 1:
            return "records"
        return "unknown"
