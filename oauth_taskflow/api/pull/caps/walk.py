"""The way past the cap of an API: from the last record of one page sequence to the request that begins the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from msgspec import Struct

from oauth_taskflow.api.paginators import Paginate
from oauth_taskflow.api.paginators.base import PagingOptions, SortKey
from oauth_taskflow.api.paginators.cap import RowCap
from oauth_taskflow.api.pull.keys.overlap import Overlap
from oauth_taskflow.api.pull.keys.sort_order import SortOrder, find_rank
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import ApiError, InvalidRecord, PaginationLimit, SpecError
from oauth_taskflow.record_values import show_value


class Restart(Struct, frozen=True):
    """How the rest is asked for: ``field`` of the last record, and the request from its value on."""

    field: str
    build: Callable[[Any], ApiRequest]


class CapWalk:
    """The way from one page sequence to the next one, each up to the cap.

    Records must be sorted by the field, as ``cap.order`` says: all that are not yet read lie behind the value of the last
    record. Those with the same value come again, and are dropped.
    """

    def __init__(self, options: Paginate, restart: Restart, cap: RowCap, first: ApiRequest) -> None:
        self._options, self._restart, self._cap = options, restart, cap
        self._order = SortOrder(
            SortKey(restart.field, cap.order, "paginate.cap.field", comes_again=True)
        )
        self._overlap = Overlap(restart.field)
        self._last: Any = None  # the value of the last record of the current sequence
        self._from: Any = None  # the value from which the current sequence was asked
        self._starts = {self._identify(first)}
        self._records = self._pages = 0
        self._is_capped = False

    def _identify(self, request: ApiRequest) -> bytes:
        return self._options.build().first_request(request).fingerprint()

    def take(self, page: Page) -> Page:
        """Returns ``page`` without the records that came before the restart.

        Raises:
            InvalidRecord: a record lacks the field, or records are out of order; or the API left out the records with
                the value from which it was asked.
            PaginationLimit: all sequences together have more records or pages than allowed.
        """
        self._is_capped = page.is_capped
        try:
            records = self._drop_repeats(page.records)
            self._check_limits(len(records))
        except ApiError as error:
            error.where = error.where or f"at {page.url}"
            raise
        return replace(page, records=records, mark=None)

    def _drop_repeats(self, records: list[Any]) -> list[Any]:
        keys = self._order.read_keys(records)
        self._order.check([*([] if self._last is None else [self._last]), *keys])
        if keys and self._last is None and self._from is not None:
            self._check_overlap(keys[0])
        if keys:
            self._last = keys[-1]
        return self._overlap.drop_repeats(records)

    def _check_overlap(self, key: Any) -> None:
        if key != self._from and not self._is_no_further(key):
            raise self._gap_error()

    def _is_no_further(self, key: Any) -> bool:
        """Whether ``key`` is known to lie at the value from which was asked, or before it in the order."""
        rank, before = find_rank(key), find_rank(self._from)
        if rank is None or before is None:
            return False
        return rank <= before if self._cap.order == "ascending" else rank >= before

    def _gap_error(self) -> InvalidRecord:
        """The error for a sequence that begins behind the value from which it was asked: others may be lost between."""
        return InvalidRecord(
            f"Asked for records from {self._restart.field} = {self._show(self._from)} on, the API left out the one with that value",
            hint=f"If its bound is exclusive ({'>' if self._cap.order == 'ascending' else '<'}), records with equal values "
            "would be lost: send a bound that includes the value, or page by keyset.",
            retryable=True,
        )

    def _check_limits(self, records: int) -> None:
        self._records, self._pages = self._records + records, self._pages + 1
        limits = (("max_records", self._records), ("max_pages", self._pages))
        for name, count in limits:
            limit = getattr(self._options, name)
            if limit is not None and count > limit:
                raise PaginationLimit(
                    f"More than {name} = {limit} {name.removeprefix('max_')}, restarts at the cap included",
                    hint=f"Narrow the request, or raise {name} if so many are expected.",
                )

    def next_request(self) -> ApiRequest | None:
        """Returns the request from the last record on; None at the end.

        Raises:
            PaginationLimit: no record came, or only such with the value from which was asked.
            InvalidRecord: the API left out the records from which it was asked.
        """
        if self._last is None and self._from is not None:
            raise self._gap_error()
        if not self._is_capped:
            return None
        if self._last is None:
            raise PaginationLimit(
                f"The API shows {self._cap.rows:,} rows of one request, and none of them is a record from whose "
                f"{self._restart.field!r} the next ones could be asked for"
            )
        following = self._restart.build(self._last)
        start = self._identify(following)
        goes_on = self._last != self._from and not self._is_no_further(self._last)
        if not goes_on or start in self._starts:
            raise self._no_progress_error()
        self._starts.add(start)
        self._overlap.expect_again()
        self._from, self._last, self._is_capped = self._last, None, False
        return following

    def _show(self, value: Any) -> str:
        return show_value(value, self._restart.field)

    def _no_progress_error(self) -> PaginationLimit:
        return PaginationLimit(
            f"All {self._cap.rows:,} rows that the API shows of one request have {self._restart.field} = {self._show(self._last)}, so "
            "that the next ones cannot be asked for",
            hint="Narrow the request by another parameter, for example with for_each, or write a finer format.",
        )


def plan_walk(
    options: Paginate | None, first: ApiRequest, restart: Restart | None = None
) -> CapWalk | None:
    """Returns the walk past the cap of ``options``; None without a cap, or where the window is narrowed instead.

    Raises:
        SpecError: nothing says from where to ask again.
    """
    if (
        not isinstance(options, PagingOptions)
        or options.cap is None
        or options.cap.then == "narrow"
    ):
        return None
    cap = options.cap
    field, param = cap.field, cap.param
    if field is not None and param is not None:
        restart = Restart(
            field,
            lambda value: first.change(lambda made: made.with_paging(param, value, cap.send_in)),
        )
    if restart is None:
        raise SpecError(
            ["cap: from_last_record needs field and param: nothing says from where to ask again"]
        )
    flaws = [f"{message}. {hint}" for _, _, message, hint in options.find_cap_flaws()]
    if flaws:
        raise SpecError(flaws)
    return CapWalk(options, restart, cap, first)
