"""What an API counts as a row, where the path of ``records`` filters or expands what it sent."""

from __future__ import annotations

from typing import Any, Literal

from oauth_taskflow.api.paginators.base import PagingOptions
from oauth_taskflow.api.pull.page_judge import Content


class RowUnit:
    """Finds the rows of each page of one sequence, as the API counts them.

    ``items[?on]`` leaves rows out: pages, offsets and totals count ``items``. ``items[].lines[]`` has several records
    in a row: the first page with rows shows by its size whether the API counts items or lines.
    """

    def __init__(self, options: PagingOptions) -> None:
        self._size = options.page_size
        self._counts: Literal["items", "records", "unknown"] | None = None

    @property
    def is_unsure(self) -> bool:
        """Whether nothing shows what the API counts."""
        return self._counts == "unknown"

    def rows(self, content: Content) -> list[Any]:
        """The rows of a page, as the API counts them where that shows, else as it returned them."""
        received = content.received
        if received is None:
            return content.records
        if content.is_expanded and self._counts is None and received:
            self._counts = self._decide_unit(len(received), len(content.records))
        return content.records if self._counts == "records" else received

    def _decide_unit(self, items: int, records: int) -> Literal["items", "records", "unknown"]:
        if items in {self._size, records}:
            return "items"
        # One item is an envelope, as in reports[].rows[], or all there is.
        if records == self._size or items == 1:
            return "records"
        return "unknown"
