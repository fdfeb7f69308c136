"""Checks, before any of them is imported, that the libraries of the extra ``testing`` are installed."""

from __future__ import annotations

from importlib.util import find_spec

# The airports are read late: without this check a server would start and fail at its first response.
_LIBRARIES = ("airportsdata", "authlib", "joserfc", "msgspec")


def missing_extra() -> str | None:
    """The message for users who run the test server without its libraries; None when they are installed."""
    for library in _LIBRARIES:
        if find_spec(library) is None:
            return (
                f"The test server needs {library!r}, which is not installed. "
                "Install it with: pip install 'oauth-taskflow[testing]'"
            )
    return None
