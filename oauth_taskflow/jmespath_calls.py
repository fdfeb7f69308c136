"""Finds the parts of a JMESPath that fail for every value, which JMESPath itself notices only when it meets them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from oauth_taskflow.suggestions import find_closest, offer_name

_REFERENCE = "expref"
_KINDS = {
    "NoneType": "null",
    "bool": "boolean",
    "int": "number",
    "float": "number",
    "str": "string",
    "list": "array",
    "dict": "object",
}


class PathFlaw(Struct, frozen=True):
    """Why a JMESPath fails whatever it is given, and what to do."""

    reason: str
    hint: str


def find_path_flaw(node: Mapping[str, Any]) -> PathFlaw | None:
    """Returns the first flaw of the parsed JMESPath ``node``: a wrong call, ``&`` outside one, or a slice without a step.

    Values are unknown, so only the names of functions, the number of their arguments and constants are judged.
    """
    children = node["children"]
    if node["type"] == "slice":
        return _find_slice_flaw(children)
    if node["type"] == "function_expression":
        flaw = _find_call_flaw(node["value"], children)
        if flaw is not None:
            return flaw
        # A call has judged the & of its own arguments.
        children = [
            argument["children"][0] if argument["type"] == _REFERENCE else argument
            for argument in children
        ]
    elif node["type"] == _REFERENCE:
        return PathFlaw("& is not before an argument of a function", "Remove it.")
    return next(filter(None, map(find_path_flaw, children)), None)


def _find_slice_flaw(bounds: list[int | None]) -> PathFlaw | None:
    return PathFlaw("the step of a slice is 0", "Write another step.") if bounds[2] == 0 else None


def _find_call_flaw(name: str, arguments: list[Mapping[str, Any]]) -> PathFlaw | None:
    from jmespath.functions import Functions  # noqa: PLC0415  # most paths are plain and need no library

    table = Functions.FUNCTION_TABLE
    if name not in table:
        meant = find_closest(name, table, cutoff=0.75)
        hint = offer_name(meant) or f"JMESPath has {', '.join(sorted(table))}."
        return PathFlaw(f"there is no function {name}()", hint)
    signature = table[name]["signature"]
    least, given = len(signature), len(arguments)
    is_open = bool(signature[-1].get("variadic"))
    if given < least or (given > least and not is_open):
        few = "at least " if is_open else ""
        wanted = f"{few}{least} argument{'s' * (least != 1)}"
        return PathFlaw(f"{name}() takes {wanted}, not {given}", "See jmespath.org/specification.")
    for place, argument in enumerate(arguments):
        kinds = signature[min(place, least - 1)]["types"]
        flaw = _find_argument_flaw(f"argument {place + 1} of {name}()", argument, kinds)
        if flaw is not None:
            return flaw
    return None


def _find_argument_flaw(
    shown: str, argument: Mapping[str, Any], kinds: list[str]
) -> PathFlaw | None:
    is_reference = argument["type"] == _REFERENCE
    if _REFERENCE in kinds:
        hint = "Write & before it, as in sort_by(items, &id) and map(&id, items)."
        return None if is_reference else PathFlaw(f"{shown} needs &", hint)
    if is_reference:
        return PathFlaw(f"{shown} has &, but takes a value", "Remove the &, or swap the arguments.")
    if argument["type"] != "literal" or not kinds:
        return None
    found = _KINDS[type(argument["value"]).__name__]
    allowed = dict.fromkeys(kind.partition("-")[0] for kind in kinds)
    if found in allowed:
        return None
    return PathFlaw(f"{shown} is {found}, not {' or '.join(allowed)}", "Correct the argument.")
