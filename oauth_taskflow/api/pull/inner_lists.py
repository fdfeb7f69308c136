"""Lists within rows that say that they go on, or in whose place an error is: ``records`` takes the items that came."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from oauth_taskflow.api.pull.page import PageView
from oauth_taskflow.api.pull.paging_fields import TOTALS, Place, find_inner_places
from oauth_taskflow.api.pull.root_errors import find_error_on_way
from oauth_taskflow.api.pull.unread_pages import find_sign_in


class CutLists(NamedTuple):
    """How many rows of a page have a list that goes on, and the key by which the first of them says so."""

    rows: int
    sign: str

    def describe(self, page: PageView) -> str:
        """Returns the warning about ``page``."""
        return (
            f"Page {page.index + 1} has {self.rows:,} rows whose inner list says that it goes on ({self.sign}) {page.where}. records takes "
            "the part that came, and the rest is missing from this output: read it by an endpoint with for_each over these rows."
        )


class FailedLists(NamedTuple):
    """How many rows of a page have an error in place of a list, and the key of the first one."""

    rows: int
    key: str

    def describe(self, page: PageView) -> str:
        """Returns the warning about ``page``."""
        return (
            f"Page {page.index + 1} has {self.rows:,} rows with an error in place of their inner list ({self.key}) {page.where}. If the "
            "API could not read these lists, their items are missing from this output."
        )


def judge_inner_lists(
    rows: Sequence[Any], keys: tuple[str, ...]
) -> tuple[CutLists | FailedLists, ...]:
    """Returns what is wrong with the lists at ``keys`` within ``rows``; without ``keys`` rows have none."""
    if not keys:
        return ()
    return tuple(filter(None, (_find_cut_lists(rows, keys), _find_failed_lists(rows, keys))))


def _find_failed_lists(rows: Sequence[Any], keys: tuple[str, ...]) -> FailedLists | None:
    """Returns the rows that end early, on the way to their list, in an object with ``error`` or ``errors``: InfluxDB, ``_msearch``."""
    found = [error.key for row in rows if (error := find_error_on_way(row, keys)) is not None]
    return FailedLists(len(found), found[0]) if found else None


def _find_cut_lists(rows: Sequence[Any], keys: tuple[str, ...]) -> CutLists | None:
    """Returns the lists that go on; None without one.

    The object around a list says so as a page does (``has_more``, ``pageInfo.hasNextPage``, a total above the items that came), and
    OData in ``lines@odata.nextLink`` next to it. Where the list is in the row itself, other fields describe the row.
    """
    signs = [sign for sign in (_find_sign(row, keys) for row in rows) if sign is not None]
    return CutLists(len(signs), signs[0]) if signs else None


def _find_sign(row: Any, keys: tuple[str, ...]) -> str | None:
    around, path = row, ""
    for key in keys[:-1]:
        around = around.get(key) if isinstance(around, dict) else None
        path += f"{key}."
    items = around.get(keys[-1]) if isinstance(around, dict) else None
    if not isinstance(items, list):
        return None
    link = f"{keys[-1]}@odata.nextLink"
    if around.get(link):
        return f"{path}{link}"
    if not path:
        return None
    places = list(find_inner_places(_members(around, keys[-1]), path, keys[-1]))
    return find_sign_in(places) or _find_total(places, len(items))


def _members(around: dict[str, Any], list_key: str) -> dict[str, msgspec.Raw]:
    """Returns what is next to the list, undecoded, as the fields of a page are read."""
    beside = {**around, list_key: []}
    return {name: msgspec.Raw(json.dumps(beside[name], default=str).encode()) for name in beside}


def _find_total(places: list[Place], count: int) -> str | None:
    for place in places:
        names = TOTALS | {"total"} if place.is_of_list else TOTALS
        for number in place.find_numbers(names):
            if number.value > count:
                return f"{place.path}{number.key}"
    return None
