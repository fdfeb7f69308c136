"""Reads ``WWW-Authenticate``: several challenges in one field, quoted strings, and what servers make of it. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct, field

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))')
_SCHEME = re.compile(_TOKEN)
# Credentials of the older kind, as Negotiate has them: nothing in them is a parameter.
_TOKEN68 = re.compile(r"[ \t]+[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))")
_SEPARATORS = re.compile(r"[\s,]+")
_ESCAPED = re.compile(r"\\(.)")


class Challenge(Struct, frozen=True):
    """One way in that a server offers: scheme and parameter names in lower case.

    The scheme is empty where a server sends parameters without one.
    """

    scheme: str
    params: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """The challenges of a ``WWW-Authenticate`` field (RFC 9110 §11.6.1), several fields joined by commas.

    Commas between parameters may be missing; what is no challenge is passed over. The first of a repeated parameter
    counts.
    """
    found: list[tuple[str, dict[str, str]]] = []
    at = 0
    while at < len(header):
        if gap := _SEPARATORS.match(header, at):
            at = gap.end()
        elif parameter := _PARAMETER.match(header, at):
            if not found:
                found.append(("", {}))
            name, quoted, plain = parameter.groups()
            value = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
            found[-1][1].setdefault(name.lower(), value)
            at = parameter.end()
        elif scheme := _SCHEME.match(header, at):
            found.append((scheme[0].lower(), {}))
            old = _TOKEN68.match(header, scheme.end())
            at = old.end() if old else scheme.end()
        else:
            at += 1
    return tuple(Challenge(scheme, params) for scheme, params in found)


def refusal_in(header: str, scheme: str = "") -> Challenge:
    """The challenge that says why: the first with an ``error``, those of ``scheme`` before others; an empty one if none."""
    with_error = [one for one in parse_challenges(header) if one.params.get("error")]
    of_scheme = [one for one in with_error if one.scheme == scheme.lower()]
    return next(iter(of_scheme or with_error), Challenge(""))
