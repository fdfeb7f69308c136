"""How many requests a task has in flight: ``concurrency`` and ``prefetch`` of an endpoint, as places."""

from __future__ import annotations

from collections.abc import Callable

from oauth_taskflow.api.pull.in_flight.places import Places, build_places
from oauth_taskflow.specs.model import Endpoint


def endpoint_places(endpoint: Endpoint) -> Places | None:
    """Returns the places that all request sequences of a task share; None for one request after the other."""
    return build_places(endpoint.concurrency, endpoint.paginate)


def sequences_at_once(endpoint: Endpoint, places: Places) -> int | Callable[[], int]:
    """Returns how many request sequences are read at once: a number, or a function that asks for the number of now."""
    return (lambda: places.limit) if endpoint.concurrency == "auto" else endpoint.concurrency
