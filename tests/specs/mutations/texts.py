"""Mistakes in the text: templates, braces, quotes, indentation, tabs, names that collide, letters that look alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import yaml

from tests.specs.mutations.keys import misspell
from tests.specs.mutations.sites import Base, Mutant, Site

_TEMPLATE = re.compile(r"\{\{(.*?)\}\}")
_NAME = re.compile(r"(?<![\w.'\"\[|(-])([a-z_]\w*)(?:\.([a-z_]\w*))?")
_GIVEN = frozenset(
    {"window", "params", "endpoint", "dag_id", "ds", "data_interval_start", "data_interval_end"}
)
_TWINS = str.maketrans("aeopcxyi", "\u0430\u0435\u043e\u0440\u0441\u0445\u0443\u0456")
_INVISIBLE = ("\u00a0", "\u200b", "\u00ad", "\ufeff")
_PROSE = frozenset({"description", "doc_md", "message"})


def _variables(base: Base) -> set[str]:
    return {
        site.name
        for site in base.sites
        if site.below()[:1] == ("for_each",) and len(site.below()) == 2
    }


def _templates(base: Base) -> Iterator[tuple[Site, re.Match[str]]]:
    for site in base.sites:
        in_template = site.below()[:1] in {("request",), ("destination",)}
        if site.is_scalar and in_template and site.value.style not in {"|", ">"}:
            begin, end = site.value.start_mark.index, site.value.end_mark.index
            for match in _TEMPLATE.finditer(base.text, begin, end):
                yield site, match


def misspelt_names(base: Base) -> Iterator[Mutant]:
    known = _GIVEN | _variables(base)
    for site, match in _templates(base):
        for name in _NAME.finditer(match[1]):
            if name[1] not in known:
                continue
            begin = match.start(1) + name.start(1)
            line = site.key.start_mark.line + 1
            for form in misspell(name[1]):
                if form not in known:
                    yield base.edit("template name", begin, begin + len(name[1]), form, line)
            if name[2] and name[1] in {"window", "params"} and name[2] != "get":
                begin = match.start(1) + name.start(2)
                for form in misspell(name[2]):
                    yield base.edit("template name", begin, begin + len(name[2]), form, line)


def lost_braces(base: Base) -> Iterator[Mutant]:
    for site, match in _templates(base):
        line = site.key.start_mark.line + 1
        for begin, end, new in (
            (match.start(), match.start() + 1, ""),
            (match.end() - 1, match.end(), ""),
            (match.start(), match.end(), match[0][1:-1]),
            (match.start(), match.end(), f"{{{match[0]}}}"),
            (match.end(), match.end(), "}"),
            (match.start(), match.end(), match[0].replace("{{", "{%").replace("}}", "%}")),
        ):
            yield base.edit("braces", begin, end, new, line)


def lost_quotes(base: Base) -> Iterator[Mutant]:
    for site in base.sites:
        if site.is_scalar and site.value.style in {'"', "'"}:
            begin, end = site.value.start_mark.index, site.value.end_mark.index
            line = site.value.start_mark.line + 1
            yield base.edit("quotes", begin, begin + 1, "", line, line + 1)
            yield base.edit("quotes", end - 1, end, "", line, line + 1)
            if "{{" in site.text[:2]:
                yield base.edit("quotes", begin, end, site.text, line)


def lost_brackets(base: Base) -> Iterator[Mutant]:
    for site in base.sites:
        if not site.is_scalar and site.value.flow_style:
            begin, end = site.value.start_mark.index, site.value.end_mark.index
            first, last = site.value.start_mark.line + 1, site.value.end_mark.line + 1
            for at in (begin, end - 1):
                yield base.edit("brackets", at, at + 1, "", first, last, last + 1)
            yield base.edit("brackets", end, end, base.text[end - 1], first, last)


def lost_colons(base: Base) -> Iterator[Mutant]:
    for site in base.sites:
        end = site.key.end_mark.index
        if base.text[end : end + 2] in {": ", ":\n"} and site.is_format:
            line = site.key.start_mark.line + 1
            yield base.edit("colon", end, end + 1, "", line, line + 1)
            if base.text[end + 1] == " " and not site.around.flow_style:
                yield base.edit("colon", end + 1, end + 2, "", line, line + 1)


def indentation(base: Base) -> Iterator[Mutant]:
    position = 0
    for number, line in enumerate(base.lines, 1):
        blank = len(line) - len(line.lstrip(" "))
        if line.strip() and not line.lstrip().startswith("#"):
            near = (number, number + 1, max(number - 1, 1))
            yield base.edit("indentation", position, position, " ", *near)
            if blank:
                yield base.edit("indentation", position, position + 1, "", *near)
                yield base.edit("tab", position, position + blank, "\t", *near)
                yield base.edit("tab", position, position + 1, "\t", *near)
        position += len(line)


def collisions(base: Base) -> Iterator[Mutant]:
    endpoints = [site for site in base.sites if site.is_endpoint]
    for site, other in pairwise(endpoints):
        line = other.key.start_mark.line + 1
        yield base.replace_key("collision", other, site.name, line, *base.uses(other.name))
        yield base.replace_key(
            "collision", other, site.name.replace("_", "-").upper(), line, *base.uses(other.name)
        )
    shared = [site for site in base.sites if site.path == ("defaults", "destination", "path")]
    owns = sum(
        1 for s in base.sites if s.below() == ("destination", "path") and s.path[0] == "endpoints"
    )
    for site in shared:
        if len(endpoints) - owns > 1:
            yield base.replace_value("collision", site, "/data/all")
    requests = {s.path[:-2]: s.value for s in base.sites if s.below() == ("request", "params")}
    for site in base.sites:
        if site.below() == ("paginate", "param") and site.path[:-2] in requests:
            into = requests[site.path[:-2]]
            if isinstance(into, yaml.MappingNode):
                found = base.insert(
                    "collision", into, f"{_yaml(site.text)}: 1", into.start_mark.line + 2
                )
                if found is not None:
                    yield found


def _yaml(text: str) -> str:
    return text if text.isidentifier() else f'"{text}"'


def parents(base: Base) -> Iterator[Mutant]:
    names = {site.name for site in base.sites if site.is_endpoint}
    for site in base.sites:
        if site.below()[:1] == ("for_each",) and site.text in names:
            for form in [*misspell(site.text), site.text.upper(), site.path[1]]:
                line = site.key.start_mark.line + 1
                yield base.replace_value(
                    "parent", site, str(form), *_uses_of_each(base, site), line
                )


def _uses_of_each(base: Base, site: Site) -> list[int]:
    return [s.key.start_mark.line + 1 for s in base.sites if s.path == site.path[:2]]


def look_alikes(base: Base) -> Iterator[Mutant]:
    for site in base.sites:
        if site.name in _PROSE:
            continue
        begin = site.key.start_mark.index + (1 if site.key.style else 0)
        if len(site.name) > 2 and not site.is_endpoint:
            yield from _alike(base, site, site.name, begin)
        if (
            site.is_scalar
            and site.value.style not in {"|", ">"}
            and re.fullmatch(r"[\w./-]{3,}", site.text)
        ):
            start = site.value.start_mark.index + (1 if site.value.style else 0)
            yield from _alike(base, site, site.text, start)


def _alike(base: Base, site: Site, text: str, begin: int) -> Iterator[Mutant]:
    lines = (site.key.start_mark.line + 1, *base.uses(text))
    if base.text[begin : begin + len(text)] != text:
        return
    at = next(
        (i for i, c in enumerate(text) if c != c.translate(_TWINS) and _in_word(text, i)), None
    )
    if at is not None:
        yield base.edit(
            "look-alike", begin + at, begin + at + 1, text[at].translate(_TWINS), *lines
        )
    middle = begin + len(text) // 2
    yield base.edit("look-alike", middle, middle, _INVISIBLE[len(text) % len(_INVISIBLE)], *lines)


def _in_word(text: str, at: int) -> bool:
    beside = text[max(at - 1, 0) : at] + text[at + 1 : at + 2]
    return any(c.isascii() and c.isalpha() for c in beside)
