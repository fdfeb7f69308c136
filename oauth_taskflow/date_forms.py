"""The names of the forms of dates, and the check of patterns that people write.

DAG files are checked with this module alone: what reads dates compiles its patterns in ``date_patterns``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from oauth_taskflow.suggestions import suggest_allowed

FORMS = ("any", "iso", "date", "epoch", "epoch_ms", "epoch_us", "http", "dotnet")
"""The forms with a name; every other form is a pattern of ``datetime.strptime``."""
INTEGER = "integer"
"""The form of a field that is not a time but a number that grows, such as an id."""

_CODE = re.compile(r"%(.?)", re.DOTALL)
_KNOWN = frozenset("aAwdbBmyYHIpMSfzZjUWGuV%")
_INSTEAD = {
    "F": "%Y-%m-%d",
    "T": "%H:%M:%S",
    "D": "%m/%d/%y",
    "R": "%H:%M",
    "r": "%I:%M:%S %p",
    "e": "%d",
    "h": "%b",
    "k": "%H",
    "l": "%I",
    "P": "%p",
}
_LANGUAGE = frozenset("cxX")
_DAYS = (("d", "mbB"), ("j", ""), ("uaAw", "V"), ("aAw", "UW"))


def find_form_flaw(form: str, allowed: Sequence[str] = FORMS) -> tuple[str, str] | None:
    """Returns what is wrong with the form of a date, and a hint; None for a form that can be read.

    ``allowed`` are the forms with a name.
    """
    if form in allowed:
        return None
    codes = _CODE.findall(form)
    if not codes:
        hint = f"{suggest_allowed(form, allowed)} Or a pattern: %Y-%m-%d."
        return f"{form!r} is not a form of dates", hint.strip()
    return _code_flaw(codes) or _gap(set(codes))


def _code_flaw(codes: list[str]) -> tuple[str, str] | None:
    for code in codes:
        if code == "s":
            return "a pattern cannot read %s", "Write epoch."
        if code in _LANGUAGE:
            return f"%{code} depends on the language of the machine", "Write its parts: %Y-%m-%d."
        if code not in _KNOWN:
            instead = _INSTEAD.get(code, "%Y-%m-%dT%H:%M:%S%z")
            what = f"there is no code %{code} for reading" if code else "a % without a code"
            return what, f"Write {instead}."
        if code != "%" and codes.count(code) > 1:
            return f"%{code} appears twice", "%m is the month, %M are minutes; %d is the day."
    return None


def _gap(codes: set[str]) -> tuple[str, str] | None:
    hint = "Codes from the year on: %Y %m %d %H %M %S; %m is the month, %M are minutes."
    if not codes & set("yYG"):
        return "the pattern reads no year", hint
    if not any(codes & set(day) and (not of or codes & set(of)) for day, of in _DAYS):
        return "the pattern reads no day of the year", hint
    if codes & {"M", "S", "f"} and not codes & {"H", "I"}:
        return "the pattern reads no hour", hint
    if "I" in codes and "p" not in codes:
        return "%I counts to twelve and is ambiguous without %p", "Write %H."
    return None
