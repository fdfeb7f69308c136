"""Rules about what an endpoint is repeated over."""

from __future__ import annotations

from oauth_taskflow.specs.model import ForEachOptions
from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import (
    EndpointView,
    Findings,
    SpecView,
    endpoint_rule,
    spec_rule,
)
from oauth_taskflow.suggestions import suggest_allowed

# Following a trail walks the whole file: enough to show every cycle of a file that people write.
_MOST_TRAILS = 100


@endpoint_rule("unknown-parent", about="for_each")
def unknown_parent(view: EndpointView) -> Findings:
    """`for_each` names a parent endpoint that the file does not have.

    Bad: `for_each: {contact: contcts}`

    Good: `for_each: {contact: contacts}` with an endpoint `contacts`
    """
    for name, path in view.parents.values():
        if name not in view.siblings:
            hint = suggest_allowed(name, set(view.siblings) - {view.name})
            yield Finding(path, f"there is no endpoint {name!r}", hint)


@spec_rule("parent-cycle")
def parent_cycle(view: SpecView) -> Findings:
    """Endpoints that wait for each other can never start.

    Bad: `a: {for_each: {x: b}}` and `b: {for_each: {y: a}}`

    Good: one of them without the other as parent
    """
    parents = {e.name: {name for name, _ in e.parents.values()} for e in view.endpoints}
    looping = _looping(parents)
    reported: set[frozenset[str]] = set()
    edges = [
        (endpoint.name, name, path)
        for endpoint in view.endpoints
        if endpoint.name in looping
        for name, path in endpoint.parents.values()
    ]
    for child, name, path in edges[:_MOST_TRAILS]:
        trail = _trail(parents, name, child)
        if trail and frozenset(trail) not in reported:
            reported.add(frozenset(trail))
            message = f"a cycle of parents: {' -> '.join([child, *trail])}"
            hint = "Take one of them out."
            yield Finding(("endpoints", child, *path), message, hint)


def _looping(parents: dict[str, set[str]]) -> set[str]:
    """The endpoints that wait for a cycle, or are on one: what is left when those that can start are taken out."""
    children: dict[str, list[str]] = {}
    waiting = {name: sum(parent in parents for parent in over) for name, over in parents.items()}
    for name, over in parents.items():
        for parent in over:
            children.setdefault(parent, []).append(name)
    ready = [name for name, count in waiting.items() if not count]
    for name in ready:
        for child in children.get(name, ()):
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
    return set(parents) - set(ready)


def _trail(parents: dict[str, set[str]], begin: str, end: str) -> list[str]:
    """Return the way from ``begin`` to ``end`` along parents, both included, or an empty list."""
    came_from: dict[str, str] = {begin: ""}
    queue = [begin]
    for name in queue:
        if name == end:
            trail = [name]
            while came_from[trail[-1]]:
                trail.append(came_from[trail[-1]])
            return trail[::-1]
        for parent in sorted(parents.get(name, ())):
            if parent not in came_from:
                came_from[parent] = name
                queue.append(parent)
    return []


@endpoint_rule("for-each-incomplete", about="for_each")
def for_each_incomplete(view: EndpointView) -> Findings:
    """The long form of `for_each` takes either a parent endpoint or a list of values.

    Bad: `for_each: {contact: {batch: 100}}`

    Good: `for_each: {contact: {endpoint: contacts, batch: 100}}`
    """
    for name, over in view.endpoint.for_each.items():
        if not isinstance(over, ForEachOptions):
            continue
        given = (over.endpoint is not None) + (over.values is not None)
        if given != 1:
            what = "neither endpoint nor values is" if not given else "endpoint and values are both"
            yield Finding(("for_each", name), f"{what} given", "Keep exactly one of them.")


@endpoint_rule("for-each-values", about="for_each")
def for_each_values(view: EndpointView) -> Findings:
    """A list of values is not empty, and holds each value once: twice means the same records twice.

    Bad: `for_each: {region: [eu, us, eu]}`

    Good: `for_each: {region: [eu, us]}`
    """
    for name, (values, path) in view.lists.items():
        if not values:
            yield Finding(path, f"the list of {name!r} is empty: nothing would run", "List values.")
        seen: set[str] = set()
        for index, value in enumerate(values):
            if repr(value) in seen:
                yield Finding((*path, index), f"the value {value!r} is listed twice", "Remove it.")
            seen.add(repr(value))
