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

    A number of all records that the spec does not name may be anything, so that fewer keys are a warning. So are records that
    came again with other content, or out of their place, by number or offset, or by pointers that count: without any number
    that shows that rows moved.

    Raises:
        PagesCutShort: fewer rows came than the API announced, although some came twice; ``retryable``. A warning instead
            where a page had a key twice: then the key does not show which rows came.
    """
    mark = mark.part if isinstance(mark, PartsMark) else mark
    if options is None or mark is None or not seen:
        return
    found = mark.rows - max(keys.repeats for keys in seen)
    is_key = all(keys.is_unique for keys in seen)
    lowest = mark.announced.lowest if has_comparable_total(options) else None
    if lowest is not None and _is_missed(lowest, found, options, mark):
        _judge_missed(lowest, found, options, is_key=is_key, where=where, warn=warn)
    elif is_key:
        _warn_of_doubts(seen, found, options, mark, where=where, warn=warn)


def _is_missed(
    total: int, found: int, options: PagingOptions, mark: PageMark | SequenceState
) -> bool:
    """Whether fewer rows were ``found`` than announced, because some came twice.

    Fewer than announced without repeats: a rule of the author or of the window ended the reading.
    """
    is_cut = options.cap is not None and total >= options.cap.rows
    return found < total <= mark.rows and not is_cut and mark.unit in {None, "records"}


def _judge_missed(
    total: int, found: int, options: PagingOptions, *, is_key: bool, where: str, warn: Warn
) -> None:
    message = (
        f"The API announced {total:,} rows, and its pages held {found:,} different primary keys"
    )
    way_out = f"correct primary_key, or write {options.announced_total.as_approximate}"
    if not is_key:
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


def _warn_of_doubts(
    seen: Sequence[SeenKeys],
    found: int,
    options: PagingOptions,
    mark: PageMark | SequenceState,
    *,
    where: str,
    warn: Warn,
) -> None:
    """Warns of fewer keys than a number that the spec does not name, and of rows that moved where pages may shift."""
    unnamed = mark.announced.unnamed
    if unnamed is not None and _is_missed(unnamed[1], found, options, mark):
        warn(
            f"The API announced {unnamed[1]:,} rows ({unnamed[0]}), and its pages held {found:,} different primary keys {where}: rows "
            "changed their place while pages were read, so that others may be missing. Write total there, so that such a run fails and "
            "is repeated, or read by keyset."
        )
        return
    has_total = mark.announced.total is not None
    if not mark.announced.counters.counts or (has_total and has_comparable_total(options)):
        return
    changed = max(keys.changed for keys in seen)
    displaced = max(keys.shifted.out_of_place for keys in seen)
    if changed:
        warn(
            f"{changed:,} records came again on a later page with other content {where}: they were changed and moved while pages were "
            "read, so that others may be missing. Read by keyset, or send an upper bound."
        )
    elif (
        displaced
        and not has_total  # an estimate says that such repeats are in order
        and (unnamed is None or found < unnamed[1])
    ):
        warn(
            f"{displaced:,} records came again on a later page, out of their place {where}: the order of the rows changed while pages were "
            "read, so that others may be missing. Sort by a field that is unique and does not change, or read by keyset. If several "
            "rows have one key by nature, add a field to primary_key."
        )
