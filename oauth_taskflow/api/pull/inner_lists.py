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

_CUT = (
    "whose inner list says that it goes on",
    "records takes the part that came, and the rest is missing from this output: read it by an endpoint with for_each over these rows.",
)
_FAILED = (
    "with an error in place of their inner list",
    "If the API could not read these lists, their items are missing from this output.",
)


class BadLists(NamedTuple):
    """How many rows of a page have an inner list that is not whole, the key by which the first of them says so, and what that means."""

    rows: int
    sign: str
    fault: str
    advice: str

    def describe(self, page: PageView) -> str:
        """Returns the warning about ``page``."""
        return f"Page {page.index + 1} has {self.rows:,} rows {self.fault} ({self.sign}) {page.where}. {self.advice}"


def judge_inner_lists(rows: Sequence[Any], keys: tuple[str, ...]) -> tuple[BadLists, ...]:
    """Returns what is wrong with the lists at ``keys`` within ``rows``; without ``keys`` rows have none."""
    if not keys:
        return ()
    cut = [sign for row in rows if (sign := _find_sign_of_cut(row, keys)) is not None]
    failed = [sign for row in rows if (sign := _find_sign_of_error(row, keys)) is not None]
    found = ((cut, _CUT), (failed, _FAILED))
    return tuple(BadLists(len(signs), signs[0], *texts) for signs, texts in found if signs)


def _find_sign_of_error(row: Any, keys: tuple[str, ...]) -> str | None:
    """Returns the key of an ``error`` or ``errors`` where a row ends early on the way to its list: InfluxDB, ``_msearch``."""
    error = find_error_on_way(row, keys)
    return None if error is None else error.key


def _find_sign_of_cut(row: Any, keys: tuple[str, ...]) -> str | None:
    """Returns the key that says that the list goes on.

    The object around a list says so as a page does (``has_more``, ``pageInfo.hasNextPage``, a total above the items that came), and
    OData in ``lines@odata.nextLink`` next to it. Where the list is in the row itself, other fields describe the row.
    """
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
