"""A preset with its places filled: ``{tenant}`` becomes the tenant of one connection."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from oauth_taskflow.presets.model import Preset, Variable
from oauth_taskflow.schema.reading import read_as

# Fields whose places are filled. Texts for people and for matching stay as they are.
FILLED = (
    "token_url",
    "authorize_url",
    "device_url",
    "introspect_url",
    "base_url",
    "assertion_audience",
    "params",
    "token_headers",
    "default_scopes",
    "api_headers",
    "api_params",
    "jwt_claims",
    "jwt_headers",
    "request",
    "revoke",
)
_PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")


class BadVariable(Exception):
    """A key that the preset needs is missing or does not fit; ``name`` is the key.

    The text begins with the provider's title, and goes on as a sentence.
    """

    def __init__(self, name: str, what: str, hint: str) -> None:
        super().__init__(what)
        self.name = name
        self.hint = hint


def fill(preset: Preset, given: Mapping[str, str]) -> Preset:
    """``preset`` with the values ``given``, checked, and defaults for the others.

    Raises:
        BadVariable: a value is missing or does not fit.
    """
    values = {**given}
    for name, variable in preset.variables.items():
        values[name] = _value(name, variable, given.get(name))
    plain = {
        name: _fill_places(msgspec.to_builtins(getattr(preset, name)), values) for name in FILLED
    }
    fields = {name: getattr(preset, name) for name in preset.__struct_fields__}
    return read_as(Preset, {**msgspec.to_builtins(fields), **plain})


def wrong_variables(preset: Preset, given: Mapping[str, str]) -> list[BadVariable]:
    """What ``fill`` would refuse among the values ``given``, one for each key at fault."""
    found: list[BadVariable] = []
    for name, variable in preset.variables.items():
        try:
            _value(name, variable, given.get(name))
        except BadVariable as problem:  # noqa: PERF203 - a handful of keys
            found.append(problem)
    return found


def _value(name: str, variable: Variable, given: str | None) -> str:
    value = variable.default if given is None else given
    if value is None:
        sample = json.dumps({name: variable.example}, ensure_ascii=False)
        raise BadVariable(name, f"needs key {name!r} in extra, e.g. {sample}", _describe(variable))
    if variable.values and value not in variable.values:
        raise BadVariable(
            name, f"does not know this value of {name!r}", f"Use {', '.join(variable.values)}."
        )
    # The whole value, line breaks included: it becomes part of a URL or header.
    if not variable.values and value != variable.default and not _fits(variable, value):
        hint = f"{_describe(variable)} Write it as in {variable.example}."
        raise BadVariable(name, f"takes another form of {name!r}", hint)
    return value


def _fits(variable: Variable, value: str) -> bool:
    return value.isprintable() and re.search(variable.pattern, value) is not None


def _describe(variable: Variable) -> str:
    return variable.description.rstrip(".") + "."


def _fill_places(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _PLACE.sub(lambda place: values.get(place[1], place[0]), value)
    if isinstance(value, dict):
        filled = {name: _fill_places(item, values) for name, item in value.items()}
        # A place with nothing to fill it takes its parameter or header along.
        return {name: item for name, item in filled.items() if item != "" or value[name] == ""}
    if isinstance(value, list | tuple):
        return [_fill_places(item, values) for item in value]
    return value
