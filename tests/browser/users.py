"""Airflow's simple auth manager, and a user who may see connections but change none: its roles know no such user."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager


class AuthManager(SimpleAuthManager):
    """``admin`` may do everything, ``reader`` may read connections, ``viewer`` may not even do that."""

    def is_authorized_connection(self, *, method: Any, user: Any, details: Any = None) -> bool:
        """Whether ``user`` may do ``method`` to connections."""
        if user.get_name() == "reader" and method == "GET":
            return True
        return super().is_authorized_connection(method=method, user=user, details=details)
