"""Pulls all records of a request, past the cap of the API where the options say how."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

from oauth_taskflow.api.paginators import Paginate
from oauth_taskflow.api.pull.caps.walk import CapWalk, Restart, plan_walk
from oauth_taskflow.api.pull.fetching import Fetcher
from oauth_taskflow.api.pull.in_flight.places import Lane
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.pull.pull_log import PullLog, log_sequence
from oauth_taskflow.api.pull.records import Records
from oauth_taskflow.api.pull.session_pages import SessionPages
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.schema.types import Concurrency

_ALL = Records()


def pull_past_cap(
    session: Fetcher,
    request: ApiRequest,
    *,
    paginate: Paginate | None = None,
    restart: Restart | None = None,
    **options: Any,
) -> Generator[Page, None, None]:
    """Yields the pages of ``pull`` and, at the cap of the API, of the requests from the last record on.

    ``restart`` says how these are made, unless the options of the cap do. ``options`` are those of ``pull``. Pages count
    from 0 in each of these requests.

    Raises:
        ApiError: as ``pull`` raises; ``CapReached`` where the cap asks for a narrower window.
        PaginationLimit: as many records as the API shows have one value, so that the rest cannot be asked for.
        InvalidRecord: records are not sorted by the field of the cap.
    """
    walk = plan_walk(paginate, request, restart)
    if walk is None:
        return pull(session, request, paginate=paginate, **options)
    return _walk(walk, session, request, {**options, "paginate": paginate, "resume": None})


def _walk(
    walk: CapWalk, session: Fetcher, request: ApiRequest, options: dict[str, Any]
) -> Generator[Page, None, None]:
    following: ApiRequest | None = request
    while following is not None:
        with closing(pull(session, following, **options)) as pages:
            for page in pages:
                yield walk.take(page)
        following = walk.next_request()


def pull_records(
    session: Fetcher,
    request: ApiRequest,
    *,
    paginate: Paginate | None = None,
    records: Records = _ALL,
    primary_key: str | Sequence[str] | None = None,
    concurrency: Concurrency = 1,
    log: PullLog | None = None,
    **options: Any,
) -> Generator[Any, None, None]:
    """Yields every record of ``pull_past_cap`` as Python values; ``options`` are its own.

    With ``primary_key``, see ``SessionPages``. ``concurrency`` is the number of requests in flight; ``auto`` finds it while
    reading. ``log`` is that of the session.
    """
    may_log = {} if log is None else {"may_log": log.allows_line}
    with Lane.open(concurrency, paginate, **may_log) as lane, log_sequence(log) as note_page:
        seen = SessionPages(request, paginate, records, primary_key)
        options |= {"records": records, "decode": True, "lane": lane}
        options |= {"paginate": paginate, "drops_repeats": seen.drops_repeats}
        with closing(pull_past_cap(session, request, **options)) as pages:
            for page in pages:
                note_page(page)
                yield from seen.take(page).records
        seen.finish()
