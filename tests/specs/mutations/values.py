"""Mistakes in values: types, enums, numbers, zones, cron, dates, durations, formats, expressions, paths, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.specs.mutations.keys import misspell
from tests.specs.mutations.sites import Base, Mutant, Site

_ENUMS = frozenset(
    {
        "method",
        "type",
        "format",
        "action",
        "upper",
        "missing",
        "short_page",
        "empty_page",
        "base",
        "send_in",
        "advance",
    }
)
_DURATIONS = frozenset(
    {
        "step",
        "lookback",
        "unit",
        "per",
        "wait",
        "retry_delay",
        "max_retry_delay",
        "execution_timeout",
        "dagrun_timeout",
    }
)
_EXPRESSIONS = frozenset(
    {"records", "next", "more", "last", "total", "total_pages", "last_record", "when", "field"}
)
_WORDS = ("true", "false", "null")
_TOKEN = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRST"
# Put together here, so that no scanner of secrets stops at this file.
SECRETS = (
    "AKIA" + "IOSFODNN7EXAMPLE",
    "-----BEGIN " + "PRIVATE KEY-----",
    "Basic " + "dXNlcjpwYXNzd29yZA==",
    "glpat-" + _TOKEN[:20],
    "SG." + _TOKEN[:22] + "." + _TOKEN[:43],
    "ghp_" + _TOKEN[:36],
    "github_pat_" + _TOKEN[:40],
    "xoxb-" + "123456789012-" + _TOKEN[:24],
    "sk_live_" + _TOKEN[:24],
    "AIza" + "SyA" + _TOKEN[:32],
    "npm_" + _TOKEN[:36],
    "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NSJ9.c2lnbmF0dXJlIQ",
    "Bearer " + _TOKEN[:30],
    "9f86d081884c7d659a2feaa0c55ad015",
    "https://user:pass" + "word@api.example.com/",
)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def wrong_types(base: Base) -> Iterator[Mutant]:
    for site in base.sites:
        if not site.is_format or site.name == "json" or site.path == ("params",):
            continue
        plain = site.is_scalar and not site.value.style
        kind = (
            yaml.safe_load(base.text[site.value.start_mark.index : site.value.end_mark.index])
            if plain
            else ""
        )
        for new in _other_types(site, kind):
            yield base.replace_value("wrong type", site, new)


def _other_types(site: Site, value: Any) -> list[str]:
    if isinstance(site.value, yaml.MappingNode):
        return ["[a, b]", "7", "true"] + ([] if site.name == "schedule" else ["abc"])
    if isinstance(site.value, yaml.SequenceNode):
        return ["7.5", "{a: b}"]
    if isinstance(value, bool):
        return ["maybe", "{a: b}", "3", "yes"]
    if isinstance(value, int):
        return (
            ["many", "{a: b}", "[a]", "true", "'7'"]
            if site.name not in {"status", "version"}
            else ["{a: b}", "many"]
        )
    return (
        ["{a: b}", "true", "[[a]]"]
        if site.name not in {"status", "description", "message", "schedule"}
        else ["{a: b}"]
    )


def wrong_enums(base: Base) -> Iterator[Mutant]:
    for site in base.sites:
        if site.is_format and site.name in _ENUMS and site.is_scalar and "%" not in site.text:
            forms = [*misspell(site.text), site.text.swapcase(), f"{site.text}s", "other"]
            for form in dict.fromkeys(forms):
                yield base.replace_value("enum", site, form)


def wrong_numbers(base: Base) -> Iterator[Mutant]:
    for site in base.sites:
        whole = site.is_scalar and not site.value.style and re.fullmatch(r"\d+", site.text)
        if site.is_format and whole:
            for form in ["-1", f"{site.text}.5", f"-{site.text}0", "1e99", "99999999999999999999"]:
                if not (site.name == "timeout" and form.endswith(".5")):
                    yield base.replace_value("number", site, form)


def wrong_zones(base: Base) -> Iterator[Mutant]:
    for site in base.sites:
        if site.path == ("timezone",):
            for form in [*misspell(site.text), site.text.replace("/", "-") + "x", "GMT+2", "CEST"]:
                yield base.replace_value("zone", site, form)


def wrong_schedules(base: Base) -> Iterator[Mutant]:
    for site in base.sites:
        if site.path != ("schedule",) or not site.is_scalar:
            continue
        if site.text.startswith("@"):
            forms = [*misspell(site.text[1:]), site.text[1:], site.text.upper()]
            forms = [form if form == site.text[1:] else f"@{form.lstrip('@')}" for form in forms]
        elif site.text.startswith("P"):
            forms = _duration_forms(site.text)
        else:
            fields = site.text.split()
            forms = [" ".join([wrong, *fields[1:]]) for wrong in ("60", "*/0", "-5", "5-", "a")]
            forms += [" ".join([*fields[:2], "31", "2", "*"]), " ".join(fields[:4])]
            forms += [
                f"0 {site.text}",
                " ".join([*fields[:4], "8"]),
                " ".join([fields[0], "24", *fields[2:]]),
            ]
        for form in forms:
            yield base.replace_value("cron", site, _quote(form))


def wrong_dates(base: Base) -> Iterator[Mutant]:
    for site in base.sites:
        if site.name not in {"start_date", "end_date", "start"} or not re.match(
            r"\d{4}-", site.text
        ):
            continue
        year, month, rest = site.text[:4], site.text[5:7], site.text[10:]
        forms = [
            f"{year}-13-01",
            f"{year}-{month}-32",
            f"{year}-02-30",
            f"{year}/{month}/01",
            f"01.{month}.{year}",
        ]
        forms += [
            f"{year}-{month}",
            f"{year}-{month}-01T25:00:00Z",
            f"{year}-{month}-01T00:00:00+2",
            f"{site.text[1:10]}",
        ]
        if site.name != "end_date":
            forms += [f"21{year[2:]}-{month}-01{rest}"]
        for form in forms:
            yield base.replace_value("date", site, form)


def _duration_forms(text: str) -> list[str]:
    forms = [
        text[1:].lower(),
        text.lower(),
        f"{text[:-1]}",
        "PT",
        "P",
        f"{text}X",
        f"-{text}",
        "5 minutes",
    ]
    return [*forms, f"{text[0]}{text[-1]}{text[1:-1]}"]


def wrong_durations(base: Base) -> Iterator[Mutant]:
    for site in base.sites:
        if site.is_format and site.name in _DURATIONS and site.text.startswith("P"):
            for form in _duration_forms(site.text):
                yield base.replace_value("duration", site, form)


def wrong_formats(base: Base) -> Iterator[Mutant]:
    for site in base.sites:
        if site.below() != ("incremental", "format"):
            continue
        if "%" in site.text:
            forms = [site.text.replace("%Y", new) for new in ("%Q", "YYYY", "%", "%N")]
            forms += [
                site.text.replace("%m", "%M"),
                site.text.replace("%M", "%m"),
                site.text.replace("%d", "%D"),
            ]
        else:
            forms = [*misspell(site.text), site.text.upper(), "unix", "YYYY-MM-DD"]
        for form in dict.fromkeys(forms):
            if form != site.text:
                yield base.replace_value("format", site, _quote(form))


def wrong_expressions(base: Base) -> Iterator[Mutant]:
    for site in base.sites:
        if (
            not (site.is_format and site.name in _EXPRESSIONS and site.is_scalar and site.text)
            or site.text in _WORDS
        ):
            continue
        forms = [
            f"{site.text}[",
            f"{site.text}.",
            f".{site.text}",
            f"{site.text}]",
            f"{site.text}..x",
            f"@@{site.text}",
        ]
        forms += [site.text.replace(mark, "", 1) for mark in "'`\"][()" if mark in site.text]
        for form in dict.fromkeys(forms):
            yield base.replace_value("JMESPath", site, _quote(form))


def wrong_paths(base: Base) -> Iterator[Mutant]:
    for site in base.sites:
        if site.below() != ("request", "path") or not site.text.startswith("/"):
            continue
        path, mark, query = site.text.partition("?")
        end = mark + query
        forms = [
            f"{path}/../x{end}",
            f"{path}#all",
            f"{path} {end}",
            f"/ {path[1:]}{end}",
            f"{path}/:id{end}",
        ]
        forms += [
            f"{path}/{{id}}{end}",
            f"{path[1:]}{end}",
            f"/{path}{end}",
            f"https://api.example.com{path}{end}",
        ]
        forms += [
            path.replace("/", "\\") + end,
            f"{path}/<id>{end}",
            f"{path}/./x{end}",
            f"{path}%2{end}",
        ]
        for form in forms:
            yield base.replace_value("path", site, _quote(form))


def secrets(base: Base) -> Iterator[Mutant]:
    names = ("params", "headers", "json")
    for number, site in enumerate(base.sites):
        inside = (
            len(site.below()) == 3 and site.below()[0] == "request" and site.below()[1] in names
        )
        if inside and site.is_scalar and site.value.style not in {"|", ">"} and site.name != "id":
            for secret in SECRETS[number % 3 :: 3]:
                yield base.replace_value("secret", site, _quote(secret))
    for site in base.sites:
        if site.below() in {("request", "params"), ("request", "headers")} and isinstance(
            site.value, yaml.MappingNode
        ):
            for entry in (
                "Authorization: abc",
                "api_key: abc",
                "access_token: abc",
                "client_secret: abc",
            ):
                found = base.insert("secret", site.value, entry, site.value.start_mark.line + 2)
                if found is not None:
                    yield found
