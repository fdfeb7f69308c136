"""Finds rows that moved between pages while these were read, by the primary keys that came.

A row that is changed goes to another place of the order. Those behind it move into pages that were read before, and are
missing. The row itself comes twice, so that as many rows come as the API announced.
"""

from __future__ import annotations

from collections.abc import Sequence

from oauth_taskflow.api.paginators.base import PagingOptions
from oauth_taskflow.api.pull.keys.seen_keys import SeenKeys
from oauth_taskflow.api.pull.marks import PageMark, PartsMark, SequenceState
from oauth_taskflow.api.pull.totals import Warn
from oauth_taskflow.errors import PagesCutShort

Mark = PageMark | PartsMark | SequenceState | None


def has_comparable_total(options: PagingOptions) -> bool:
    """Whether the API announces how many rows a sequence has, and not as an estimate."""
    total = options.announced_total
    return bool(total.place) and not total.approximate


def check_moved_rows(
    options: PagingOptions | None, mark: Mark, seen: Sequence[SeenKeys], *, where: str, warn: Warn
) -> None:
    """Compares the number of different keys of a sequence that ended at ``mark`` with its lowest exact total.

    Each of ``seen`` may have missed some keys, because records were left out before it or not kept: the most repeats count.
    The lowest counts because a row that is added in front makes another one come twice, and none is missing. An estimate may
    be any number, and a total as high as the cap may be cut there. Where ``records`` makes several records of a row, no key names a row.

    Raises:
        PagesCutShort: fewer rows came than the API announced, although some came twice; ``retryable``. A warning instead
            where a page had a key twice: then the key does not show which rows came.
    """
    mark = mark.part if isinstance(mark, PartsMark) else mark
    if options is None or mark is None or not seen:
        return
    rows, lowest = mark.rows, mark.announced.lowest
    is_of_records = mark.unit in {None, "records"}
    is_cut = options.cap is not None and lowest is not None and lowest >= options.cap.rows
    if lowest is None or is_cut or not is_of_records or not has_comparable_total(options):
        return
    found = rows - max(keys.repeats for keys in seen)
    # Fewer rows than announced without repeats: a rule of the author or of the window ended the reading.
    if not found < lowest <= rows:
        return
    message = (
        f"The API announced {lowest:,} rows, and its pages held {found:,} different primary keys"
    )
    way_out = f"correct primary_key, or write {options.announced_total.as_approximate}"
    if not all(keys.is_unique for keys in seen):
        warn(
            f"{message}. Several rows of a page have one key, so that it cannot be seen whether rows are missing: {way_out}."
        )
        return
    raise PagesCutShort(
        f"{message}: rows changed their place while pages were read, so that others are missing",
        where=where,
        hint="Ask for a sort order that does not change, or read by keyset or cursor. If several rows have one key by nature, "
        f"{way_out}.",
        retryable=True,
    )
