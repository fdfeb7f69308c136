"""A page, as its consumer and as a paginator see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from oauth_taskflow.api.decoders.json import Body, find_in
from oauth_taskflow.api.request import ApiRequest


@dataclass(frozen=True)
class Page:
    """One page. Records are ``msgspec.Raw`` (UTF-8 JSON on one line) or Python values, as asked.

    ``bytes`` is the size of the body received, after content decoding; ``url`` is redacted; ``index`` counts from 0.
    ``total`` is the number of records that the API announced for this page's sequence, None without ``total`` options;
    ``is_doubtful`` says that the records' path is absent although nothing says that it may be.
    """

    records: list[Any] = field(repr=False)
    bytes: int
    url: str
    index: int
    total: int | None = None
    is_doubtful: bool = False

    @property
    def count(self) -> int:
        """Number of records."""
        return len(self.records)


@dataclass(frozen=True)
class PageView:
    """What a paginator may look at in the page it has just read.

    ``index`` counts from 0; ``first`` is the request that began the sequence; ``first_rows`` and ``rows_so_far``
    count rows as the API returned them, in the first page and up to this one; ``continues`` is what the ``more``
    and ``last`` flags say, None without flags. ``total`` is the number of rows that the API announced last, None
    when it announced none or only an estimate; ``announced`` is that number, estimate or not. ``source_rows`` are the
    rows that the path of ``records`` filtered or expanded, None where it did not; ``is_unsure`` says that nothing shows
    whether the API counts these or what is in them.
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

    @property
    def received(self) -> list[Any]:
        """The rows as the API returned them."""
        return self.records if self.source_rows is None else self.source_rows

    @property
    def rows(self) -> int:
        """Rows in this page, before anything was dropped."""
        return len(self.received)

    @property
    def url(self) -> str:
        """The page's own URL, after redirects."""
        return self.response.url

    @property
    def headers(self) -> Mapping[str, str]:
        """Response headers, found in any case."""
        return self.response.headers

    @property
    def where(self) -> str:
        """For error messages: method and redacted URL."""
        return self.body.where

    def find(self, path: str) -> Any:
        """The value at a JMESPath of the body; None when absent or null."""
        return self.body.find(path)

    def find_in_last_record(self, path: str) -> Any:
        """The value at a JMESPath of the last record, or where all were left out of the last row; None without rows."""
        rows = self.records or self.received
        return find_in(rows[-1], path) if rows else None
