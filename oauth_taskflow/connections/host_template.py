"""Fills the placeholders in a connection's host: ``https://{region}.api.example.com/bot{password}``.

Values come from ``host_values``, an author's own keys, and from login and password. No value changes where the requests
go: in the name of the host a value is letters, digits and hyphens, in the path it is percent-encoded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.redaction import is_sensitive_name
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.suggestions import did_you_mean

_PLACE = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# Labels of a host name (RFC 1123 §2.1), joined by single dots: no port, no user, no escape.
_IN_NAME = re.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*"
)
_FIELDS = ("login", "password")
# A shorter secret is in other words by chance, so that messages could not hide it.
_SHORTEST = 6
_KEY = "host_values"


class FilledHost(SecretValue, frozen=True):
    """The host with its placeholders filled, and what in it no message may show."""

    host: Hidden[str]
    secrets: Hidden[tuple[str, ...]] = ()


def fill_host(
    conn_id: str, host: str, own: Mapping[str, str], *, login: str, password: str
) -> FilledHost:
    """Returns ``host`` with the values of ``own``, ``login`` and ``password`` in its placeholders.

    Raises:
        ConnectionConfigError: a placeholder has no value, a value has no placeholder, or a value does not fit.
    """
    template = _Template(conn_id, {**own, "login": login, "password": password})
    template.check_names(own, host)
    before, separator, rest = host.rpartition("://")
    if _PLACE.search(before):
        raise template.error(
            "The scheme of the host has a placeholder", "host", "Write https:// there."
        )
    name, slash, path = rest.partition("/")
    filled = _PLACE.sub(template.fill_name, name) + slash + _PLACE.sub(template.fill_path, path)
    if (
        any(part in {".", ".."} for part in _decode_segments(filled.partition("/")[2]))
        and template.used
    ):
        raise template.error(
            "The path of the host has . or .. as a segment", "host", "Write it in full."
        )
    secrets = tuple(dict.fromkeys(text for text in template.secrets if text))
    return FilledHost(before + separator + filled, secrets)


def _decode_segments(path: str) -> list[str]:
    return re.sub("%2e", ".", path, flags=re.IGNORECASE).split("/")


class _Template:
    """The values for the placeholders of one host, and which of them were used."""

    def __init__(self, conn_id: str, values: Mapping[str, str]) -> None:
        self._conn_id = conn_id
        self._values = values
        self.used: list[str] = []
        self.secrets: list[str] = []

    def error(self, what: str, name: str, hint: str) -> ConnectionConfigError:
        return ConnectionConfigError(what, conn_id=self._conn_id, field=name, hint=hint)

    def check_names(self, own: Mapping[str, str], host: str) -> None:
        """Checks that each value of the author's has a well-formed name and a placeholder."""
        places = _PLACE.findall(host)
        for name in own:
            if name in _FIELDS or not _NAME.fullmatch(name):
                hint = "Begin with a letter, go on with letters, digits and _; login and password are the fields."
                raise self.error(f"{name!r} cannot be the name of a placeholder", _KEY, hint)
            if name not in places:
                hint = (
                    did_you_mean(name, places) or f"Write {{{name}}} into the host, or remove it."
                )
                raise self.error(
                    f"{_KEY} has {name!r}, and the host has no such placeholder", _KEY, hint
                )

    def fill_name(self, place: re.Match[str]) -> str:
        """The value for a placeholder in the name of the host."""
        name, value = place[1], self._value(place[1])
        if not _IN_NAME.fullmatch(value):
            hint = "Write letters, digits, hyphens, and dots between them; a host has no other characters."
            raise self.error(
                f"{self._what(name)} does not fit into the name of the host",
                self._field(name),
                hint,
            )
        self._hide(name, value, value.lower())
        return value

    def fill_path(self, place: re.Match[str]) -> str:
        """The value for a placeholder in the path, percent-encoded."""
        name, value = place[1], self._value(place[1])
        if not value.isprintable():
            hint = "Write it again, without line breaks."
            raise self.error(
                f"{self._what(name)} holds a control character", self._field(name), hint
            )
        encoded = quote(value, safe="")
        self._hide(name, value, encoded)
        return encoded

    def _value(self, name: str) -> str:
        value = self._values.get(name)
        if value is None:
            known = [*self._values]
            hint = did_you_mean(name, known) or f'Add it to extra: "{_KEY}": {{"{name}": "…"}}.'
            raise self.error(
                f"The host has the placeholder {{{name}}}, and nothing fills it", "host", hint
            )
        if not value:
            raise self.error(f"The host needs the {name}", self._field(name), "Fill it.")
        self.used.append(name)
        return value

    def _hide(self, name: str, *forms: str) -> None:
        """Remembers the ``forms`` of a value that is in the URL; a name that sounds like a secret hides it too."""
        if name not in _FIELDS and not is_sensitive_name(name):
            return
        if name != "login" and len(forms[0]) < _SHORTEST:
            hint = f"It has fewer than {_SHORTEST} characters; use another way to authenticate."
            raise self.error(
                f"{self._what(name)} is too short to be hidden in URLs", self._field(name), hint
            )
        self.secrets += forms

    @staticmethod
    def _field(name: str) -> str:
        return name if name in _FIELDS else _KEY

    @staticmethod
    def _what(name: str) -> str:
        return f"The {name}" if name in _FIELDS else f"The value of {name!r}"
