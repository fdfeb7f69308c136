"""The form in Airflow's UI: the keys that a first connection needs, in groups. The form's extra JSON takes all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oauth_taskflow.connections.fields.table import BY_NAME

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


def form_fields() -> dict[str, dict[str, Any]]:
    """Returns the fields in the form of Airflow's provider metadata (``conn-fields``).

    The UI shows one group per ``section``, as in the form of a DAG's params.
    """
    fields = {}
    for section, names in FORM.items():
        for name in names:
            fields[name] = BY_NAME[name].form_field()
            fields[name]["schema"]["section"] = section
    return fields
