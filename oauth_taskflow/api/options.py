"""How an endpoint is read and where its records go, as typed options: plain data, no I/O.

The spec format and the session take the same types, so one definition serves the YAML schema, the documentation and
the code that acts on it. A field's ``Meta`` is its page in the reference.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from oauth_taskflow.schema.types import (
    Count,
    DottedPath,
    Duration,
    ErrorStatus,
    JmesPath,
    Options,
    Text,
    Whole,
    doc,
)


class TotalRows(Options, frozen=True, kw_only=True):
    """The number of records that the API announces, in the body or in a header."""

    path: Annotated[JmesPath | None, doc("Path of the number in the body.", "meta.total")] = None
    header: Annotated[
        Text | None,
        doc("Response header with the number, alone or after a slash.", "X-Total-Count"),
    ] = None
    approximate: Annotated[
        bool,
        doc(
            "The number is an estimate, or counts records that are not returned: fewer are a warning, and no end.",
            True,
        ),
    ] = False


class PagingOptions(Options, frozen=True, kw_only=True, tag_field="type"):
    """What every paginator understands."""

    total: Annotated[
        JmesPath | TotalRows | None,
        doc(
            "Number of records of one request sequence, as a path or a mapping: fewer records than the API announced "
            "last fail the task. Page and offset styles end there.",
            "total_entries",
            {"header": "X-Total-Count", "approximate": True},
        ),
    ] = None

    more: Annotated[
        JmesPath | None, doc("Path of a flag that is true while pages follow.", "has_more")
    ] = None
    last: Annotated[
        JmesPath | None, doc("Path of a flag that is true on the last page.", "meta.is_last")
    ] = None
    end_on_status: Annotated[
        tuple[ErrorStatus, ...],
        doc("Statuses that mean 'past the last page', honoured after page one only.", [400, 404]),
    ] = ()
    max_pages: Annotated[Count, doc("Hard stop: more pages than this fail the task.", 10000)] = (
        100_000
    )
    max_records: Annotated[
        Count | None, doc("Hard stop: more records than this fail the task.", 1000000)
    ] = None
    max_empty_pages: Annotated[
        Whole, doc("Hard stop: more empty pages than this in a row, with pages to follow.", 5000)
    ] = 1_000

    @property
    def announced(self) -> TotalRows:
        """``total`` in its long form."""
        return self.total if isinstance(self.total, TotalRows) else TotalRows(path=self.total)


class NoPages(PagingOptions, frozen=True, kw_only=True, tag="none"):
    """One request, one page."""


class PageNumbers(PagingOptions, frozen=True, kw_only=True, tag="page"):
    """Numbered pages: ``?page=1``, and so on."""

    param: Annotated[str, doc("Name of the page parameter.", "page", min_length=1)] = "page"
    start: Annotated[int, doc("Number of the first page.", 1, ge=0)] = 1
    size: Annotated[Count | None, doc("Rows to ask for per page.", 200)] = None
    size_param: Annotated[
        Text | None, doc("Name of the page-size parameter; needs size.", "per_page")
    ] = None
    send_in: Annotated[Literal["query", "body"], doc("Where the parameters travel.", "query")] = (
        "query"
    )
    send_first: Annotated[
        bool, doc("Send the page parameter with the first request too.", False)
    ] = True
    total_pages: Annotated[
        JmesPath | None, doc("Path of the number of pages; reading ends there.", "meta.pages")
    ] = None
    short_page: Annotated[
        Literal["end", "continue", "auto"],
        doc(
            "A page with fewer rows than size: end, continue to an empty page, or auto: end only when the first page "
            "held exactly size rows, which shows that the server honours the size.",
            "auto",
        ),
    ] = "auto"
    prefetch: Annotated[
        int,
        doc("Pages fetched ahead at once, within the rate limit.", 4, ge=1, le=32),
    ] = 1
    max_empty_pages: Annotated[
        Whole, doc("Hard stop: more empty pages than this in a row, with pages to follow.", 5)
    ] = 3


class Offsets(PagingOptions, frozen=True, kw_only=True, tag="offset"):
    """Row offsets: ``?offset=0``, and so on."""

    param: Annotated[str, doc("Name of the offset parameter.", "offset", min_length=1)] = "offset"
    start: Annotated[int, doc("Offset of the first row: 0, or 1 for SCIM-like APIs.", 0, ge=0)] = 0
    size: Annotated[Count | None, doc("Rows to ask for per page.", 100)] = None
    size_param: Annotated[
        Text | None, doc("Name of the page-size parameter; needs size.", "limit")
    ] = "limit"
    unit: Annotated[Literal["rows", "pages"], doc("What the offset counts.", "rows")] = "rows"
    advance: Annotated[
        Literal["received", "size"],
        doc("Step by the rows received, safe when the server clamps the size, or by size.", "size"),
    ] = "received"
    send_in: Annotated[Literal["query", "body"], doc("Where the parameters travel.", "query")] = (
        "query"
    )
    short_page: Annotated[
        Literal["end", "continue", "auto"],
        doc("A page with fewer rows than size; see the page paginator.", "auto"),
    ] = "auto"
    prefetch: Annotated[
        int,
        doc("Pages fetched ahead at once; needs advance: size.", 4, ge=1, le=32),
    ] = 1
    max_empty_pages: Annotated[
        Whole, doc("Hard stop: more empty pages than this in a row, with pages to follow.", 5)
    ] = 3


class Cursors(PagingOptions, frozen=True, kw_only=True, tag="cursor"):
    """An opaque page cursor from the body, a response header or the last record."""

    next: Annotated[
        JmesPath | None, doc("Path of the cursor in the body.", "paging.next.after")
    ] = None
    header: Annotated[Text | None, doc("Response header that holds the cursor.", "X-Next-Page")] = (
        None
    )
    last_record: Annotated[
        JmesPath | None, doc("Path of the cursor in the last record of the page.", "id")
    ] = None
    param: Annotated[Text | None, doc("Query parameter that carries the cursor.", "after")] = None
    body: Annotated[
        Text | None, doc("Dotted path in the JSON body that carries the cursor.", "page.after")
    ] = None
    size: Annotated[Count | None, doc("Rows to ask for per page.", 100)] = None
    size_param: Annotated[
        Text | None, doc("Name of the page-size parameter; needs size.", "limit")
    ] = None
    end_values: Annotated[
        tuple[str | int | bool, ...],
        doc("Cursor values that mean the end, besides absent, null and empty text.", ["0", 0]),
    ] = ()
    empty_page: Annotated[
        Literal["continue", "end"],
        doc("An empty page with a cursor: go on (default; several APIs do that) or end.", "end"),
    ] = "continue"


class Links(PagingOptions, frozen=True, kw_only=True, tag="link"):
    """The ``Link`` response header (RFC 8288)."""

    rel: Annotated[str, doc("Relation type of the next page.", "next", min_length=1)] = "next"
    require: Annotated[
        dict[str, str],
        doc("Link attributes the next link must carry; else it is the end.", {"results": "true"}),
    ] = {}


class NextUrls(PagingOptions, frozen=True, kw_only=True, tag="next_url"):
    """The whole next URL, absolute or relative, from the body."""

    next: Annotated[JmesPath | None, doc("Path of the next URL in the body.", "links.next")] = None
    base: Annotated[
        Literal["url", "api_root"],
        doc(
            "What a relative URL is relative to: the page's own URL (RFC 3986) or the API base.",
            "url",
        ),
    ] = "url"
    sticky: Annotated[
        tuple[str, ...],
        doc(
            "Query parameters of the first request added when the next URL lacks them.", ["api_key"]
        ),
    ] = ()


class CustomPages(PagingOptions, frozen=True, kw_only=True, tag="custom"):
    """A paginator of your own: a class named by its dotted path, built with ``options``."""

    path: Annotated[
        DottedPath | None,
        doc("Dotted path of the class.", "my_package.paging.Backwards"),
    ] = None
    options: Annotated[dict[str, Any], doc("Keyword arguments of the class.", {"size": 50})] = {}


Paginate = NoPages | PageNumbers | Offsets | Cursors | Links | NextUrls | CustomPages

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


class FileDestination(Options, frozen=True, kw_only=True):
    """Files, described by ``_manifest.json``, which is written last (docs/destinations.md)."""

    type: Annotated[Literal["file"], doc("Kind of destination.", "file")] = "file"
    path: Annotated[
        Text | None,
        doc(
            "Folder, local or any ObjectStoragePath URL; a template. Each run writes its own sub-folder.",
            "s3://lake/crm/{{ endpoint }}",
        ),
    ] = None
    format: Annotated[
        Literal["jsonl", "jsonl.gz"], doc("File format: one JSON record per line.", "jsonl.gz")
    ] = "jsonl"
    conn_id: Annotated[
        Text | None, doc("Airflow connection of the object store.", "aws_default")
    ] = None


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
