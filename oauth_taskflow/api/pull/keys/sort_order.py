"""Checks that the records of a page are sorted by the key from which the next request goes on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from oauth_taskflow.api.paginators.base import SortKey
from oauth_taskflow.api.pull.missing_fields import missing_field_error
from oauth_taskflow.api.pull.record_fields import build_column_reader
from oauth_taskflow.api.pull.watermark import Rank, rank_value
from oauth_taskflow.dates import UnreadableDate
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.record_values import show_value


def find_rank(key: Any) -> Rank | None:
    """Returns the kind of a sort key and its place among keys of that kind; None for a text without an order."""
    try:
        return rank_value(key)
    except UnreadableDate:
        return None


class SortOrder:
    """Compares sort keys.

    Instants and numbers are compared by value. Other texts are not compared, because every database sorts them
    differently; equal neighbours are found among them too.
    """

    def __init__(self, key: SortKey) -> None:
        self._path, self._order, self._option = key.path, key.order, key.option
        self._is_unique = not key.comes_again
        self._values = build_column_reader(key.path)

    def read_keys(self, records: Sequence[Any]) -> list[Any]:
        """Returns the keys of ``records``.

        Raises:
            InvalidRecord: a record has no key, or one that is not a text or number.
        """
        keys = self._values(records)
        for record, key in zip(records, keys, strict=True):
            if key is None:
                hint = f"Correct {self._option}; without it the rest would be left out silently."
                raise missing_field_error(record, self._path, self._option, hint)
            if isinstance(key, bool | dict | list):
                raise InvalidRecord(
                    f"The sort key {self._path!r} is {self._show(key)}, not a text or number"
                )
        return keys

    def check(self, keys: Sequence[Any]) -> None:
        """Compares each of ``keys`` with the one before.

        Raises:
            InvalidRecord: two keys are not in order, of different kinds, or equal where each must be unique.
        """
        ranks = [find_rank(key) for key in keys]
        for (key, rank), (other, next_rank) in pairwise(zip(keys, ranks, strict=True)):
            if self._is_unique and key == other:
                raise self._tie_error(key)
            if rank is None or next_rank is None:
                continue
            self._compare(key, rank, other, next_rank)

    def _compare(self, key: Any, rank: Any, other: Any, next_rank: Any) -> None:
        if rank[0] != next_rank[0]:
            raise InvalidRecord(
                f"The sort key {self._path!r} is {self._show(other)}, after {self._show(key)}",
                hint="Name a key that is of one kind, a number or a text, in all records.",
            )
        low, high = (
            (rank[1], next_rank[1]) if self._order == "ascending" else (next_rank[1], rank[1])
        )
        if low > high:
            raise InvalidRecord(
                f"The records are not in {self._order} order of {self._path!r}: {self._show(other)} comes after {self._show(key)}",
                hint=self._find_hint(key, other),
            )
        if self._is_unique and low == high:
            raise self._tie_error(key)

    def _find_hint(self, key: Any, other: Any) -> str:
        """Returns the way out for two keys that are in the wrong order: an API that keeps numbers as texts may sort them as texts."""
        are_texts = isinstance(key, str) and isinstance(other, str)
        if self._is_unique and are_texts and (key < other) is (self._order == "ascending"):
            return (
                "They are in the order of texts, and read here as numbers or times. Sort by another field. Where the API compares the "
                f"value that is sent as a text too, write type: cursor with last_record: {self._path}, and total, which shows a loss."
            )
        return f"Sort the request by that field, {self._order}; without it records would be left out silently."

    def again_error(self, again: Any, last: Any, index: int) -> InvalidRecord:
        """Returns the error for page ``index`` (from 0), asked for behind the key ``last``, that has the key ``again`` of the page before."""
        return InvalidRecord(
            f"The key {self._show(again)} at {self._path!r} was on page {index} and came again on page {index + 1}, which was asked for "
            f"behind {self._show(last)}: the records are not sorted by it",
            hint=f"Sort the request by that field, {self._order}; without it records would be left out silently.",
        )

    def _show(self, key: Any) -> str:
        return show_value(key, self._path)

    def _tie_error(self, key: Any) -> InvalidRecord:
        return InvalidRecord(
            f"Two records in a row have the sort key {self._show(key)} at {self._path!r}: where a page ends between them, the "
            "second is lost",
            hint="Take a unique key. If the API answers with the records from the key on, write overlap: true.",
        )
