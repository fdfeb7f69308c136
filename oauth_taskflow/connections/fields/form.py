"""The fields of Airflow's connection form: plain data."""

from __future__ import annotations

from collections.abc import Mapping

# The keys that Airflow's form shows, in groups: a first connection needs no others. The form's extra JSON takes the rest.
FORM: Mapping[str, tuple[str, ...]] = {
    "Provider": ("provider", "auth_type"),
    "OAuth 2.0": (
        "token_url",
        "issuer",
        "grant_type",
        "client_auth",
        "scope",
        "audience",
        "private_key",
    ),
    "Consent of a person": ("authorize_url", "refresh_token"),
    "API key or login request": ("api_key_name", "login_url"),
    "Requests": ("api_headers",),
}
