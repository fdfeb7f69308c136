"""Finds rows that moved between numbered pages while these were read.

A row that is changed goes to another place of the order. Those behind it move into pages that were read before, and are
missing. The row itself comes twice, so that as many rows come as the API announced.
"""

from __future__ import annotations

from collections.abc import Sequence

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


def find_moved_rows(
    endpoint: Endpoint, stages: Sequence[Stage], rows: int, lowest: int
) -> str | None:
    """Returns a warning when a sequence's numbered pages had fewer different keys than the API announced rows.

    ``rows`` is the number of rows of the sequence that has ended, and ``lowest`` its lowest total, -1 without one. Only a
    ``primary_key``, which is one of ``stages``, and an exact total show that rows moved.
    """
    if not reads_numbered_pages(endpoint) or _is_cut(endpoint):
        return None
    repeats = sum(stage.repeats for stage in stages if isinstance(stage, DedupeStage))
    # Fewer records than announced without repeats are a matter of the path of records.
    if not rows - repeats < lowest <= rows:
        return None
    return (
        f"The API announced {lowest:,} rows, and its pages held {rows - repeats:,} different primary keys: rows changed their "
        "place while pages were read, and others may be missing. Sort by something that does not change, or read by keyset or "
        "cursor. If several rows have one key, correct primary_key."
    )
