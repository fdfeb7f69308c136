"""Metadata of authorization servers that a process remembers, forgotten between tests."""

from __future__ import annotations

from oauth_taskflow.oauth.endpoint import discovery


def forget_metadata() -> None:
    """Forget all metadata, so that the next use asks again."""
    discovery._kept.clear()
