"""Decides whether a response is a page, by the declared landmarks that it has.

A landmark is the records' path, a total, page count or flag, or a page cursor or next URL that is not empty. A response
without any is not a page, whatever its status. docs/paging.md has the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

from oauth_taskflow.api.decoders.json import Body
from oauth_taskflow.api.paginators.base import PagingOptions
from oauth_taskflow.api.pull.inner_lists import BadLists, judge_inner_lists
from oauth_taskflow.api.pull.other_lists import find_other_list
from oauth_taskflow.api.pull.records import AbsentRecords
from oauth_taskflow.api.pull.root_errors import (
    RootError,
    find_error,
    find_failure,
    find_gap,
    find_inner_error,
    no_records_error,
    quote_remark,
)
from oauth_taskflow.api.pull.selector import RecordSelector
from oauth_taskflow.api.request_secrets import redact_request_url
from oauth_taskflow.errors import ApiError, NotAPage

_CONDITIONS = ("If-None-Match", "If-Modified-Since")
_EMPTY_HINT = 'If the API means no records by it, write responses: [{status: %d, when: "@ == `null`", action: end}].'


@dataclass(frozen=True)
class Content:
    """The content of a page.

    ``has_landmark``: the page has anything that the options declare. ``is_doubtful``: the records' path is absent, and
    nothing allows that. ``received``: the items from which the records were made, None when the items are the records.
    ``is_expanded``: an item may hold several records. ``has_error``: the root names an error although there are records.
    ``blind_rows`` are the items of ``received`` where none has the key that the path takes of each, so that no record came.
    ``hidden`` is the number of edges of a connection (GraphQL) whose node is null.
    ``gap`` is the key by which the root says that records are missing; empty without one. ``list_keys`` lead to the list.
    ``inner_lists`` says what is wrong with the lists within rows. ``remark`` quotes the API's own warning; empty without one.
    """

    body: Body
    records: list[Any]
    has_landmark: bool = True
    is_doubtful: bool = False
    received: list[Any] | None = None
    is_expanded: bool = False
    blind_rows: int = 0
    hidden: int = 0
    has_error: bool = False
    gap: str = ""
    list_keys: tuple[str, ...] = ()
    inner_lists: tuple[BadLists, ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class PageJudge:
    """Distinguishes pages from other responses; keeps no state. ``absent`` applies where the selector has no option."""

    selector: RecordSelector
    options: PagingOptions
    absent: AbsentRecords = "fail"

    def read_content(self, response: requests.Response) -> Content:
        """Returns the content of a response with a status below 300, or 304.

        Raises:
            NotAPage: the response has neither records nor an end; ``retryable``.
            RecordsNotFound: the response has nothing that the options declare, or a value that is not a list.
            InvalidRecord: the body is not JSON.
        """
        status = response.status_code
        if status == 204 or (status == 304 and _is_conditional(response)):
            return Content(_nothing(response), [], has_landmark=False)
        if status in {202, 304}:
            raise _not_a_page_error(response)
        body = Body.from_response(response)
        if body.empty or body.json == b"null":
            raise _not_a_page_error(response, body)
        records = self.selector.find(body)
        error = find_error(body)
        if records is None:
            return self._read_without_records(response, body, error)
        source, received = self.selector.source, self.selector.find_source_items(body)
        gap = self._find_gap(body)
        if not (self.selector.options.path and (received or records)):
            self._reject_errors(response, body, error or gap)
        is_expanded = source is not None and source.is_expanded
        return Content(
            body,
            records,
            received=received,
            is_expanded=is_expanded,
            blind_rows=self._count_blind_rows(received or [], records),
            hidden=self._count_hidden(received or []),
            has_error=error is not None,
            gap="" if gap is None else gap.key,
            list_keys=self.selector.list_keys,
            inner_lists=judge_inner_lists(received or [], self.selector.inner_keys),
            remark=self._quote_remark(response, body),
        )

    def count_records(self, response: requests.Response) -> int:
        """Returns the number of records of a response that is not read; 0 where it is unreadable."""
        if not response.ok:
            return 0
        try:
            body = Body.from_response(response)
            return 0 if body.empty else len(self.selector.find(body) or [])
        except ApiError:
            return 0

    def _count_blind_rows(self, received: list[Any], records: list[Any]) -> int:
        member = self.selector.member
        has_any = records or any(isinstance(row, dict) and member in row for row in received)
        return 0 if member is None or has_any else len(received)

    def _count_hidden(self, received: list[Any]) -> int:
        """Counts the edges whose node the user may not see. Elsewhere an author may leave out rows by a member that is null."""
        if self.selector.member != "node":
            return 0
        return sum(isinstance(row, dict) and row.get("node", row) is None for row in received)

    def _find_gap(self, body: Body) -> RootError | None:
        """Returns what the root says about missing records. The body of a single record says nothing about others."""
        return find_gap(body) if self._has_envelope() else None

    def _quote_remark(self, response: requests.Response, body: Body) -> str:
        return quote_remark(response, body, self.selector.list_keys) if self._has_envelope() else ""

    def _has_envelope(self) -> bool:
        """Whether the root is about the answer: not a record itself."""
        options = self.selector.options
        return not options.single and options.path not in {None, "", "@"}

    def _reject_errors(
        self, response: requests.Response, body: Body, error: RootError | None
    ) -> None:
        """Raises RecordsNotFound where a body without records reports that the request failed."""
        path, found = self.selector.options.path, error
        if path and found is None:
            found = find_inner_error(body, path) or find_failure(body)
        if found is not None:
            raise no_records_error(response, body, self.selector, found)

    def _read_without_records(
        self, response: requests.Response, body: Body, error: RootError | None
    ) -> Content:
        self._reject_errors(response, body, error or self._find_gap(body))
        if self.selector.is_misplaced(body):
            raise self.selector.missing_error(body)
        has_landmark = self.options.has_landmark(body, response.headers)
        written = self.selector.options.when_absent
        may_be_absent = (written or self.absent) == "empty"
        if not (has_landmark or may_be_absent):
            raise self.selector.missing_error(body)
        # A list under another name looks like a misspelt path, unless the author wrote that the path may be absent.
        keys = self.selector.list_keys
        other = None
        if written is None:
            other = find_other_list(body, keys, self.options, response.headers)
        if other is not None:
            raise self.selector.missing_error(body, other)
        remark = self._quote_remark(response, body)
        return Content(
            body,
            [],
            has_landmark,
            is_doubtful=not may_be_absent,
            list_keys=keys,
            remark=remark,
        )


def _is_conditional(response: requests.Response) -> bool:
    return any(name in response.request.headers for name in _CONDITIONS)


def _nothing(response: requests.Response) -> Body:
    url = redact_request_url(response.request, response.url)
    return Body(b"", where=f"at {response.request.method} {url}", url=url)


def locate_response(response: requests.Response) -> str:
    """Returns the method and redacted URL of a response, for messages."""
    return f"at {response.request.method} {redact_request_url(response.request, response.url)}"


def _not_a_page_error(response: requests.Response, body: Body | None = None) -> ApiError:
    status = response.status_code
    if status == 202:
        what = "The API answered HTTP 202: accepted, without a page"
        hint = "Ask for the result when it is ready, or write a rule in responses: {status: 202, action: retry, wait: PT30S}."
    elif body is None:
        what = "The API answered HTTP 304 to a request without a condition"
        hint = "A cache in between may be at fault; or send If-None-Match or If-Modified-Since in request.headers."
    else:
        what = f"The API answered HTTP {status} with {'an empty body' if body.empty else 'null'}, which is not a page"
        hint = _EMPTY_HINT % status
    return NotAPage(what, where=locate_response(response), hint=hint, retryable=True)
