"""Where the output of a run goes: the templates of the destination, with the values of the run filled in."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from oauth_taskflow.destinations import AnyDestination
from oauth_taskflow.destinations.base import EndpointFacts
from oauth_taskflow.engine.contract_stage import find_declared
from oauth_taskflow.engine.for_each import MappedItem, Slice, for_each_options
from oauth_taskflow.engine.segments import check_authority, restrict_to_segments
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.templates.render import render_text


def destination_options(endpoint: Endpoint) -> AnyDestination:
    """Returns the first destination of a checked endpoint, whose manifest proves a run."""
    return endpoint.all_destinations[0]  # specs.rules: destination-missing


def destination_kind(endpoint: Endpoint) -> str:
    """Returns the name of the first destination's kind, as specs write it under ``type``."""
    return kind_name(destination_options(endpoint))


def kind_name(options: AnyDestination) -> str:
    """Returns the name of the kind that ``options`` are of."""
    return str(options.__struct_config__.tag)


def endpoint_facts(endpoint: Endpoint) -> EndpointFacts:
    """Returns what a destination must know of an endpoint besides its records."""
    keys = endpoint.primary_key or ()
    incremental = endpoint.incremental
    field, form = (
        (incremental.field, incremental.field_format) if incremental is not None else (None, None)
    )
    return EndpointFacts(
        (keys,) if isinstance(keys, str) else tuple(keys),
        field,
        find_declared(endpoint),
        tuple(form) if isinstance(form, list) else form,
    )


def locate_output(
    endpoint: Endpoint,
    run_id: str,
    template_context: Mapping[str, Any],
    item: MappedItem,
    given: Collection[str] = (),
    *,
    options: AnyDestination | None = None,
) -> str:
    """Returns the place that a run writes to, all mapped task instances together; list values of ``item`` may be in it.

    It is that of ``options``, one of the endpoint's destinations, by default of the first. ``given`` names the params whose values came with the run: each may be one segment of the path, and no more.

    Raises:
        TemplateFailed: as ``render_text`` raises.
        DestinationError: a value that came with the run is not a path segment.
    """
    values = {name: part.value for name, part in item.items() if part.file is None}
    render = partial(_render, template_context=template_context, values=values, given=given)
    return (options or destination_options(endpoint)).locate(render, run_id)


def _render(
    template: str,
    template_context: Mapping[str, Any],
    values: Mapping[str, Any],
    given: Collection[str],
) -> str:
    text = render_text(template, {**restrict_to_segments(template_context, given), **values})
    check_authority(text, template_context, given)
    return text


def locate_outputs(
    endpoint: Endpoint,
    run_id: str,
    template_context: Mapping[str, Any],
    given: Collection[str] = (),
    *,
    options: AnyDestination | None = None,
) -> list[str]:
    """Returns every place of a mapped endpoint's output, including places that this run does not write to.

    They are those of ``options``, one of the endpoint's destinations, by default of the first.
    """
    lists = {
        name: [Slice(value=value) for value in option.values or ()]
        for name, option in for_each_options(endpoint).items()
        if option.endpoint is None
    }
    found = (
        locate_output(
            endpoint,
            run_id,
            template_context,
            dict(zip(lists, values, strict=True)),
            given,
            options=options,
        )
        for values in itertools.product(*lists.values())
    )
    return list(dict.fromkeys(found))
