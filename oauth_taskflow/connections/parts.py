"""The parts of one connection, each checked by itself; the readers of settings check them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from msgspec import field

from oauth_taskflow.connections.findings import Findings
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.presets.model import STANDARD, Preset
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.urls import split_url

T = TypeVar("T")


class ConnectionParts(SecretValue, frozen=True):
    """The parts of one connection with the right types, not yet checked against each other."""

    conn_id: str
    base_url: str
    login: str
    password: Hidden[str]
    values: Hidden[Mapping[str, Any]]
    preset: Preset = STANDARD
    findings: Hidden[Findings] = field(default_factory=Findings)

    def error(self, what: str, name: str, hint: str) -> ConnectionConfigError:
        """Returns the error that blames the field ``name``."""
        return ConnectionConfigError(what, conn_id=self.conn_id, field=name, hint=hint)

    def blame(self, what: str, name: str, hint: str) -> None:
        """Keeps the error that blames the field ``name``, so that reading goes on."""
        self.findings.add(self.error(what, name, hint))

    def attempt(self, read: Callable[[ConnectionParts], T], instead: T) -> T:
        """Returns the result of ``read``, or ``instead`` if it raises; the error is kept."""
        return self.findings.attempt(lambda: read(self), instead)

    def origins(self, name: str) -> tuple[str, ...]:
        """Returns a list of origins: scheme, host and port, without a path."""
        for origin in self.values.get(name, ()):
            if not _is_origin(origin):
                raise self.error(
                    "An entry is not an origin", name, "Write https://host or https://host:port."
                )
        return tuple(self.values.get(name, ()))

    def one_of(self, own: str, field_name: str, extra_name: str) -> str:
        """Returns a value that the form's field or ``extra`` may name; if both do, they must agree."""
        extra = str(self.values.get(extra_name, ""))
        if own and extra and own != extra:
            raise self.error(
                f"{extra_name} differs from {field_name}",
                extra_name,
                f"Keep {field_name} and remove it.",
            )
        return own or extra


def _is_origin(text: str) -> bool:
    parts = split_url(text)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        return False
    return not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
