"""Credentials for tests of sessions."""

from __future__ import annotations

from oauth_taskflow.api.auth import ApiKeyAuth


def bearer_auth(token: str) -> ApiKeyAuth:
    """Returns auth that sends ``token`` unchanged, as connections with ``auth_type`` bearer do."""
    return ApiKeyAuth("Authorization", token, prefix="Bearer ")
