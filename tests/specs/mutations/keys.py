"""Mistakes in keys: misspelt, dropped, duplicated, moved, in another case, of another paginator, null."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from tests.specs.mutations.sites import Base, Mutant, Site, definitions

_PAGINATORS = {
    "page": "PageNumberPaginator",
    "offset": "OffsetPaginator",
    "cursor": "CursorPaginator",
    "link": "LinkHeaderPaginator",
    "next_url": "NextUrlPaginator",
    "none": "SinglePage",
}
_OPTION_VALUES = {"size": "50", "prefetch": "2", "start": "1", "sticky": "[a]", "require": "{a: b}"}
_TOP_REQUIRED = frozenset({"version", "dag_id", "endpoints"})


def misspell(word: str) -> list[str]:
    """``word`` without a letter, with one twice, and with two exchanged."""
    middle = len(word) // 2
    swapped = f"{word[: middle - 1]}{word[middle]}{word[middle - 1]}{word[middle + 1 :]}"
    forms = [word[:middle] + word[middle + 1 :], word[:middle] + word[middle - 1 :], swapped]
    return [form for form in dict.fromkeys(forms) if form not in {word, ""}]


def misspelt_keys(base: Base) -> Iterator[Mutant]:
    for site in base.sites:
        if site.is_format and len(site.name) > 2:
            for form in [*misspell(site.name), site.name.capitalize(), site.name.upper()]:
                yield base.replace_key("misspelt key", site, form)
            if "_" in site.name:
                yield base.replace_key("misspelt key", site, site.name.replace("_", "-"))


# Keys that the format asks for, by their path in an endpoint, and what defaults give in their place.
_NEEDED = {
    ("request", "path"): "request",
    ("paginate", "type"): "paginate",
    ("incremental", "field"): "incremental",
    ("rate_limit", "requests"): "rate_limit",
    ("destination", "path"): "destination",
}
_CURSOR_KEYS = frozenset({"next", "param", "last_record", "body", "header"})


def _is_required(base: Base, site: Site) -> bool:
    """Whether the spec is broken without the key: what the format asks for, and what defaults do not give."""
    if len(site.path) == 1:
        owns = all("connection" in (each or {}) for each in base.data["endpoints"].values())
        return site.name in _TOP_REQUIRED or (site.name == "connection" and not owns)
    below, given = site.below(), base.data.get("defaults") or {}
    if below in _NEEDED:
        inherited = site.path[0] == "endpoints" and _NEEDED[below] in given
        return not inherited and (site.path[0] == "endpoints" or below != ("request", "path"))
    if below[:1] == ("paginate",):
        return _is_needed_to_page(site)
    if below[:1] == ("responses",):
        conditions = {"status", "when", "header"}
        others = (conditions - {site.name}) & _siblings(site)
        return len(below) == 3 and (
            site.name == "action" or (site.name in conditions and not others)
        )
    return below[:1] == ("for_each",) and len(below) == 2


def _siblings(site: Site) -> set[str]:
    return {key.value for key, _ in site.around.value}


def _is_needed_to_page(site: Site) -> bool:
    """Whether its own paginator cannot do without the key."""
    kind = {key.value: value.value for key, value in site.around.value}.get("type")
    if site.name == "size":
        return "size_param" in _siblings(site)
    return site.name in _CURSOR_KEYS and (
        kind == "cursor" or (kind, site.name) == ("next_url", "next")
    )


def dropped_keys(base: Base) -> Iterator[Mutant]:
    for site in base.sites:
        if _is_required(base, site):
            lines = _lines_of_absence(base, site)
            yield base.remove("dropped key", site, *lines)
            yield base.replace_value("null", site, "null", *lines)


def _lines_of_absence(base: Base, site: Site) -> list[int]:
    """Where the lack of a key shows: its endpoint, the first line for the top, each endpoint for what all inherit."""
    if site.below()[:1] == ("for_each",):
        return [*_endpoint_lines(base, site), *base.uses(site.name)]
    if site.path[0] in {"connection", "defaults"}:
        return _endpoint_lines(base, None)
    return _endpoint_lines(base, site) if len(site.path) > 1 else [1]


def _endpoint_lines(base: Base, site: Site | None) -> list[int]:
    """The lines where the endpoint of ``site`` begins, or all endpoints."""
    return [
        each.key.start_mark.line + 1
        for each in base.sites
        if each.is_endpoint and (site is None or each.path == site.path[:2])
    ]


def duplicated_keys(base: Base) -> Iterator[Mutant]:
    for site in base.sites:
        if (
            not site.is_scalar
            or site.value.style in {"|", ">"}
            or site.value.start_mark.line != site.key.start_mark.line
        ):
            continue
        entry = base.text[site.key.start_mark.index : site.value.end_mark.index]
        found = base.insert(
            "duplicated key",
            site.around,
            entry,
            site.key.start_mark.line + 1,
            site.key.start_mark.line + 2,
        )
        if found is not None:
            yield found


def moved_keys(base: Base) -> Iterator[Mutant]:
    """Keys of an endpoint that stand in its request, and keys of the top that stand in a request."""
    requests = {s.path[:-1]: s.value for s in base.sites if s.below() == ("request",)}
    of_dag = {"schedule", "start_date", "tags", "timezone", "catchup"}
    for site in base.sites:
        whole = base.text[site.key.start_mark.index : site.value.end_mark.index]
        into = None
        if len(site.below()) == 1 and site.name != "request":
            into = requests.get(site.path[:-1])
        elif len(site.path) == 1 and site.name in of_dag:
            into = next(iter(requests.values()), None)
        if isinstance(into, yaml.MappingNode) and into.value and "\n" not in whole:
            yield base.move_into("moved key", site, into)


def foreign_options(base: Base) -> Iterator[Mutant]:
    """Options of one paginator in another."""
    known = {kind: set(definitions()[name]["properties"]) for kind, name in _PAGINATORS.items()}
    everything = sorted(set().union(*known.values()))
    for site in base.sites:
        if site.name != "paginate" or not isinstance(site.value, yaml.MappingNode):
            continue
        kind = str({key.value: value.value for key, value in site.value.value}.get("type"))
        for option in everything if kind in known else []:
            if option not in known[kind]:
                entry = f"{option}: {_OPTION_VALUES.get(option, 'abc')}"
                found = base.insert("foreign paging option", site.value, entry)
                if found is not None:
                    yield found
