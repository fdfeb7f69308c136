"""How a run that is cut off goes on: the options, the signals, and when a kept page cursor has died."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager

from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.api.pull.marks import PageMark, SequenceState
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.budgets.keeper import Budgets
from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.destinations.base import Destination, find_kept_form
from oauth_taskflow.destinations.transfer import ComparingStage, Stage
from oauth_taskflow.engine.hidden_values import shows_hidden_value
from oauth_taskflow.engine.progress import Seal
from oauth_taskflow.errors import (
    ApiError,
    ApiRequestFailed,
    InvalidRecord,
    NotAPage,
    OAuthTaskflowError,
    PagesCutShort,
    PaginationLimit,
    PaginationLoop,
    RecordsNotFound,
)
from oauth_taskflow.specs.model import Endpoint

# How much of the progress an attempt uses: all pages, whole sequences alone, nothing.
PAGES, SEQUENCES, NOTHING = 2, 1, 0
# Another answer may end these; the pages before them do not help, so their sequence starts over.
ABOUT_PAGES = (
    *(InvalidRecord, NotAPage, PagesCutShort),
    *(PaginationLimit, PaginationLoop, RecordsNotFound),
)
_PASSING = frozenset({401, 408, 425, 429})


class ResumeOptions(Struct, frozen=True):
    """How a run keeps its progress.

    ``seal`` protects requests in it. A server that asks for a longer wait than ``longest_wait`` seconds suspends the run;
    after ``most_idle`` such waits in a row without a page the error is raised instead. ``keep_every`` replaces the
    destination's own seconds between two writes of progress.
    """

    seal: Seal | None = None
    longest_wait: float = 60.0
    most_idle: int = 5
    keep_every: float | None = None
    clock: Clock = SYSTEM_CLOCK


class PullSuspended(OAuthTaskflowError):
    """The API asks to wait for ``retry_after`` seconds; the pages so far are kept, and the next attempt goes on with them."""

    retryable = True


class StartOver(Exception):
    """The kept progress does not lead on; the pull is tried again with less of it."""


def limit_waits(session: OAuthSession, resume: ResumeOptions | None) -> None:
    """Makes ``session`` raise an error for a wait that suspends the run. A run that cannot go on later waits as before."""
    if resume is None:
        return
    longest = min(session.retry.longest_wait, resume.longest_wait)
    session.retry = replace(session.retry, longest_wait=longest)
    if isinstance(session.budgets, Budgets):
        session.budgets.longest_wait = longest


def has_plain_pages(endpoint: Endpoint) -> bool:
    """Whether a page, or a part of a capped window, can be asked for alone, and its position may be kept.

    An author's class may remember pages. A position that is a value of the last record may show what ``fields`` hide; the
    bounds of a part are none.
    """
    paginate, fields = endpoint.paginate, endpoint.fields
    if paginate is None or paginate.cap is not None:
        return paginate is None or paginate.cap is None or paginate.cap.then == "narrow"
    return paginate.ends_by != "class" and not shows_hidden_value(paginate, fields)


def find_wait(error: BaseException, longest: float) -> float | None:
    """Returns the seconds that ``error`` asks to wait, when they are more than ``longest``."""
    if not isinstance(error, OAuthTaskflowError) or not error.retryable:
        return None
    wait = error.retry_after
    return wait if wait is not None and wait > longest else None


def suspend(error: BaseException, wait: float) -> PullSuspended | None:
    """Returns the signal that the pull waits for ``wait`` seconds because of ``error``."""
    if not isinstance(error, OAuthTaskflowError):
        return None
    return PullSuspended(
        f"{error.what}; the pages read so far are kept, and the next attempt goes on in {wait:.0f} s",
        where=error.where,
        hint=error.hint,
        retry_after=wait,
    )


def watch_first_page(
    pages: Generator[Page, None, None], endpoint: Endpoint, state: SequenceState | None
) -> Generator[Page, None, None]:
    """Yields ``pages``, of which the first may answer a page cursor of an earlier attempt.

    Raises:
        StartOver: the cursor is refused, or leads nowhere or back: it has died.
    """
    with closing(pages):
        if not _has_kept_cursor(endpoint, state):
            yield from pages
            return
        try:
            first = next(pages, None)
        except ApiError as error:
            if _is_refusal(error):
                raise StartOver from error
            raise
        if first is None or _is_suspect(first):
            raise StartOver
        yield first
        yield from pages


def _has_kept_cursor(endpoint: Endpoint, state: SequenceState | None) -> bool:
    """Whether a sequence that begins with ``state`` asks with a page cursor of an earlier attempt."""
    if state is None or state.request is None or endpoint.paginate is None:
        return False
    return endpoint.paginate.ends_by == "pointer"


def _is_refusal(error: ApiError) -> bool:
    if not isinstance(error, ApiRequestFailed):
        return isinstance(error, ABOUT_PAGES)
    status = error.status or 0
    return 400 <= status < 500 and status not in _PASSING


def _is_suspect(page: Page) -> bool:
    """Whether a page looks like the answer to a dead page cursor: nothing, or what came before."""
    mark = page.mark
    if not isinstance(mark, PageMark):
        return False
    return mark.guard.repeated > 0 or (mark.request is None and page.count == 0)


def compares_values(destination: Destination, stages: Sequence[Stage]) -> bool:
    """Whether a stage compares whole records, and ``destination`` gives their values back alone: equal ones would differ."""
    if find_kept_form(destination) != "values":
        return False
    return any(isinstance(stage, ComparingStage) and stage.compares_records for stage in stages)


@contextmanager
def starting_over() -> Iterator[None]:
    """Raises ``StartOver`` in place of the errors of a stage that cannot go on."""
    try:
        yield
    except (ApiError, ValueError, TypeError) as error:
        raise StartOver from error
