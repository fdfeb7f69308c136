"""The parts of one connection, each checked alone, that the readers of settings look at together."""

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
    """The parts of one connection, each of its own type, before they are looked at together."""

    conn_id: str
    base_url: str
    login: str
    password: Hidden[str]
    values: Hidden[Mapping[str, Any]]
    preset: Preset = STANDARD
    findings: Hidden[Findings] = field(default_factory=Findings)

    def error(self, what: str, name: str, hint: str) -> ConnectionConfigError:
        """The error that blames field ``name``."""
        return ConnectionConfigError(what, conn_id=self.conn_id, field=name, hint=hint)

    def blame(self, what: str, name: str, hint: str) -> None:
        """Keep the error that blames field ``name``, and go on reading."""
        self.findings.add(self.error(what, name, hint))

    def attempt(self, read: Callable[[ConnectionParts], T], instead: T) -> T:
        """What ``read`` makes of the fields; ``instead`` when it raises, and its error is kept."""
        return self.findings.attempt(lambda: read(self), instead)

    def origins(self, name: str) -> tuple[str, ...]:
        """A list of origins: scheme, host and port, and nothing behind."""
        for origin in self.values.get(name, ()):
            if not _is_origin(origin):
                raise self.error(
                    "An entry is not an origin", name, "Write https://host or https://host:port."
                )
        return tuple(self.values.get(name, ()))

    def one_of(self, own: str, field_name: str, extra_name: str) -> str:
        """A value that may stand in a field of the form or in ``extra``, but not as two different ones."""
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
