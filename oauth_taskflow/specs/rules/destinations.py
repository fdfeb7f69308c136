"""Rules about where records go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.destinations.formats import FORMATS
from oauth_taskflow.destinations.python_function import PythonDestination
from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.registry import (
    EndpointView,
    Findings,
    SpecView,
    endpoint_rule,
    files_rule,
    spec_rule,
)


@endpoint_rule("destination-missing")
def destination_missing(view: EndpointView) -> Findings:
    """Every endpoint says where its records go; most specs say it once, in the defaults.

    Bad: a spec without `destination`

    Good: `defaults: {destination: {type: file, path: "/data/crm/{{ endpoint }}"}}`
    """
    hint = 'Write defaults: {destination: {path: "/data/{{ endpoint }}"}}.'
    if not view.destinations:
        yield Finding((), "no destination path is given", hint)
    for path, options in view.destinations:
        place = path if path[0] == "destinations" else ()
        if options.address is None and isinstance(options, PythonDestination):
            yield Finding(path, "no function is named", "Write function: my_package.sinks.load.")
        elif options.address is None:
            yield Finding(place, "no destination path is given", hint)


@endpoint_rule("destination-and-destinations", about="destinations")
def destination_and_destinations(view: EndpointView) -> Findings:
    """One key says where records go: `destination` for one place, `destinations` for several, of which the first counts.

    The one that an endpoint writes replaces the other one of the defaults.

    Bad: `destination: {path: /a}` and `destinations: [{path: /b}]` in one endpoint

    Good: `destinations: [{path: /a}, {path: /b}]`
    """
    if view.endpoint.destination is not None and view.endpoint.destinations:
        hint = "Put it into the list: the first of destinations proves a run."
        yield Finding(("destinations",), "both destination and destinations are given", hint)


@endpoint_rule("destination-compression")
def destination_compression(view: EndpointView) -> Findings:
    """`compression` is that inside Parquet and Arrow files; another format names its compression itself.

    Bad: `destination: {path: /data/crm, format: jsonl, compression: gzip}`

    Good: `destination: {path: /data/crm, format: jsonl.gz}`
    """
    for path, options in _file_destinations(view):
        if options.compression is None:
            continue
        found = FORMATS[options.format].compressions
        if options.compression in found:
            continue
        hint = f"It has {', '.join(found)}."
        if not found:
            hint = "Formats parquet and arrow have it; jsonl.gz and jsonl.zst are compressed JSON lines."
        message = f"format {options.format} has no compression {options.compression}"
        yield Finding((*path, "compression"), message, hint, at_key=not found)


def _file_destinations(view: EndpointView) -> Iterator[tuple[YamlPath, FileDestination]]:
    chosen: Sequence[tuple[YamlPath, Any]] = view.destinations
    return ((path, one) for path, one in chosen if isinstance(one, FileDestination))


def _name_place(path: YamlPath) -> tuple[str, str]:
    """The key of the destination that names its place, and the word for such a place."""
    key = str(path[-1])
    return key, "folder" if key == "path" else key


@spec_rule("destination-collision")
def destination_collision(view: SpecView) -> Findings:
    """Two endpoints that write to one folder replace each other's files. So do two destinations of one endpoint.

    Bad: `defaults: {destination: {path: /data/crm}}` with two endpoints

    Good: `defaults: {destination: {path: "/data/crm/{{ endpoint }}"}}`
    """
    groups: dict[str, list[tuple[str, YamlPath]]] = {}
    for endpoint in view.endpoints:
        for place, path in endpoint.destination_places:
            groups.setdefault(place, []).append((endpoint.name, path))
    for first, *others in groups.values():
        if others:
            names = list(dict.fromkeys([first[0], *(name for name, _ in others)]))
            if len(names) == 1:
                message = (
                    f"endpoint {first[0]} writes to the same {_name_place(others[0][1])[1]} twice"
                )
                yield Finding(others[0][1], message, "Name each place once.")
            else:
                path = next(path for name, path in others if name == names[1])
                key, noun = _name_place(path)
                message = f"endpoints {', '.join(names)} write to the same {noun}"
                yield Finding(path, message, f'Put "{{{{ endpoint }}}}" into the {key}.')


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
        for place, path in (
            found for endpoint in view.endpoints for found in endpoint.destination_places
        ):
            other = taken.setdefault(place, view)
            # Airflow loads only one of two files with one dag_id; the rule duplicate-dag-id reports that.
            if other is not view and other.source.dag_id != view.source.dag_id:
                key, noun = _name_place(path)
                message = f"endpoint {path[1]!r} writes to the same {noun} as {other.spec.path}"
                yield view, Finding(path, message, f'Put "{{{{ dag_id }}}}" into the {key}.')
