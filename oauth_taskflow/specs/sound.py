"""What is left of a document with shape errors when the broken endpoints are taken out.

The rules look at that part too, so that one round of corrections is enough. They say nothing about a broken endpoint or
one that takes its records: with half of it unknown, they would guess.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from oauth_taskflow.specs.model import DagSpec
from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import EndpointView, SpecView
from oauth_taskflow.specs.shape import convert


def without_broken(
    document: dict[str, Any], broken: Iterable[tuple[str, Finding]]
) -> tuple[DagSpec, dict[str, Any], frozenset[str]] | None:
    """The sound part of ``document`` as model and as data, and the names of the endpoints that were emptied.

    None when more is broken than endpoints and unknown keys.
    """
    endpoints, unknown = set(), set()
    for rule, finding in broken:
        path = finding.path
        if len(path) > 1 and path[0] == "endpoints":
            endpoints.add(path[1])
        elif len(path) == 1 and rule == "unknown-key":
            unknown.add(path[0])
        elif path[:1] != ("defaults",):  # those stand in the endpoints as well
            return None
    left = {k: v for k, v in document.items() if k not in unknown and k != "defaults"}
    left["endpoints"] = {
        name: {} if name in endpoints else endpoint
        for name, endpoint in document.get("endpoints", {}).items()
    }
    source = convert(left)
    return None if source is None else (source, left, frozenset(map(str, endpoints)))


def uncertain(view: SpecView, broken: frozenset[str]) -> frozenset[str]:
    """The ``broken`` endpoints, and those that take records of them, or of those, and so on."""
    found = set(broken)
    while True:
        more = {one.name for one in view.endpoints if one.name not in found and _takes(one, found)}
        if not more:
            return frozenset(found)
        found |= more


def _takes(endpoint: EndpointView, names: set[str]) -> bool:
    return any(parent in names for parent, _ in endpoint.parents.values())
