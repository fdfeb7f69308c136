"""Turns responses into the pages of one sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import requests

from oauth_taskflow.api.decoders.numbers import to_plain_numbers
from oauth_taskflow.api.errors import ApiStatusError, status_error
from oauth_taskflow.api.paginators import Paginate
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.page_judge import Content, PageJudge
from oauth_taskflow.api.pull.records import AbsentRecords, Records
from oauth_taskflow.api.pull.selector import RecordSelector
from oauth_taskflow.api.pull.sequence import PageSequence, log_warning
from oauth_taskflow.api.pull.totals import Warn
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.request_secrets import take_secrets_out
from oauth_taskflow.api.response_rules import Decision, ResponseRule, Rules
from oauth_taskflow.waits import Waits

Decode = bool | Literal["exact"]

_ERRORS_FROM = 400
# The reason of a failure that the status of the answer does not show.
_BY_RULE: Mapping[str, str] = {
    "fail": "A rule in responses with action: fail matches this answer.",
    "retry": "A rule in responses with action: retry matched this answer in each attempt.",
    "rate_limit": "A rule in responses with action: rate_limit matched this answer in each attempt.",
    "refresh": "A rule in responses with action: refresh matches this answer, and another token was not obtained or did not help.",
}


@dataclass(frozen=True)
class ReadResponse:
    """A response, with its content when it is a page, and the waits of its request; see ``oauth_taskflow.waits``."""

    response: requests.Response
    decision: Decision | None
    content: Content | None
    waits: Mapping[str, float] | None = None


@dataclass(frozen=True)
class PageReader:
    """Turns responses into pages; does no I/O.

    With ``has_plain_numbers``, decoded records hold ordinary floats only. ``find`` is a JMESPath into the body of each
    page, whose value goes into ``Page.found``.
    """

    sequence: PageSequence
    judge: PageJudge
    rules: Rules
    has_plain_numbers: bool = False
    find: str | None = None

    def read(self, response: requests.Response, decision: Decision | None) -> ReadResponse:
        """Reads a response, in any order; the session calls it as the judge of a ``RequestPlan``.

        Raises:
            ApiError: the response is not a page; ``retryable`` when another attempt may help. See ``PageJudge``.
        """
        status = response.status_code
        is_accepted = decision is not None and decision.action == "accept"
        if not is_accepted and (decision is not None or not (status < 300 or status == 304)):
            return ReadResponse(response, decision, None)
        return ReadResponse(response, decision, self.judge.read_content(response))

    def take(self, read: ReadResponse) -> Page | None:
        """Returns the next page of the sequence, or None when the sequence ends without one.

        Raises:
            ApiStatusError: the response is an error that no rule forgives.
            PagesCutShort: the sequence ends before everything came that the API announced.
        """
        sequence, response = self.sequence, read.response
        if read.decision is not None and read.decision.action in {"skip", "end"}:
            is_skip, dropped = read.decision.action == "skip", self.judge.count_records(response)
            sequence.end_by_rule(response, is_skip=is_skip, dropped=dropped)
            return None
        if read.content is None:
            if read.decision is None and sequence.is_past_end(response):
                sequence.end_by_status(response)
                return None
            raise _refusal_error(response, read.decision, sequence.end_hint(response))
        page = sequence.advance(response, read.content)
        if page is None:
            return None
        if self.find is not None and not read.content.body.empty:
            found = read.content.body.find(self.find)
            page = replace(page, found=take_secrets_out(response.request, found))
        if self.has_plain_numbers and read.content.body.has_exact_numbers:
            page = replace(page, records=to_plain_numbers(page.records))
        return page if read.waits is None else replace(page, waits=read.waits)


def with_waits(read: ReadResponse, waits: Waits) -> ReadResponse:
    """Returns ``read`` with the waits of its request, if there were any."""
    return replace(read, waits=waits.seconds()) if waits else read


def _refusal_error(
    response: requests.Response, decision: Decision | None, end_hint: str
) -> ApiStatusError:
    if decision is None:
        return status_error(response, hint=end_hint)
    hint = _BY_RULE.get(decision.action, "") if response.status_code < _ERRORS_FROM else ""
    return status_error(response, hint=decision.message or hint)


def build_page_reader(
    session: object,
    request: ApiRequest,
    paginate: Paginate | None,
    records: Records,
    responses: Sequence[ResponseRule],
    *,
    decode: Decode,
    warn: Warn = log_warning,
    find: str | None = None,
    drops_repeats: bool = False,
) -> PageReader:
    """Returns the reader of one page sequence. Without ``records.absent``, ``session`` decides what absent records mean."""
    sequence = PageSequence(request, paginate, warn=warn, drops_repeats=drops_repeats)
    absent: AbsentRecords = getattr(session, "absent_records", "fail")
    has_plain_numbers = decode is True
    selector = RecordSelector(records, decode=bool(decode), has_plain_numbers=has_plain_numbers)
    judge = PageJudge(selector, sequence.options, absent)
    return PageReader(
        sequence, judge, Rules(responses), has_plain_numbers=has_plain_numbers, find=find
    )
