"""Rules that a JSON Schema cannot express, for specs that already have the right shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import attrgetter

from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules import (
    bounds,
    braces,
    budgets,
    caps,
    checks,
    comparisons,
    contracts,
    destinations,
    dlt,
    durations,
    field_forms,
    field_names,
    fields,
    files,
    incremental,
    keep,
    lakes,
    letters,
    limits,
    names,
    page_names,
    paginators,
    parents,
    paths,
    quarantine,
    queries,
    reach,
    requests,
    responses,
    schedules,
    secrets,
    tables,
    time_formats,
    urls,
    watermarks,
    windows,
)
from oauth_taskflow.specs.rules.registry import (
    ENDPOINT_RULES,
    FILES_RULES,
    FIRST_RUN,
    FIRST_RUN_KEYS,
    SECTIONS,
    SPEC_RULES,
    EndpointCheck,
    EndpointView,
    Rule,
    SpecView,
)

MODULES = (
    requests,
    urls,
    paths,
    names,
    braces,
    parents,
    paginators,
    page_names,
    caps,
    queries,
    comparisons,
    incremental,
    bounds,
    keep,
    windows,
    watermarks,
    reach,
    time_formats,
    responses,
    fields,
    field_names,
    field_forms,
    contracts,
    quarantine,
    checks,
    budgets,
    destinations,
    dlt,
    files,
    lakes,
    tables,
    schedules,
    limits,
    durations,
    secrets,
    letters,
)
"""The modules of the rules, in the order of the manual; importing a module registers its rules."""


# The first run reads all there is: it need not send a window, nor both of its bounds.
_ABOUT_ALL_RUNS = frozenset(
    {
        "incremental-bounds-not-sent",
        "incremental-one-bound",
        "exclusive-lower",
        "step-without-bounds",
        "kept-and-sent",
        "watermark-not-sent",
    }
)


def all_rules() -> list[Rule]:
    """Every rule, sorted by ID; one ID may be served by several functions."""
    rules = [rule for rule, _ in [*ENDPOINT_RULES, *SPEC_RULES, *FILES_RULES]]
    return sorted(rules, key=lambda rule: rule.id)


def spec_findings(view: SpecView) -> Iterator[tuple[Rule, Finding]]:
    """Run the rules on one spec."""
    for rule, check_spec in SPEC_RULES:
        for finding in check_spec(view):
            yield rule, finding
    for endpoint in view.endpoints:
        prefix = ("endpoints", endpoint.name)
        for rule, found in _endpoint_findings(endpoint):
            yield rule, Finding((*prefix, *found.path), found.message, found.hint, found.at_key)


def _endpoint_findings(endpoint: EndpointView) -> Iterator[tuple[Rule, Finding]]:
    """Run the rules on one endpoint, and once more as it is in its first run; messages about that say so."""
    seen = set()
    for rule, finding in run_rules(endpoint):
        seen.add((rule, finding))
        yield rule, finding
    first_run = endpoint.first_run
    if first_run is None:
        return
    for rule, finding in run_rules(first_run):
        if rule.id not in _ABOUT_ALL_RUNS and (rule, finding) not in seen:
            yield rule, _in_first_run(finding)


def run_rules(view: EndpointView) -> Iterator[tuple[Rule, Finding]]:
    """Run the rules that are about what the endpoint has."""
    endpoint = view.endpoint
    present = tuple([key for key, read, default in _SECTIONS if read(endpoint) != default])
    for rule, check in _choose_rules(present):
        for finding in check(view):
            yield rule, finding


_SECTIONS = [(key, attrgetter(key), default) for key, default in SECTIONS.items()]


@lru_cache(maxsize=1024)
def _choose_rules(present: tuple[str, ...]) -> list[tuple[Rule, EndpointCheck]]:
    """Return the rules for an endpoint that has the keys ``present`` among those that rules are about."""
    has = set(present)
    return [
        (rule, check) for rule, check in ENDPOINT_RULES if not rule.about or has & {*rule.about}
    ]


def _in_first_run(finding: Finding) -> Finding:
    is_own = finding.path[:1] and finding.path[0] in FIRST_RUN_KEYS
    path = (*FIRST_RUN, *finding.path) if is_own else finding.path
    return Finding(path, f"{finding.message} (in the first run)", finding.hint, finding.at_key)


def files_findings(views: Sequence[SpecView]) -> Iterator[tuple[SpecView, Rule, Finding]]:
    """Run the rules that compare several specs."""
    for rule, check in FILES_RULES:
        for view, finding in check(views):
            yield view, rule, finding
