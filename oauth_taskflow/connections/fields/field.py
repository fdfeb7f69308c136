"""Describes one key of a connection's ``extra``. Every ``airflow`` command imports this module, so it imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

AUTH_TYPES = (
    "oauth2",
    "bearer",
    "api_key",
    "basic",
    "session",
    "self_signed_jwt",
    "aws_sigv4",
    "none",
)

# "document" is a secret of several lines; "nested" maps names to texts or JSON, "members" to JSON; "grant" is one of the choices or a vendor's own name,
# "client_auth" one of the choices or a registered method.
ValueKind = Literal[
    "text",
    "secret",
    "document",
    "choice",
    "grant",
    "client_auth",
    "number",
    "timeout",
    "list",
    "mapping",
    "params",
    "nested",
    "members",
    "verify",
    "cert",
    "dpop",
    "brokered",
    "rate_limit",
]


@dataclass(frozen=True)
class ConnectionField:
    """One key of ``extra``: what it holds, which ``auth_type`` reads it, and what people read about it.

    ``holds_secrets`` is true for a mapping whose values must never be shown, whatever their names.
    """

    name: str
    kind: ValueKind
    label: str
    description: str
    auth_types: frozenset[str] = frozenset(AUTH_TYPES)
    choices: tuple[str, ...] = ()
    holds_secrets: bool = False

    @property
    def is_secret(self) -> bool:
        """Whether its value must never be shown."""
        return self.kind in {"secret", "document"}

    @property
    def is_open(self) -> bool:
        """Whether values other than ``choices`` are allowed."""
        return self.kind in {"grant", "client_auth"}

    def form_field(self) -> dict[str, Any]:
        """Returns the field in the form of Airflow's provider metadata (``conn-fields``)."""
        objects = {"mapping", "params", "nested", "members"}
        kind = "object" if self.kind in objects else "string"
        kind = "number" if self.kind == "number" else kind
        schema: dict[str, Any] = {"type": [kind, "null"]}
        if self.is_secret:
            schema["format"] = "password"
        if self.choices:
            schema["examples" if self.is_open else "enum"] = list(self.choices)
        return {"label": self.label, "description": self.description, "schema": schema}
