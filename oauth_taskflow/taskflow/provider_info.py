"""What Airflow's provider registry reads (entry point ``apache_airflow_provider``)."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The provider metadata: connection types, decorators, CLI and configuration."""
    return {
        "package-name": "oauth-taskflow",
        "name": "OAuth TaskFlow",
        "description": "OAuth-protected REST APIs in Airflow.",
    }
