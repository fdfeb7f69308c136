"""A page, as its consumer sees it and as a paginator sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from oauth_taskflow.api.decoders.json import Body, find_in
from oauth_taskflow.api.pull.marks import PageMark, PartsMark
from oauth_taskflow.api.request import ApiRequest


@dataclass(frozen=True)
class Page:
    """One page. Records are ``msgspec.Raw`` (UTF-8 JSON on one line) or Python values, depending on ``decode``.

    ``bytes`` is the size of the body received, after content decoding; ``url`` is redacted; ``index`` counts from 0.
    ``total`` is the number of records that the API announced for this page's sequence, None without ``total`` options.
    ``is_doubtful``: the records' path is absent, and nothing allows that. ``mark`` is the state of the sequence after it.
    ``found`` is what the caller of ``pull`` looks for in the body of each page.
    ``is_capped``: it is the last one that the API shows of this request, and others may be behind it.
    ``part`` is what this page's request asked for, where the caller of ``pull`` made several requests of one.
    ``shows_end``: it shows that it is the last one: its next pointer is there and empty, or it announces as many rows as came.
    ``blind_rows`` is the number of rows of a page without records where no row has the key that ``records`` takes of each.
    ``waits`` are the seconds that its request waited, by reason; see ``oauth_taskflow.waits``.
    """

    records: list[Any] = field(repr=False)
    bytes: int
    url: str
    index: int
    total: int | None = None
    is_doubtful: bool = False
    mark: PageMark | PartsMark | None = field(default=None, repr=False, compare=False)
    found: Any = field(default=None, repr=False)
    is_capped: bool = False
    part: Any = field(default=None, repr=False, compare=False)
    waits: Mapping[str, float] | None = field(default=None, repr=False, compare=False)
    shows_end: bool = field(default=False, repr=False, compare=False)
    blind_rows: int = field(default=0, repr=False, compare=False)

    @property
    def count(self) -> int:
        """Number of records."""
        return len(self.records)


@dataclass(frozen=True)
class PageView:
    """The part of the last page that a paginator may look at.

    ``index`` counts from 0. ``first`` is the request that began the sequence. ``first_rows`` and ``rows_so_far`` count
    rows as the API returned them, in the first page and up to this one. ``continues`` is the value of the ``more`` and
    ``last`` flags, None without flags.

    ``total`` is the number of rows that the API announced last, None without a number and for an estimate;
    ``announced`` is that number, estimate or not. ``source_rows`` are the rows that the path of ``records`` filtered or
    expanded, None where it did neither. ``is_unsure``: no page has shown whether the API counts these rows or their
    contents. ``last_key`` is the sort key of the last record so far, None
    for styles without one. ``list_keys`` are the plain keys that lead to the list of records, empty at the root.
    """

    response: requests.Response
    body: Body
    records: list[Any]
    index: int
    first: ApiRequest
    first_rows: int
    rows_so_far: int
    continues: bool | None = None
    total: int | None = None
    announced: int | None = None
    source_rows: list[Any] | None = None
    is_unsure: bool = False
    last_key: Any = None
    list_keys: tuple[str, ...] = ()

    @property
    def received(self) -> list[Any]:
        """The rows as the API returned them."""
        return self.records if self.source_rows is None else self.source_rows

    @property
    def rows(self) -> int:
        """The number of rows in this page, before any are dropped."""
        return len(self.received)

    @property
    def url(self) -> str:
        """The page's own URL, after redirects."""
        return self.response.url

    @property
    def headers(self) -> Mapping[str, str]:
        """The response headers; their names match in any case."""
        return self.response.headers

    @property
    def where(self) -> str:
        """The method and redacted URL, for error messages."""
        return self.body.where

    def find(self, path: str) -> Any:
        """Returns the value at a JMESPath of the body; None when it is absent or null."""
        return self.body.find(path)

    def find_in_first_record(self, path: str) -> Any:
        """Returns the value at a JMESPath of the first record; None without records."""
        return find_in(self.records[0], path) if self.records else None

    def find_in_last_record(self, path: str) -> Any:
        """Returns the value at a JMESPath of the last record; of the last row where the page has no records.

        None without rows.
        """
        rows = self.records or self.received
        return find_in(rows[-1], path) if rows else None
