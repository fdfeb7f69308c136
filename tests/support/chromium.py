"""The browser of the tests."""

from __future__ import annotations

import os
import shutil

import pytest

# The first is the same engine without windows, for a fifth less processor time.
_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser")


def find_chromium() -> str | None:
    """Returns the program's path; None where it is not installed."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


def require_chromium() -> str:
    """Returns the program's path; without it the test is skipped, and fails in CI."""
    path = find_chromium()
    if path is None and os.environ.get("CI") != "true":
        pytest.skip("no chromium: install it with apt-get install chromium-headless-shell")
    assert path is not None, "CI installs chromium-headless-shell or chromium"
    return path
