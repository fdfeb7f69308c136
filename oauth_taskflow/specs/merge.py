"""Defaults under endpoints: one document in which every endpoint stands complete."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, get_args

from oauth_taskflow.api.options import FileDestination, Incremental, Paginate, RateLimit, Records
from oauth_taskflow.specs.model import Endpoint, ForEachOptions, Request, TaskOptions

# Bodies and custom options are the author's own data: there a null without a default to remove is a value.
_FREE_DATA = frozenset({"json", "options"})
# Below these keys stand names of the API or of the author, of which any may be removed.
_NAMES = frozenset({"params", "headers", "form", "for_each", "copy", "header", "require"})
_TAGGED = frozenset({"paginate", "destination"})


def merge(
    base: dict[str, Any], over: dict[str, Any], *, free: bool = False, named: bool = False
) -> dict[str, Any]:
    """``over`` deep-merged onto ``base``; neither is changed.

    Mappings merge key by key; lists and scalars replace; null removes. A paginator or destination of another ``type``
    replaces the whole mapping, since the options of one type do not fit another.

    A null under a key that the format does not know (``{size 100}`` is one, too) stays, for the check to refuse it; under
    ``named`` keys any name is known. In ``free`` data a null without a default to remove is a value.
    """
    merged = dict(base)
    for key, value in over.items():
        default = base.get(key)
        if value is None:
            if key not in base and (free or not (named or key in _known_keys())):
                merged[key] = None
            else:
                merged.pop(key, None)
        elif isinstance(value, dict):
            fits = key not in _TAGGED or free or _same_type(default, value)
            under = default if fits and isinstance(default, dict) else {}
            merged[key] = merge(under, value, free=free or key in _FREE_DATA, named=key in _NAMES)
        else:
            merged[key] = value
    return merged


@lru_cache(maxsize=1)
def _known_keys() -> frozenset[str]:
    """Every key that may stand somewhere in an endpoint."""
    kinds: list[Any] = [Endpoint, Request, Records, ForEachOptions, TaskOptions, Incremental]
    kinds += [FileDestination, RateLimit, *get_args(Paginate)]
    return frozenset({"type"}.union(*(kind.__struct_fields__ for kind in kinds)))


def _same_type(base: Any, over: dict[str, Any]) -> bool:
    return isinstance(base, dict) and ("type" not in over or over["type"] == base.get("type"))


def merged_document(data: dict[str, Any]) -> dict[str, Any]:
    """``data`` with each endpoint completed by the defaults; parts of another shape stay for the schema to refuse."""
    defaults, endpoints = data.get("defaults"), data.get("endpoints")
    document = dict(data)
    if isinstance(defaults, dict):
        document["defaults"] = defaults = merge({}, defaults)
    else:
        defaults = {}
    if isinstance(endpoints, dict):
        document["endpoints"] = {
            name: merge(defaults, endpoint or {}) if isinstance(endpoint, dict | None) else endpoint
            for name, endpoint in endpoints.items()
        }
    return document
