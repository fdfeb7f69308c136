"""Finds rows that moved between numbered pages while these were read.

A row that is changed goes to another place of the order. Those behind it move into pages that were read before, and are
missing. The row itself comes twice, so that as many rows come as the API announced.
"""

from __future__ import annotations

from collections.abc import Sequence

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.totals import Warn
from oauth_taskflow.destinations.transfer import Stage
from oauth_taskflow.engine.stages import DedupeStage
from oauth_taskflow.specs.model import Endpoint


def reads_numbered_pages(endpoint: Endpoint) -> bool:
    """Whether pages are asked for by number or offset, so that a row which comes or goes moves those behind it."""
    paginate = endpoint.paginate
    return paginate is not None and paginate.ends_by == "count" and paginate.sort_key is None


def _is_cut(endpoint: Endpoint) -> bool:
    """Whether the total may be another number than that of the rows, by an estimate or a cap."""
    paginate = endpoint.paginate
    return paginate is not None and (
        paginate.announced_total.approximate or paginate.cap is not None
    )


class MovedRows:
    """Warns when the numbered pages of one request sequence had fewer different keys than the API announced rows.

    Only a ``primary_key`` among ``stages`` and an exact total show that. A sequence that began in an earlier attempt is not
    judged.
    """

    def __init__(self, endpoint: Endpoint, stages: Sequence[Stage], warn: Warn) -> None:
        self._warn = warn
        is_judged = reads_numbered_pages(endpoint) and not _is_cut(endpoint)
        self._stage = next((s for s in stages if is_judged and isinstance(s, DedupeStage)), None)
        self._rows = self._repeats = 0
        self._lowest: int | None = None

    def begin_sequence(self) -> None:
        """Begins another request sequence."""
        self._rows, self._lowest = 0, None
        self._repeats = 0 if self._stage is None else self._stage.repeats

    def add_page(self, page: Page) -> None:
        """Notes the rows of the next page, and the total that came with it."""
        self._rows += page.count
        if page.total is not None:
            self._lowest = page.total if self._lowest is None else min(self._lowest, page.total)

    def end_sequence(self) -> None:
        """Judges the sequence, all of whose pages went through the stages."""
        if self._stage is None or self._lowest is None:
            return
        different = self._rows - (self._stage.repeats - self._repeats)
        # Fewer records than announced without repeats are a matter of the path of records.
        if different < self._lowest <= self._rows:
            self._warn(
                f"The API announced {self._lowest:,} rows, and its pages held {different:,} different ones: rows changed their "
                "place while pages were read, and others may be missing. Sort by something that does not change, or read by "
                "keyset or cursor."
            )
