"""Rules about where records go."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import (
    EndpointView,
    Findings,
    SpecView,
    endpoint_rule,
    files_rule,
    spec_rule,
)
from oauth_taskflow.specs.template_names import PARAM_TEMPLATE

_OWN_NAME = re.compile(r"\{\{\s*(endpoint|dag_id)\s*\}\}")
_BLANKS = re.compile(r"\s+")


@endpoint_rule("destination-missing")
def destination_missing(view: EndpointView) -> Findings:
    """Every endpoint says where its records go; most specs say it once, in the defaults.

    Bad: a spec without `destination`

    Good: `defaults: {destination: {type: file, path: "/data/crm/{{ endpoint }}"}}`
    """
    destination = view.endpoint.destination
    if destination is None or destination.address is None:
        hint = 'Write defaults: {destination: {path: "/data/{{ endpoint }}"}}.'
        yield Finding((), "no destination path is given", hint)


def _place(view: EndpointView) -> str | None:
    """The destination's address with the names that are known now filled in, for comparing."""
    destination = view.endpoint.destination
    if destination is None or destination.address is None:
        return None
    own = {"endpoint": view.name, "dag_id": view.source.dag_id}
    place = _OWN_NAME.sub(lambda match: own[match[1]], destination.address)
    params = view.source.params
    place = PARAM_TEMPLATE.sub(lambda match: str(params.get(match[1], match[0])), place)
    return _BLANKS.sub("", place).rstrip("/")


@spec_rule("destination-collision")
def destination_collision(view: SpecView) -> Findings:
    """Two endpoints that write to one folder replace each other's files.

    Bad: `defaults: {destination: {path: /data/crm}}` with two endpoints

    Good: `defaults: {destination: {path: "/data/crm/{{ endpoint }}"}}`
    """
    groups: dict[str, list[str]] = {}
    for endpoint in view.endpoints:
        place = _place(endpoint)
        if place is not None:
            groups.setdefault(place, []).append(endpoint.name)
    for first, *others in groups.values():
        if others:
            path = ("endpoints", others[0], "destination", "path")
            message = f"endpoints {', '.join([first, *others])} write to the same folder"
            yield Finding(path, message, 'Put "{{ endpoint }}" into the path.')


@files_rule("destination-collision")
def destination_collision_across_files(
    views: Sequence[SpecView],
) -> Iterator[tuple[SpecView, Finding]]:
    """Two endpoints that write to one folder replace each other's files, also from different DAGs.

    Bad: `path: "/data/{{ endpoint }}"` in two specs that both have an endpoint `contacts`

    Good: `path: "/data/{{ dag_id }}/{{ endpoint }}"`
    """
    taken: dict[str, SpecView] = {}
    for view in views:
        for endpoint in view.endpoints:
            place = _place(endpoint)
            other = taken.setdefault(place, view) if place is not None else view
            # Airflow loads only one of two files with one dag_id; the rule duplicate-dag-id reports that.
            if other is not view and other.source.dag_id != view.source.dag_id:
                path = ("endpoints", endpoint.name, "destination", "path")
                message = (
                    f"endpoint {endpoint.name!r} writes to the same folder as {other.spec.path}"
                )
                yield view, Finding(path, message, 'Put "{{ dag_id }}" into the path.')
