"""A secrets backend that offers no list, as most do; it counts what it is asked for."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

from airflow.secrets import BaseSecretsBackend


class Vault(BaseSecretsBackend):
    """Knows ``vaulted``, and breaks for ``broken``. It answers while ``is_open`` is set."""

    asked: ClassVar[list[str]] = []
    is_open: ClassVar[threading.Event] = threading.Event()
    is_open.set()

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:
        """The connection as Airflow asks for it."""
        self.asked.append(conn_id)
        self.is_open.wait()
        if conn_id == "broken":
            raise RuntimeError("the vault is sealed")
        return (
            '{"conn_type": "oauth2", "extra": {"provider": "xero"}}'
            if conn_id == "vaulted"
            else None
        )

    def get_variable(self, key: str, team_name: str | None = None) -> Any:
        """No variables."""

    def get_config(self, key: str) -> str | None:
        """No configuration."""
