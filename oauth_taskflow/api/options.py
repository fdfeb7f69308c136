"""How an endpoint is read and where its records go, as typed options: plain data, no I/O.

The spec format and the session take the same types, so one definition serves the YAML schema, the documentation and
the code that acts on it. A field's ``Meta`` is its page in the reference.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from oauth_taskflow.api.paginators import (
    CursorPaginator,
    CustomPaginator,
    LinkHeaderPaginator,
    NextUrlPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginate,
    SinglePage,
)
from oauth_taskflow.api.paginators.base import PagingOptions, TotalRows
from oauth_taskflow.schema.types import (
    Count,
    Duration,
    ErrorStatus,
    JmesPath,
    Options,
    doc,
)

__all__ = [
    "AbsentRecords",
    "Action",
    "CursorPaginator",
    "Cursors",
    "CustomPages",
    "CustomPaginator",
    "Incremental",
    "Limits",
    "LinkHeaderPaginator",
    "Links",
    "NextUrlPaginator",
    "NextUrls",
    "NoPages",
    "OffsetPaginator",
    "Offsets",
    "PageNumberPaginator",
    "PageNumbers",
    "Paginate",
    "PagingOptions",
    "RateLimit",
    "Records",
    "ResponseRule",
    "SinglePage",
    "StatusMatch",
    "TotalRows",
]

# Former names, importable for one more release.
NoPages = SinglePage
PageNumbers = PageNumberPaginator
Offsets = OffsetPaginator
Cursors = CursorPaginator
Links = LinkHeaderPaginator
NextUrls = NextUrlPaginator
CustomPages = CustomPaginator


Action = Literal["retry", "rate_limit", "refresh", "skip", "end", "fail"]
StatusMatch = Annotated[
    str,
    doc(
        "A class or range of statuses.",
        "5xx",
        "500-504",
        pattern=r"^([1-5]xx|[1-5]\d\d-[1-5]\d\d)$",
    ),
]


class ResponseRule(Options, frozen=True, kw_only=True):
    """What to do with an answer; the first rule that matches decides."""

    status: Annotated[
        ErrorStatus | StatusMatch | tuple[ErrorStatus | StatusMatch, ...] | None,
        doc("Status, class, range, or a list of them.", 404, "5xx", [429, "500-504"]),
    ] = None
    when: Annotated[
        JmesPath | None, doc("JMESPath predicate on the JSON body.", "ok == `false`")
    ] = None
    header: Annotated[
        dict[str, str],
        doc(
            "Response headers and the regular expression each must match.", {"X-Maintenance": "on"}
        ),
    ] = {}
    action: Annotated[
        Action | None,
        doc(
            "retry: again after wait. rate_limit: as retry, and every request waits. refresh: next token, once. "
            "skip: no records, no error. end: last page reached. fail: stop with message.",
            "skip",
        ),
    ] = None
    wait: Annotated[
        Duration | None, doc("Wait before the retry when the answer names none.", "PT30S")
    ] = None
    max_attempts: Annotated[int, doc("Attempts in all under this rule.", 5, ge=1, le=100)] = 5
    message: Annotated[str, doc("Added to the error or log line.", "Contact was deleted")] = ""


class RateLimit(Options, frozen=True, kw_only=True):
    """A budget that this endpoint's requests keep to, on every worker of the machine."""

    requests: Annotated[Count | None, doc("Requests allowed per period.", 100)] = None
    per: Annotated[Duration, doc("Length of the period.", "PT1M")] = "PT1S"


class Limits(Options, frozen=True, kw_only=True):
    """How large, deep and slow one answer may be, where the connection's limits do not fit."""

    bytes: Annotated[
        Annotated[int, Meta(ge=1, le=1 << 34)] | None,
        doc("Bytes of the decoded body: 268435456 (256 MiB) unless set.", 1 << 29),
    ] = None
    depth: Annotated[
        Annotated[int, Meta(ge=1, le=512)] | None,
        doc("Levels of nesting in JSON: 256 unless set.", 300),
    ] = None
    time: Annotated[
        Duration | None,
        doc("Time until an answer is whole: 15 minutes unless set.", "PT30M"),
    ] = None


AbsentRecords = Literal["fail", "empty"]


class Records(Options, frozen=True, kw_only=True):
    """Where the records of a page are."""

    path: Annotated[
        JmesPath | None, doc("JMESPath of the records; absent: the whole body.", "data.items")
    ] = None
    single: Annotated[
        bool, doc("A single object where a list is expected is one record.", True)
    ] = False
    absent: Annotated[
        AbsentRecords | None,
        doc(
            "An answer without the path, total, flag or page cursor: fail, or empty where the API leaves out an empty "
            "list. By default the provider's preset decides, else it fails. A root error or errors always fails.",
            "empty",
        ),
    ] = None
    require: Annotated[bool, doc("Older form: false means absent: empty.", False)] = True

    @property
    def when_absent(self) -> AbsentRecords | None:
        """``absent``, with ``require`` taken into account; None when neither is written."""
        return self.absent or (None if self.require else "empty")


class Incremental(Options, frozen=True, kw_only=True):
    """Only what changed in the run's data interval, in windows."""

    field: Annotated[
        JmesPath | None,
        doc(
            "JMESPath of the change time in a record; its highest value is the watermark.",
            "updatedAt",
        ),
    ] = None
    start: Annotated[
        str | None,
        doc(
            "Earliest instant ever asked for: ISO 8601 date or date-time, UTC unless it says otherwise.",
            "2024-01-01",
        ),
    ] = None
    step: Annotated[Duration | None, doc("Longest window per request sequence.", "P7D")] = None
    lookback: Annotated[
        Duration | None, doc("Read this much before the interval again, for late updates.", "PT1H")
    ] = None
    format: Annotated[
        str,
        doc(
            "How window.start and window.end are written: iso, date, epoch, epoch_ms or a strftime pattern.",
            "iso",
            "%Y-%m-%dT%H:%M:%SZ",
            min_length=1,
        ),
    ] = "iso"
    upper: Annotated[
        Literal["exclusive", "inclusive"],
        doc("Whether the API includes window.end; inclusive ends one unit earlier.", "inclusive"),
    ] = "exclusive"
    unit: Annotated[
        Duration, doc("Precision of the API's timestamps, for inclusive ends.", "PT1S")
    ] = "PT1S"
    missing: Annotated[
        Literal["fail", "include"], doc("A record without the field.", "include")
    ] = "fail"
    without_interval: Annotated[
        Literal["start", "fail"] | None,
        doc(
            "What a run without a data interval does (triggered by hand, by the API or by assets): read everything from "
            "start, or fail. Absent: the same as start, with a warning.",
            "fail",
        ),
    ] = None

    NAMED_FORMATS: ClassVar[frozenset[str]] = frozenset({"iso", "date", "epoch", "epoch_ms"})
