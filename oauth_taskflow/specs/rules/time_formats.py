"""Rules about written instants: their codes exist, and together they distinguish one instant from another."""

from __future__ import annotations

import re

from oauth_taskflow.date_forms import FORMS, INTEGER, find_form_flaw
from oauth_taskflow.specs.instant_formats import NAMED_FORMATS
from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule
from oauth_taskflow.suggestions import suggest_allowed

# C99's codes, Python's %f, and glibc's padding flags; %:z is Python 3.12's.
_CODE = re.compile(r"%([-_0^#]?)(:?[A-Za-z%])")
_KNOWN = frozenset("aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZf%")
_DIRECTIVE = re.compile(r"%[-_0^#:]?[a-zA-Z]")
# The units that each code shows; a unit distinguishes instants only together with those before it.
_UNITS = ("year", "month", "day", "hour", "minute", "second", "fraction")
_SHOWN = {
    "year": "YyGgFDcxs",
    "month": "mbBhFDcxsjUVW",
    "day": "deFDcxsjuwaA",
    "hour": "HIklTRrcXs",
    "minute": "MTRrcXs",
    "second": "STrcXs",
    "fraction": "f",
}


@endpoint_rule("bad-time-format", about="incremental")
def bad_time_format(view: EndpointView) -> Findings:
    """The format is iso, date, epoch, epoch_ms, epoch_us, http or a strftime pattern of codes that exist.

    A pattern that shows minutes shows hours too, and so on up to the year: `%M` are minutes, `%m` is the month. `%I`
    counts to twelve and needs `%p`.

    Bad: `format: epochms`, `format: YYYY-MM-DD`, `format: "%Q"`, `format: "%Y-%M-%d"`, `format: "%H:%M"`

    Good: `format: epoch_ms`, `format: "%Y-%m-%d"`, `format: "%Y-%m-%dT%H:%M:%SZ"`
    """
    incremental = view.endpoint.incremental
    if incremental is None or incremental.format in NAMED_FORMATS:
        return
    style = incremental.format
    at = ("incremental", "format")
    if not _DIRECTIVE.search(style):
        hint = f"{suggest_allowed(style, NAMED_FORMATS)} Or a pattern: %Y-%m-%d."
        yield Finding(at, f"{style!r} is not a time format", hint.strip())
    elif flaw := _flaw(style):
        yield Finding(at, *flaw)


@endpoint_rule("bad-time-format", about="incremental")
def bad_field_format(view: EndpointView) -> Findings:
    """The form of a record's change time is one of the named ones, or a strptime pattern that reads whole dates.

    `integer` is for numbers that grow, such as ids; it cannot be one of several forms.

    Bad: `field_format: epochms`, `field_format: "%d/%M/%Y"`, `field_format: [integer, iso]`

    Good: `field_format: epoch_ms`, `field_format: "%d/%m/%Y"`, `field_format: [epoch, iso]`
    """
    incremental = view.endpoint.incremental
    if incremental is None or incremental.field_format is None:
        return
    at = ("incremental", "field_format")
    if isinstance(incremental.field_format, str):
        forms: list[tuple[YamlPath, str]] = [(at, incremental.field_format)]
    else:
        forms = [((*at, index), form) for index, form in enumerate(incremental.field_format)]
    for path, form in forms:
        if form == INTEGER and path != at:
            yield Finding(path, "integer cannot be one of several forms", "Write it alone.")
        elif form != INTEGER and (flaw := find_form_flaw(form, (*FORMS, INTEGER))):
            yield Finding(path, *flaw)


def _flaw(style: str) -> tuple[str, str] | None:
    rest = _CODE.sub("", style)
    unknown = [code for _, code in _CODE.findall(style) if code not in _KNOWN and code != ":z"]
    if unknown or "%" in rest:
        message = f"there is no code %{unknown[0]}" if unknown else "a % without a code"
        return message, "Codes are those of strftime: %Y-%m-%dT%H:%M:%SZ."
    codes = [code for _, code in _CODE.findall(style) if code != "%"]
    twice = next((code for code in codes if codes.count(code) > 1), "")
    if twice:
        return f"%{twice} appears twice", "%m is the month, %M are minutes; %d is the day."
    return _gap(codes)


def _gap(codes: list[str]) -> tuple[str, str] | None:
    shown = [unit for unit in _UNITS if any(code in _SHOWN[unit] for code in codes)]
    needed = _UNITS[: _UNITS.index(shown[-1]) + 1] if shown else ("year",)
    missing = next((unit for unit in needed if unit not in shown), "")
    if missing:
        hint = "Codes from the year on: %Y %m %d %H %M %S; %m is the month, %M are minutes."
        return f"the format shows no {missing}", hint
    if set(codes) & {"I", "l"} and not set(codes) & {"p", "P"}:
        return "%I counts to twelve and is ambiguous without %p", "Write %H."
    return None
