"""The parts of one connection, each checked by itself, and the problems that its readers find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from msgspec import field

from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.presets.model import STANDARD, Preset
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.urls import split_url

T = TypeVar("T")


class Findings:
    """The problems of one connection in the order of their discovery.

    A problem is left out if an earlier one names its field, or suggests it: it is a consequence.
    """

    def __init__(self) -> None:
        self._problems: list[ConnectionConfigError] = []
        self._blamed: set[str] = set()

    def add(self, problem: ConnectionConfigError, *, meant: str = "") -> None:
        """Keeps ``problem``; ``meant`` is another field that it explains."""
        for each in problem.problems:
            if not each.field or each.field not in self._blamed:
                self._problems.append(each)
        self._blamed |= {each.field for each in problem.problems} | {meant}

    def attempt(self, read: Callable[[], T], instead: T) -> T:
        """Returns the result of ``read``, or ``instead`` if it raises; the error is kept."""
        try:
            return read()
        except ConnectionConfigError as problem:
            self.add(problem)
            return instead

    def blames(self, name: str) -> bool:
        """Whether a problem names the field ``name``, or suggests it."""
        return name in self._blamed

    def __bool__(self) -> bool:
        return bool(self._problems)

    def raise_all(self) -> None:
        """Raises all problems together; returns if there are not any.

        Raises:
            ConnectionConfigError: all problems in one error.
        """
        if self._problems:
            # Causes and contexts of single problems may quote a connection's document.
            raise ConnectionConfigError.all_of(self._problems) from None


class ConnectionParts(SecretValue, frozen=True):
    """The parts of one connection with the right types, not yet checked against each other.

    ``own`` are the names of the values that the connection itself gives; the others are its preset's. ``sends_password`` is
    true if the password has a place in the host or in what is added to requests.
    """

    conn_id: str
    base_url: str
    login: str
    password: Hidden[str]
    values: Hidden[Mapping[str, Any]]
    preset: Preset = STANDARD
    findings: Hidden[Findings] = field(default_factory=Findings)
    own: frozenset[str] = frozenset()
    sends_password: bool = False

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
