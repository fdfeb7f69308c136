"""Rules about comparisons in JMESPath expressions that can be read, and mean something else than they look like."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

from oauth_taskflow.jmespath_flaws import LONGEST_PATH
from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.queries import list_expressions
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule

_COMPARES = re.compile("[=!]=")
_EQUALS = frozenset({"eq", "ne"})
# An absent field is null, so that ``== null`` means what it says.
_CONSTANTS = frozenset({"true", "false"})
# Behind a name they lead on from it to something else.
_LEADS_ON = frozenset({"dot", "lbracket", "lbrace", "flatten", "filter", "lparen"})


@endpoint_rule("name-in-comparison", "warning")
def name_in_comparison(view: EndpointView) -> Findings:
    """JMESPath reads `"open"` and `true` as names of fields: texts stand in single quotes, constants in backticks.

    Mostly no record has such a field, and none or every record passes.

    Bad: `where: 'status == "open"'`, `where: is_open == true`

    Good: `where: "status == 'open'"`, ``where: is_open == `true` ``
    """
    for path, expression in list_expressions(view):
        if _COMPARES.search(expression) is None or len(expression) > LONGEST_PATH:
            continue
        tokens = _read_tokens(expression)
        for compares, right, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
            is_last = compares["type"] in _EQUALS and after["type"] not in _LEADS_ON
            if is_last and (hint := _find_hint(right)):
                message = f"{right['value']!r} is the name of a field in this comparison"
                yield Finding(path, message, hint)


def _read_tokens(expression: str) -> Sequence[Any]:
    from jmespath.exceptions import JMESPathError  # noqa: PLC0415  # most specs compare nothing
    from jmespath.lexer import Lexer  # noqa: PLC0415  # as above

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return list(Lexer().tokenize(expression))
    except (JMESPathError, ValueError):  # another rule's
        return ()


def _find_hint(right: Any) -> str:
    kind, name = right["type"], right["value"]
    if kind == "quoted_identifier":
        return f"Write a text in single quotes: '{name}'."
    if kind == "unquoted_identifier" and name in _CONSTANTS:
        return f"Write it in backticks: `{name}`."
    return ""
