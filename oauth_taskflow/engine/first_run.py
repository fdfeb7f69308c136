"""The endpoint as it is in the run that reads from the start."""

from __future__ import annotations

from msgspec import to_builtins
from msgspec.structs import replace

from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.windows import Interval, is_first_run
from oauth_taskflow.templates.references import window_bounds


def select_endpoint(endpoint: Endpoint, interval: Interval) -> Endpoint:
    """Returns ``endpoint`` as a run of ``interval`` reads it: with its ``first_run`` if the run is the first one.

    A first request that sends no bound reads everything once, so ``step`` does not cut its window.
    """
    incremental = endpoint.incremental
    first = incremental.first_run if incremental is not None else None
    if incremental is None or first is None or not is_first_run(incremental, interval):
        return endpoint
    return replace(
        endpoint,
        request=first.request,
        records=first.records,
        paginate=first.paginate,
        incremental=replace(
            incremental,
            first_run=None,
            step=incremental.step if window_bounds(to_builtins(first.request)) else None,
        ),
    )
