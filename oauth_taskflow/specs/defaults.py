"""Merges the defaults into each endpoint, so that every endpoint is complete."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, get_args, get_origin

from msgspec import structs

from oauth_taskflow.api.paginators import Paginate
from oauth_taskflow.api.pull.records import Records
from oauth_taskflow.api.rate_limit import RateLimit
from oauth_taskflow.contracts.check_options import Checks, CheckSet
from oauth_taskflow.contracts.options import Contract
from oauth_taskflow.destinations import DEFAULT_KIND
from oauth_taskflow.destinations.kinds import all_kinds
from oauth_taskflow.fields.options import Fields
from oauth_taskflow.specs.model import Endpoint, ForEachOptions, Request, TaskOptions
from oauth_taskflow.specs.request import FirstRun
from oauth_taskflow.specs.windows import Incremental

# Bodies and custom options are the author's own data: there a null without a default to remove is a value.
_FREE_DATA = frozenset({"json", "options", "json_schema"})
_TAGGED = frozenset({"paginate", "destination"})


def merge(
    base: dict[str, Any], over: dict[str, Any], *, free: bool = False, under: str = ""
) -> dict[str, Any]:
    """Return ``over`` deep-merged onto ``base``; neither is changed.

    Mappings merge key by key; lists and scalars replace; null removes. A paginator or destination of another ``type``
    replaces the whole mapping, since the options of one type do not fit another.

    Null stays where an option has a default that null turns off, such as ``size_param`` of offsets. A null whose key the format does not know ``under`` that key (``{size 100}`` is one, too) stays, for the check to refuse
    it. In ``free`` data a null without a default to remove is a value.
    """
    merged = dict(base)
    for key, value in over.items():
        default = base.get(key)
        if value is None and not free and key in _null_values(under):
            merged[key] = None
        elif value is None:
            known = _format_keys(under)
            if key not in base and (free or (known is not None and key not in known)):
                merged[key] = None
            else:
                merged.pop(key, None)
        elif isinstance(value, dict):
            fits = key not in _TAGGED or free or _same_type(default, value)
            below = default if fits and isinstance(default, dict) else {}
            free_below = free or key in _FREE_DATA
            merged[key] = merge(below, value, free=free_below, under=f"{under}.{key}".lstrip("."))
        else:
            merged[key] = value
    return merged


def _format_keys(under: str) -> frozenset[str] | None:
    """The keys that the format knows at a place such as ``request``; None where names are the author's or the API's."""
    above, _, variable = under.partition(".")
    if above == "for_each" and variable and "." not in variable:
        return frozenset(ForEachOptions.__struct_fields__)
    return _levels().get(under)


@lru_cache(maxsize=64)
def _null_values(under: str) -> frozenset[str]:
    """The keys at a place such as ``paginate`` whose null means something else than leaving them out."""
    fields = [field for kind in _kinds().get(under, ()) for field in structs.fields(kind)]
    return frozenset(
        field.encode_name
        for field in fields
        if isinstance(field.default, str | int) and type(None) in _union_members(field.type)
    )


def _union_members(kind: Any) -> tuple[Any, ...]:
    return get_args(get_args(kind)[0] if get_origin(kind) is Annotated else kind)


@lru_cache(maxsize=1)
def _levels() -> dict[str, frozenset[str]]:
    """The keys that the format knows, by the key above them; an empty key means the endpoint itself."""
    return {
        name: frozenset({"type"}.union(*(kind.__struct_fields__ for kind in some)))
        for name, some in _kinds().items()
    }


def _kinds() -> dict[str, list[Any]]:
    """The option types that are allowed below a key; an empty key means the endpoint itself."""
    return {
        "": [Endpoint],
        "request": [Request],
        "records": [Records],
        "paginate": list(get_args(Paginate)),
        "incremental": [Incremental],
        "destination": all_kinds(),
        "rate_limit": [RateLimit],
        "task": [TaskOptions],
        "fields": [Fields],
        "contract": [Contract],
        "checks": [Checks],
        "checks.warn": [CheckSet],
    }


def _same_type(base: Any, over: dict[str, Any]) -> bool:
    return isinstance(base, dict) and ("type" not in over or over["type"] == base.get("type"))


def merge_defaults(data: dict[str, Any]) -> dict[str, Any]:
    """Complete each endpoint of ``data`` with the defaults; parts of another shape stay for the schema to refuse."""
    written, endpoints = data.get("defaults"), data.get("endpoints")
    document = dict(data)
    base: dict[str, Any] = {}
    if isinstance(written, dict):
        base = merge({}, written)
        document["defaults"] = with_destination_type(base)
    if isinstance(endpoints, dict):
        document["endpoints"] = {
            name: with_destination_type(_complete(base, written, endpoint or {}))
            if isinstance(endpoint, dict | None)
            else endpoint
            for name, endpoint in endpoints.items()
        }
    return document


def _complete(base: dict[str, Any], written: Any, endpoint: dict[str, Any]) -> dict[str, Any]:
    """Merge the defaults into ``endpoint``, and both into what differs in its first run.

    ``base`` are the defaults without their nulls, ``written`` the defaults as they are.
    """
    merged = merge(_choose_destinations(base, endpoint), endpoint)
    incremental = merged.get("incremental")
    if not isinstance(incremental, dict) or not isinstance(incremental.get("first_run"), dict):
        return merged
    # Once more from what is written: a null in it removes what the endpoint has.
    first = {key: merged[key] for key in FirstRun.__struct_fields__ if key in merged}
    for part in (written, endpoint):
        first = merge(first, _find_first_run(part))
    return {**merged, "incremental": {**incremental, "first_run": first}}


def _choose_destinations(base: dict[str, Any], endpoint: dict[str, Any]) -> dict[str, Any]:
    """The defaults for an endpoint that says itself where its records go: one place or several, never both."""
    for own, other in (("destination", "destinations"), ("destinations", "destination")):
        if endpoint.get(own) is not None and other not in endpoint:
            return {key: value for key, value in base.items() if key != other}
    return base


def _find_first_run(endpoint: Any) -> dict[str, Any]:
    incremental = endpoint.get("incremental") if isinstance(endpoint, dict) else None
    first = incremental.get("first_run") if isinstance(incremental, dict) else None
    return first if isinstance(first, dict) else {}


def with_destination_type(endpoint: dict[str, Any]) -> dict[str, Any]:
    """Names the kind of each destination that does not: without ``type`` it is the default kind."""
    return _change_destinations(endpoint, _name_type)


def without_default_type(endpoint: dict[str, Any]) -> dict[str, Any]:
    """Leaves out the kind of a destination of the default kind, like every other default."""
    return _change_destinations(endpoint, _leave_out_default_type)


def _change_destinations(endpoint: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    changed = {}
    if isinstance(endpoint.get("destination"), dict):
        changed["destination"] = change(endpoint["destination"])
    if isinstance(endpoint.get("destinations"), list):
        changed["destinations"] = [change(each) for each in endpoint["destinations"]]
    return {**endpoint, **changed} if changed else endpoint


def _name_type(destination: Any) -> Any:
    if not isinstance(destination, dict) or "type" in destination:
        return destination
    return {**destination, "type": DEFAULT_KIND}


def _leave_out_default_type(destination: Any) -> Any:
    if not isinstance(destination, dict) or destination.get("type") != DEFAULT_KIND:
        return destination
    return {name: value for name, value in destination.items() if name != "type"}
