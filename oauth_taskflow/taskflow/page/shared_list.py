"""One reading of connections and grants for all who look at the same moment, in each API server process.

A reading holds every connection and is never shown: who may see what is asked of Airflow's auth manager for each request.
Users whose permissions are the same get the same bytes.
"""

from __future__ import annotations

import hashlib

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from msgspec import Struct

from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.taskflow.grants.overview import USES, read_overview
from oauth_taskflow.taskflow.page.connection_rows import (
    ConnectionReading,
    Listing,
    View,
    find_view,
    make_listing,
)
from oauth_taskflow.taskflow.page.rendering import encode_json
from oauth_taskflow.tokens.single_flight import SingleFlight

__all__ = ["EncodedListing", "encode_listing", "read_listing"]

# Seconds for which a reading is shared. A page asks every five.
SHARED_SECONDS = 2.0
_MOST_VIEWS = 16


class EncodedListing(Struct, frozen=True):
    """A list as JSON with its ETag."""

    body: bytes
    tag: str


class _Shared:
    """A reading until that second of the monotonic clock, and what was made of it for each view."""

    def __init__(self, reading: ConnectionReading) -> None:
        self.reading = reading
        self.until = SYSTEM_CLOCK.monotonic() + SHARED_SECONDS
        self.encoded: dict[View, EncodedListing] = {}


_flight: SingleFlight[_Shared] = SingleFlight(name="oauth-overview")
LATEST: list[_Shared] = []


def read_listing(user: BaseUser) -> Listing:
    """Returns everything that ``user`` may see at this moment, the worst first.

    Raises:
        OAuthTaskflowError: the token store failed.
    """
    reading = _share(anew=True).reading
    return make_listing(reading, find_view(user, reading))


def encode_listing(user: BaseUser, *, anew: bool = False) -> EncodedListing:
    """Returns the same as JSON, two seconds old at most; with ``anew`` of this moment.

    Raises:
        OAuthTaskflowError: the token store failed.
    """
    shared = _share(anew=anew)
    view = find_view(user, shared.reading)
    known = shared.encoded.get(view)
    if known is None:
        body = encode_json(make_listing(shared.reading, view))
        known = EncodedListing(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
        if len(shared.encoded) < _MOST_VIEWS:
            shared.encoded[view] = known
    return known


def _share(*, anew: bool) -> _Shared:
    """The latest reading. Requests that come while it is made wait for it, and share its failure."""
    if not anew and LATEST and SYSTEM_CLOCK.monotonic() < LATEST[0].until:
        return LATEST[0]
    shared, is_ours = _flight.run(_read)
    if anew and not is_ours:  # it may have begun before the change that the user wants to see
        shared, _ = _flight.run(_read)
    return shared


def _read() -> _Shared:
    overview = tuple(read_overview())
    shared = _Shared(ConnectionReading(overview, uses_are_known=USES.is_complete))
    LATEST[:] = [shared]
    return shared
