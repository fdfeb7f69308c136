"""Finds the flaws of a JMESPath before it meets a value: that it cannot be read, and parts that fail for every value."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from functools import lru_cache
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
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\Z", re.ASCII)
# Compiling takes a second for each hundred thousand characters.
LONGEST_PATH = 10_000
_JSON_PATH = re.compile(r"\$(?:\.|\[|$)")
_QUOTED = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`""")
_OTHER_LANGUAGES = (
    (re.compile(r"(?<![=!<>])=(?!=)"), "Compare with ==."),
    (re.compile(r"(?i)\b(?:and|or|not)\b"), "Write && for and, || for or, ! for not."),
    (re.compile(r"[=<>]\s*-?\d"), "Numbers stand in backticks: `5`."),
)


class PathFlaw(Struct, frozen=True):
    """Why a JMESPath fails whatever it is given, and what to do."""

    reason: str
    hint: str


def find_flaw(expression: str) -> PathFlaw | None:
    """Returns why the JMESPath ``expression`` cannot be read, or fails for every value; None for a good one."""
    return None if _PLAIN.match(expression) else _find_flaw(expression)


@lru_cache(maxsize=4096)
def _find_flaw(expression: str) -> PathFlaw | None:
    import jmespath  # noqa: PLC0415  # most expressions are plain paths, which need no parser
    from jmespath.exceptions import JMESPathError  # noqa: PLC0415  # as above

    if len(expression) > LONGEST_PATH:
        reason = f"not a JMESPath: longer than {LONGEST_PATH} characters"
        return PathFlaw(reason, _find_hint(expression))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            flaw = find_path_flaw(jmespath.compile(expression).parsed)
        return flaw and PathFlaw(f"this JMESPath always fails: {flaw.reason}", flaw.hint)
    except PendingDeprecationWarning:
        reason = "backticks enclose JSON; write text as 'text'"
    except (JMESPathError, ValueError, RecursionError) as error:
        text = next(iter(str(error).splitlines()), "").partition(", for expression")[0]
        reason = text.rstrip(": ") or type(error).__name__
    return PathFlaw(f"not a JMESPath: {reason}", _find_hint(expression))


def _find_hint(expression: str) -> str:
    """The way to write what other query languages write like ``expression``."""
    if _JSON_PATH.match(expression):
        return f"JMESPath has no $ for the whole body: begin with a name, as in {expression.lstrip('$.') or '@'}."
    outside = _QUOTED.sub("''", expression)
    found = (hint for pattern, hint in _OTHER_LANGUAGES if pattern.search(outside))
    return next(found, "Quote names with other characters inside the text: '\"@type\"'.")


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
