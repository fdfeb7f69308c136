"""The fields with which public APIs describe their paging: their names, and where in a body they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from oauth_taskflow.api.decoders.json import read_members
from oauth_taskflow.api.decoders.numbers import decode
from oauth_taskflow.api.pull.page import PageView

# A name stands for all its spellings: totalCount, total_count, total-count and @total.count. A field under a name that is not here
# is not found, and the page is read without a warning.
# Where it is false, a text or list is whole, and other pages may follow.
_TRUNCATED = "truncated"
_FLAGS = frozenset(
    {
        "exceededtransferlimit",
        "hasmore",
        "hasmoreitems",
        "hasnext",
        "hasnextpage",
        "istruncated",
        "moreitemsincollection",
        "morerecords",
        "moreresult",
        _TRUNCATED,
    }
)
_LAST_FLAGS = frozenset({"endofstream", "islast", "islastpage"})
# Flags only where something shows that they describe the list, and only as true or false: "last_page" is mostly a number.
_VAGUE_FLAGS = frozenset({"more"})
_VAGUE_LAST_FLAGS = frozenset({"last", "lastpage"})
_ALL_FLAGS = _FLAGS | _LAST_FLAGS
_ALL_VAGUE_FLAGS = _VAGUE_FLAGS | _VAGUE_LAST_FLAGS
_YES_AND_NO = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
POINTERS = frozenset(
    {
        "hydranext",
        "lastevaluatedkey",
        "next",
        "nextbatch",
        "nextcontinuationtoken",
        "nextcursor",
        "nextlink",
        "nextmarker",
        "nextpage",
        "nextpagelink",
        "nextpagetoken",
        "nextpageuri",
        "nextpageurl",
        "nextrecordsurl",
        "nexttoken",
        "nexturi",
        "nexturl",
        "odatanextlink",
    }
)
# Kubernetes has a text in "metadata", MediaWiki an object at the root; a text elsewhere may be anything.
_CONTINUE = "continue"
# Relations and fields that lead back.
BACK = frozenset({"prev", "previous"})
_LEADING_BACK = BACK | {
    "hydraprevious",
    "prevlink",
    "previouslink",
    "previouspage",
    "previouspageurl",
    "previousurl",
    "prevpage",
    "prevpageurl",
    "prevurl",
}
_FLAGS_OF_BEFORE = frozenset({"hasprev", "hasprevious", "hasprevpage", "haspreviouspage"})
_FIRST_FLAGS = frozenset({"first", "firstpage", "isfirst", "isfirstpage"})
_NEXT = frozenset({"next"})
_VAGUE_POINTERS = _NEXT | BACK
PREVIOUS_PAGE_HEADER = "X-Prev-Page"
_LEADING_ON = POINTERS | {_CONTINUE}
POINTER_HEADERS = (
    "X-Next-Page",
    "X-Next-Cursor",
    "opc-next-page",
    "x-ms-continuation",
    "x-ms-continuationtoken",
    # Azure Table storage: an answer that names a partition may leave the row out.
    "x-ms-continuation-NextPartitionKey",
    "x-ms-continuation-NextRowKey",
    "Next-Page",  # Kinto
)
# A JSON object with the names that others write in the body.
_OBJECT_HEADER = "X-Pagination"
# Lists of links, each with its relation: FHIR, PayPal.
_LINK_LISTS = frozenset({"link", "links"})
_RELATIONS = ("rel", "relation")
_TARGETS = ("href", "url")
# How many records there are. "total" and the counts only where something shows that they describe the list: elsewhere they may be
# money, and a count next to "total" or "start" is that of one page.
TOTALS = frozenset(
    {
        "filtercount",
        "hydratotalitems",
        "numbermatched",
        "numfound",
        "odatacount",
        "recordsfiltered",
        "recordstotal",
        "totalcount",
        "totaldocs",
        "totalelements",
        "totalentries",
        "totalitems",
        "totalrecordcount",
        "totalrecords",
        "totalresources",
        "totalresults",
        "totalrowcount",
        "totalrows",
        "totalsize",
    }
)
COUNTS = frozenset({"count", "recordcount"})
VAGUE_TOTALS = frozenset({"total", *COUNTS})
# Numbers of pages. One that is the last may be one less than their number, where pages count from 0.
PAGE_COUNTS = frozenset({"numberofpages", "numpages", "pagecount", "pages", "totalpages"})
LAST_NUMBERS = frozenset({"last", "lastpage"})
OWN_NUMBERS = frozenset({"currentpage", "number", "page", "pageindex", "pagenumber"})
_STARTS = frozenset({"start"})
_PAGING_WORDS = (
    frozenset(
        {
            "currentpage",
            "itemsperpage",
            "limit",
            "maxresults",
            "offset",
            "page",
            "pageable",
            "pagecount",
            "pageindex",
            "pagenumber",
            "pagesize",
            "perpage",
            "previous",
            "skip",
            "startat",
            "startindex",
            "totalpages",
        }
    )
    | _STARTS
)
_OF_LISTS = _PAGING_WORDS | POINTERS
# An object with nothing but these, a list and a number is the envelope of that list.
_ENVELOPE = frozenset(
    {"code", "message", "msg", "ok", "status", "success", *VAGUE_TOTALS, *_ALL_VAGUE_FLAGS}
)
_PAGING_PLACES = frozenset(
    {"links", "meta", "page", "pageinfo", "pagination", "paging", "responsemetadata", "resultinfo"}
)
# These are places of other things too: an order may keep its total in "info".
_PLACES = _PAGING_PLACES | {"hydraview", "info", "metadata", "view"}
_KNOWN = frozenset(
    _LEADING_BACK
    | _FLAGS_OF_BEFORE
    | _FIRST_FLAGS
    | _ALL_FLAGS
    | _ALL_VAGUE_FLAGS
    | _LEADING_ON
    | _LINK_LISTS
    | TOTALS
    | VAGUE_TOTALS
    | PAGE_COUNTS
    | LAST_NUMBERS
    | OWN_NUMBERS
    | _PAGING_WORDS
    | _PLACES
)
_IGNORED = str.maketrans(dict.fromkeys("_-:.@$"))
_LONGEST = max(map(len, _KNOWN)) * 2
_DIGITS = re.compile(r"\d{1,15}", re.ASCII)
# As in meta.pagination.links.next.
_DEEPEST = 3


def plain_name(name: str) -> str:
    """Returns what all spellings of a name share: ``total_count``, ``totalCount`` and ``@total.count`` are ``totalcount``."""
    return name.lower().translate(_IGNORED)


class Number(NamedTuple):
    """A number in a field: the plain name of the field, its key as the API spells it, and the value.

    Not ``is_exact`` is one that Elasticsearch stopped to count.
    """

    name: str
    key: str
    value: int
    is_exact: bool = True


@dataclass(frozen=True)
class Place:
    """An object of a body with its paging fields; ``path`` leads there, with a dot at its end, and is empty for the root.

    ``members`` are its undecoded values, and ``fields`` the plain names and keys of those that are known, without the objects that
    are places themselves. ``list_key`` leads to the list; None where the list is not in it. ``is_paging``: its name says what it is for.
    """

    path: str
    members: Mapping[str, msgspec.Raw]
    fields: tuple[tuple[str, str], ...]
    list_key: str | None
    is_paging: bool

    @property
    def is_of_list(self) -> bool:
        """Whether the name of the object or words of paging in it show that its fields describe the list."""
        return self.is_paging or self._has_any(_OF_LISTS)

    @property
    def is_envelope(self) -> bool:
        """Whether the object exists for the list in it: nothing else is there that a number or flag could describe."""
        if len(self.members) > len(_ENVELOPE):
            return False
        return all(plain_name(key) in _ENVELOPE for key in self.members if key != self.list_key)

    @property
    def has_start(self) -> bool:
        """Whether it says where the page starts, so that a count near it is that of the page."""
        return self._has_any(_STARTS)

    def _has_any(self, names: frozenset[str]) -> bool:
        return any(name in names for name, _ in self.fields)

    def find(self, names: frozenset[str]) -> Iterator[tuple[str, str, Any]]:
        """Yields the plain name, key and value of each field with one of ``names``."""
        return ((name, key, self._read(key)) for name, key in self.fields if name in names)

    def _read(self, key: str) -> Any:
        """The value at ``key``; None for a number of thousands of digits."""
        try:
            return decode(self.members[key])
        except msgspec.MsgspecError:
            return None

    def find_flags(self) -> Iterator[tuple[str, bool]]:
        """Yields the key of each flag, and whether it says that more pages follow."""
        for name, key, value in self.find(_ALL_FLAGS):
            flag = _YES_AND_NO.get(str(value).lower())
            if flag or (flag is not None and name != _TRUNCATED):
                yield key, flag is (name in _FLAGS)
        # Spring's slices have nothing else that shows it.
        has_first = any(isinstance(value, bool) for _, _, value in self.find(_FIRST_FLAGS))
        if has_first or self.is_of_list or self.is_envelope or self._has_any(TOTALS):
            yield from self._find_vague_flags()

    def _find_vague_flags(self) -> Iterator[tuple[str, bool]]:
        for name, key, value in self.find(_ALL_VAGUE_FLAGS):
            if isinstance(value, bool):
                yield key, value is (name in _VAGUE_FLAGS)

    def find_flags_of_before(self) -> Iterator[str]:
        """Yields the key of each flag that says that a page comes before this one."""
        yield from (key for _, key, value in self.find(_FLAGS_OF_BEFORE) if value is True)
        yield from (key for _, key, value in self.find(_FIRST_FLAGS) if value is False)

    def find_pointers(self) -> Iterator[str]:
        """Yields the key of each field that leads to another page."""
        found = self.find(_LEADING_ON)
        yield from (key for name, key, value in found if self._leads_on(name, value))
        yield from (key for _, key, value in self.find(_LINK_LISTS) if _has_link(value, _NEXT))

    def find_back_pointers(self) -> Iterator[str]:
        """Yields the key of each field that leads to the page before."""
        found = self.find(_LEADING_BACK)
        yield from (key for name, key, value in found if self._leads_on(name, value))
        yield from (key for _, key, value in self.find(_LINK_LISTS) if _has_link(value, BACK))

    def _leads_on(self, name: str, pointer: Any) -> bool:
        if isinstance(pointer, dict):  # an empty link: {"href": null, "rel": "next"}
            targets = [pointer[key] for key in _TARGETS if key in pointer] or pointer.values()
            return any(targets)
        # A field of a single record may have this name.
        if isinstance(pointer, str) and name in _VAGUE_POINTERS:
            return "/" in pointer or "?" in pointer
        if isinstance(pointer, str) and name == _CONTINUE and self.list_key is not None:
            return False
        return is_pointer(pointer)

    def find_numbers(self, names: frozenset[str]) -> Iterator[Number]:
        """Yields the fields with one of ``names`` that hold a whole number, also as text."""
        for name, key, found in self.find(names):
            value, is_exact = found, True
            if isinstance(found, dict):  # Elasticsearch's hits.total.value
                key, value = f"{key}.value", found.get("value")  # noqa: PLW2901
                is_exact = found.get("relation") != "gte"
            if isinstance(value, str) and _DIGITS.fullmatch(value):  # as PHP often writes numbers
                value = int(value)
            if type(value) is int:
                yield Number(name, key, value, is_exact)


def is_pointer(value: Any) -> bool:
    """Whether a text or number leads to another page. X ends by ``"0"``, others by ``"-1"``."""
    if isinstance(value, str):
        return value not in {"", "0", "-1"}
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def find_places(page: PageView) -> Iterator[Place]:
    """Yields the objects that may describe the paging: the root, those around the list, and what is named so in them.

    After these, the object in the header of ASP.NET.
    """
    yield from _find_body_places(page)
    header = page.headers.get(_OBJECT_HEADER)
    found = read_members(header.encode()) if header else None
    if found:
        yield from _descend(found, f"{_OBJECT_HEADER}.", None, _DEEPEST, is_paging=True)


def find_inner_places(
    members: Mapping[str, msgspec.Raw], path: str, list_key: str
) -> Iterator[Place]:
    """Yields the object that holds a list within a row, ``members`` at ``path``, and what is named so in it."""
    yield from _descend(members, path, list_key, is_paging=False)


def _find_body_places(page: PageView) -> Iterator[Place]:
    members, path, name = page.body.members, "", ""
    for key in page.list_keys or ("",):
        yield from _descend(members, path, key, is_paging=name in _PAGING_PLACES)
        yield from _find_aggregates(members, path, key)
        members, path = _read_object(members.get(key)) or {}, f"{path}{key}."
        name = plain_name(key)


def _find_aggregates(members: Mapping[str, msgspec.Raw], path: str, key: str) -> Iterator[Place]:
    """Yields Hasura's ``users_aggregate.aggregate`` next to the list ``users``."""
    beside = f"{key}_aggregate"
    inner = (_read_object(members.get(beside)) or {}).get("aggregate")
    found = _read_object(inner)
    if found:
        yield from _descend(found, f"{path}{beside}.aggregate.", None, _DEEPEST, is_paging=True)


def _descend(
    members: Mapping[str, msgspec.Raw],
    path: str,
    list_key: str | None,
    depth: int = 0,
    *,
    is_paging: bool,
) -> Iterator[Place]:
    known = tuple(_name_fields(members))
    inner = [(name, key, _read_object(members[key])) for name, key in known if name in _PLACES]
    places = {key for _, key, found in inner if found is not None}
    yield Place(path, members, tuple(f for f in known if f[1] not in places), list_key, is_paging)
    for name, key, found in inner:
        if found is not None and depth < _DEEPEST and key != list_key:
            names_paging = name in _PAGING_PLACES
            yield from _descend(found, f"{path}{key}.", None, depth + 1, is_paging=names_paging)


def _name_fields(members: Mapping[str, msgspec.Raw]) -> Iterator[tuple[str, str]]:
    for key in members:
        name = plain_name(key) if len(key) <= _LONGEST else ""
        if name in _KNOWN:
            yield name, key


def _read_object(raw: msgspec.Raw | None) -> dict[str, msgspec.Raw] | None:
    return None if raw is None else read_members(raw)


def _has_link(links: Any, relations: frozenset[str]) -> bool:
    found = [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []
    return any(
        any(link.get(key) == relation for key in _RELATIONS for relation in relations)
        and any(map(link.get, _TARGETS))
        for link in found
    )
