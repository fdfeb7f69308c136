"""The windows of a run. Windows in which an API could not find a record are refused."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from oauth_taskflow.errors import SpecError
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.windows import Interval, Window, cut_windows, is_empty_window
from oauth_taskflow.templates.references import window_bounds


def run_windows(endpoint: Endpoint, interval: Interval) -> Iterator[Window | None]:
    """Yields the windows of ``endpoint``, oldest first; a single None for an endpoint without ``incremental``.

    Raises:
        SpecError: a window's bounds are equal as the API gets them, so that it would return nothing; or no lower bound
            is known.
    """
    options = endpoint.incremental
    if options is None:
        yield None
        return
    both = window_bounds(msgspec.to_builtins(endpoint.request)) == {"start", "end"}
    for window in cut_windows(options, interval):
        if both and is_empty_window(options, window):
            raise SpecError(
                [
                    f"The window from {window.since.isoformat()} to {window.until.isoformat()} is written "
                    f"{window.start!r} to {window.end!r} (incremental.format {options.format!r}): an API finds no "
                    "record between equal bounds. Write a finer format, a longer schedule or step, a lookback as "
                    "long as what the format shows (P1D for dates), or send window.start alone."
                ]
            )
        yield window
