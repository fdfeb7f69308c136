"""Rules that a JSON Schema cannot express, for specs that already have the right shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules import (
    bounds,
    braces,
    destinations,
    durations,
    incremental,
    keep,
    letters,
    limits,
    names,
    page_names,
    paginators,
    parents,
    paths,
    queries,
    reach,
    requests,
    responses,
    schedules,
    secrets,
    time_formats,
    windows,
)
from oauth_taskflow.specs.rules.registry import (
    ENDPOINT_RULES,
    FILES_RULES,
    SPEC_RULES,
    Rule,
    SpecView,
)

MODULES = (
    requests,
    paths,
    names,
    braces,
    parents,
    paginators,
    page_names,
    queries,
    incremental,
    bounds,
    keep,
    windows,
    reach,
    time_formats,
    responses,
    destinations,
    schedules,
    limits,
    durations,
    secrets,
    letters,
)
"""The modules of the rules, in the order of the manual; importing a module registers its rules."""


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
        for rule, check_endpoint in ENDPOINT_RULES:
            for found in check_endpoint(endpoint):
                path = (*prefix, *found.path)
                yield rule, Finding(path, found.message, found.hint, found.at_key)


def files_findings(views: Sequence[SpecView]) -> Iterator[tuple[SpecView, Rule, Finding]]:
    """Run the rules that compare several specs."""
    for rule, check in FILES_RULES:
        for view, finding in check(views):
            yield view, rule, finding
