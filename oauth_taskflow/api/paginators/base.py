"""The questions that a paginator answers, and the options that every style has.

A paginator is its options: a value that does no I/O and keeps no state. Counts, loop guards and the position are kept
by ``PageSequence``, so that two sequences never share them. A new style is one file of this package and one word in
the union ``Paginate``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol, runtime_checkable

from msgspec import Struct

from oauth_taskflow.api.paginators.cap import Place, RowCap
from oauth_taskflow.api.paginators.flags import (
    Flag,
    PageFlag,
    find_flag_flaws,
    quote_path,
    read_flag_option,
)
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.schema.types import Count, ErrorStatus, JmesPath, Options, Text, Whole, doc

if TYPE_CHECKING:  # specs load this package where DAGs are parsed, and these load the HTTP library
    from oauth_taskflow.api.decoders.json import Body
    from oauth_taskflow.api.pull.page import PageView
    from oauth_taskflow.api.request import ApiRequest

EndsBy = Literal["count", "pointer", "first page", "class"]
# Statuses with which APIs refuse a page that does not exist.
PAST_THE_END = frozenset({400, 404, 410, 416, 422})

SEND_IN = doc(
    "Where the parameters travel, the size with them: in the query, in the body (a dotted path) or in headers.",
    "header",
)
SIZE_PARAM = doc("Name of the page-size parameter; needs size. null sends no size.", "limit")


class Paginator(Protocol):
    """Makes the requests of one page sequence."""

    def first_request(self, request: ApiRequest) -> ApiRequest:
        """Returns ``request`` with what the first page needs, such as a size."""

    def next_request(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        """Returns the request after ``page``, which answered ``request``; None at the end."""


@runtime_checkable
class IndexedPaginator(Paginator, Protocol):
    """A paginator that knows the request of any page beforehand, so that several are fetched at once."""

    @property
    def pages_at_once(self) -> int:
        """The number of pages fetched at once; 1 for one after the other."""

    def request_at(self, request: ApiRequest, index: int) -> ApiRequest:
        """Returns the request for page ``index`` (from 0), given the prepared first ``request``."""

    def estimate_page_count(self, page: PageView) -> int | None:
        """Returns the number of pages to expect according to ``page``; None when it does not say."""

    def find_page_count(self, page: PageView) -> int | None:
        """Returns the number of pages that ``page`` itself announces; None when it announces none."""


class Flaw(Struct, frozen=True):
    """A mistake in the options of a paginator: the option at fault, the message, the hint.

    ``kind`` is ``incomplete`` when something is missing, ``contradiction`` when options exclude each other. It is not a
    mistake where a template places the page value ``unless_placed``.
    """

    kind: Literal["incomplete", "contradiction"]
    option: str
    message: str
    hint: str
    unless_placed: str = ""


class SortKey(Struct, frozen=True):
    """The key by which records are sorted; ``option`` is the spec key that names its path, for messages.

    With ``comes_again``, the next page begins with the records of the last key; else each key must be unique.
    """

    path: str
    order: Literal["ascending", "descending"]
    option: str
    comes_again: bool = False


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

    @property
    def place(self) -> str:
        """Where the number is: the path or the header's name; empty when neither is set."""
        return self.path or self.header or ""

    @property
    def description(self) -> str:
        """The place in words, for warnings; empty when it is not set."""
        if self.path is not None:
            return f"a total at {self.path!r}"
        return f"a total in the header {self.header!r}" if self.header is not None else ""

    @property
    def as_approximate(self) -> str:
        """The option as a spec writes it for an estimate, for hints."""
        place = (
            f"path: {quote_path(self.path)}" if self.path is not None else f"header: {self.header}"
        )
        return f"total: {{{place}, approximate: true}}"


class PagingOptions(Options, frozen=True, kw_only=True, tag_field="type"):
    """The options of every paginator, and the behaviour that a style may override.

    Each style adds:

    - ``next_request``, and ``first_request`` if the first page needs anything;
    - ``flaws(written)``, which yields mistakes in its own options, given those that the author wrote;
    - ``end_marker()``, which describes in warnings what ended the pages, or returns None when an end is certain;
    - the class attributes ``ends_by`` and ``path_options``.

    A method must not have the name of an option, or it becomes the option's default.
    """

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
        Flag | None,
        doc(
            "Flag that is true while pages follow, as a path or a mapping.",
            "has_more",
            {"header": "X-More", "matches": "true"},
        ),
    ] = None
    last: Annotated[
        Flag | None,
        doc(
            "Flag that is true on the last page, as a path or a mapping.",
            "meta.is_last",
            {"header": "X-Pages-Left", "matches": "0"},
        ),
    ] = None
    end_on_status: Annotated[
        tuple[ErrorStatus, ...],
        doc("Statuses that mean 'past the last page', honoured after page one only.", [400, 404]),
    ] = ()
    cap: Annotated[
        RowCap | None,
        doc(
            "The API shows only so many rows of one request: how the others are read.",
            {"rows": 10000, "then": "narrow"},
        ),
    ] = None
    max_pages: Annotated[Count, doc("Hard stop: more pages than this fail the task.", 10000)] = (
        100_000
    )
    max_records: Annotated[
        Count | None, doc("Hard stop: more records than this fail the task.", 1000000)
    ] = None
    max_empty_pages: Annotated[
        Whole, doc("Hard stop: more empty pages than this in a row, with pages to follow.", 5000)
    ] = 1_000

    ends_by: ClassVar[EndsBy]
    """What ends the pages: a count, a missing pointer, the first page, or the author's class."""

    path_options: ClassVar[tuple[str, ...]] = ("more", "last")
    """The options that hold a JMESPath into a page or its last record, as text or under ``path``.

    ``total`` is looked at by itself.
    """

    def build(self: Paginator) -> Paginator:
        """Returns the paginator of one sequence: these options, unless the style needs another object.

        Raises:
            SpecError: the style names a class that cannot be built.
        """
        return self

    def first_request(self, request: ApiRequest) -> ApiRequest:
        """Returns the request as it is."""
        return request

    @property
    def announced_total(self) -> TotalRows:
        """``total`` in its long form."""
        return self.total if isinstance(self.total, TotalRows) else TotalRows(path=self.total)

    @property
    def page_size(self) -> int | None:
        """The number of rows asked for per page; None when the style or its author names none."""
        return None

    @property
    def most_at_once(self) -> int | None:
        """The most pages of a sequence that may be asked for at once; None leaves it to ``concurrency``."""
        return 1

    def can_guess_pages(self, first_rows: int, *, is_announced: bool) -> bool:  # noqa: ARG002 - for the styles
        """Whether the requests of later pages are known once page one came with ``first_rows`` rows.

        ``is_announced``: the API said how many pages there are.
        """
        return False

    @property
    def has_shifting_pages(self) -> bool:
        """Whether pages are asked for by number or offset, so that a row which comes or goes moves those behind it."""
        return self.ends_by == "count" and self.sort_key is None

    @property
    def may_shift_pages(self) -> bool:
        """Whether a row that comes or goes may move others between pages: pointers may be row numbers in disguise."""
        return self.has_shifting_pages or self.ends_by == "pointer"

    @property
    def may_count_from_zero(self) -> bool:
        """Whether the API announces its number of pages, and numbers them from 0, so that the number may be one too low."""
        return False

    @property
    def has_fixed_pages(self) -> bool:
        """Whether each page begins at a multiple of the size, however many rows came before."""
        return False

    @property
    def place(self) -> Place:
        """Where in the request the paginator writes."""
        return "query"

    @property
    def place_option(self) -> str:
        """The option that says so."""
        return "send_in"

    @property
    def sent_names(self) -> Mapping[str, str | None]:
        """The names under which the paginator sends values, by page name (``token``, ``number``, ``offset``, ``size``).

        None for a value that is not sent.
        """
        return {}

    @property
    def page_names(self) -> frozenset[str]:
        """The values of a page that templates may place: ``page.token`` and others."""
        without = {"size"} if self.page_size is None else set()
        return frozenset(self.sent_names) - without

    @property
    def late_page_names(self) -> frozenset[str]:
        """Those of them that page one does not have."""
        sends_first = getattr(self, "send_first", True)
        return frozenset({"token"} if sends_first else {"token", "number", "offset"})

    def other_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Returns those of the query parameters ``params`` under whose names the paginator sends nothing."""
        names = set(self.sent_names.values()) if self.place == "query" else set()
        return {name: value for name, value in params.items() if name not in names}

    @property
    def sort_key(self) -> SortKey | None:
        """The key by which the pages are sorted and asked for; None for other styles."""
        return None

    def has_landmark(self, body: Body, headers: Mapping[str, str]) -> bool:
        """Whether a response has anything that these options declare: total, page count, flag or pointer."""
        places: list[TotalRows | PageFlag] = [
            self.announced_total,
            *filter(None, map(read_flag_option, (self.more, self.last))),
        ]
        if any(place.header is not None and place.header in headers for place in places):
            return True
        paths = [place.path for place in places if place.path is not None]
        if any(find_or_none(body, path) is not None for path in paths):
            return True
        return self.has_own_landmark(body, headers)

    def has_own_landmark(self, body: Body, headers: Mapping[str, str]) -> bool:  # noqa: ARG002 - for the styles
        """Whether a response has anything that only options of this style declare."""
        return False

    def is_marked_last(self, page: PageView) -> bool:  # noqa: ARG002 - for the styles
        """Whether ``page``, with which reading ends, has a value of this style that means the end."""
        return False

    def loop_hint(self, page: PageView) -> str:  # noqa: ARG002 - for the styles
        """Returns the hint for a request that comes again after ``page``."""
        return "The API repeats a page cursor or next URL; check paginate, and that the API ends its pages."

    def same_page_hint(self, page: PageView) -> str:  # noqa: ARG002 - for the styles
        """Returns the hint for a numbered ``page`` that holds exactly what the page before held."""
        return (
            "The API ignores the paging parameter (check its name), or sends its last page again: then set total, total_pages, "
            "more or last."
        )

    def names_end(self, body: Body) -> bool:  # noqa: ARG002 - for the styles
        """Whether ``body`` has the key of the next pointer, and nothing in it."""
        return False

    def pointer_hint(self, page: PageView) -> str:  # noqa: ARG002 - for the styles
        """Returns the hint for a pointer of ``page`` that looks like one of another style; empty without one."""
        return ""

    def refusal_hint(self, status: int) -> str:
        """Returns the hint for a request after page one that the API answers with ``status``; empty without one."""
        if self.ends_by != "count" or status not in PAST_THE_END:
            return ""
        return f"If the API answers like this behind its last page, write end_on_status: [{status}] in paginate."

    def find_cap_flaws(self) -> Iterator[tuple[bool, str, str, str]]:
        """Yields the mistakes of ``cap``: whether something is missing, the option, the message, the hint."""
        if self.cap is not None:
            yield from self.cap.flaws(self.page_size if self.ends_by == "count" else None)

    def common_flaws(self) -> Iterator[Flaw]:
        """Yields the flaws of the options that every style has."""
        if self.more and self.last:
            message = "more and last both say where the end is"
            yield Flaw("contradiction", "last", message, "Keep one of them.")
        for is_missing, name, message, hint in self.find_cap_flaws():
            kind: Literal["incomplete", "contradiction"] = (
                "incomplete" if is_missing else "contradiction"
            )
            yield Flaw(kind, f"cap.{name}" if name else "cap", message, hint)
        for name, option in (("more", self.more), ("last", self.last)):
            for is_missing, message, hint in find_flag_flaws(option):
                yield Flaw("incomplete" if is_missing else "contradiction", name, message, hint)
        if isinstance(self.total, TotalRows) and not self.total.place:
            hint = "Write path: meta.total, or header: X-Total-Count."
            yield Flaw("incomplete", "total", "the total has no place", hint)
        if isinstance(self.total, TotalRows) and self.total.path and self.total.header:
            message = "path and header both hold the total"
            yield Flaw("contradiction", "total", message, "Keep one of them.")


def unsent_size_flaws(
    size: int | None, size_param: str | None, written: Collection[str]
) -> Iterator[Flaw]:
    """Yields a flaw when ``size_param`` is written without the ``size`` that it would send."""
    if size is None and size_param and "size_param" in written:
        message = "size_param is sent only with size"
        yield Flaw("incomplete", "size_param", message, "Write size: 100.")


def find_or_none(body: Body, path: str) -> Any:
    """Returns the value at ``path``; None also where a function of the path refuses null."""
    try:
        return body.find(path)
    except InvalidRecord:
        return None
