"""Rules about lost braces: a template without its braces would be sent as plain text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule
from oauth_taskflow.specs.template_names import FIELD_NAMES, RESERVED_NAMES, WHOLE_TEMPLATE
from oauth_taskflow.templates.references import parse_template, template_texts

# One brace too many, right behind or before a whole template.
_ONE_TOO_MANY = re.compile(
    r"\{\{-?\s{0,9}([^{}]{1,200}?)\s{0,9}-?\}\}\}(?!\})|(?<!\{)\{\s{0,9}\{\{\s{0,9}([^{}]{1,200}?)\s{0,9}\}\}"
)
_HINT = "A template has two braces on each side, inside quotes: {shown}."


@endpoint_rule("lost-brace")
def lost_brace(view: EndpointView) -> Findings:
    """A known name is in braces that do not make a template, so the text would be sent as it is.

    GraphQL and JSON use braces themselves. There the rule looks only at names with a dot, which those languages lack.

    Bad: `since: "{ window.start }"`, `day: "{{ ds }}}"`, `day: "{ ds }}"`, `day: {ds}`

    Good: `since: "{{ window.start }}"`, `query: "{ viewer { login }}"`
    """
    names = RESERVED_NAMES.union(view.endpoint.for_each)
    parts: list[tuple[YamlPath, Any]] = [(("request",), view.raw.get("request"))]
    if view.endpoint.fields is not None:
        names = names | FIELD_NAMES
        parts.append((("fields", "set"), view.endpoint.fields.set))
    parts += view.destination_texts
    pattern = _pattern(names)
    for prefix, value in parts:
        for path, text in template_texts(value, prefix):
            shown = _find_lost(text, pattern) if "{" in text or "}" in text else ""
            # In a path another rule asks for the value of each {name}.
            if shown and (path != ("request", "path") or f"{{{shown}}}" not in _literal(text)):
                message = f"the braces around {shown!r} make no template"
                yield Finding(path, message, _HINT.format(shown=f'"{{{{ {shown} }}}}"'))


@lru_cache(maxsize=64)
def _pattern(names: frozenset[str]) -> re.Pattern[str]:
    words = "|".join(sorted(re.escape(name) for name in names))
    tail = r"(?:\.\w+|\[[^\]{}]{1,100}\])*(?:\s{0,9}\|[^{}]{1,200})?"
    look = rf"((?<![\w.])(?:{words}){tail})"
    return re.compile(
        rf"\{{\s{{0,9}}{look}\s{{0,9}}\}}{{1,2}}|\{{\s{{0,9}}{look}\s{{0,9}}$|^\s{{0,9}}{look}\s{{0,9}}\}}{{1,2}}"
    )


def _literal(text: str) -> str:
    return WHOLE_TEMPLATE.sub("", text)


def _find_lost(text: str, pattern: re.Pattern[str]) -> str:
    """Return the look-up in ``text`` that lost a brace, or an empty text."""
    literal = _literal(text)
    if ("{" not in literal and "}" not in literal) or parse_template(text).error:
        return ""
    found = pattern.search(literal)
    if found is not None:
        shown = next(filter(None, found.groups())).strip()
        return "" if shown.isidentifier() and _has_own_braces(literal, found) else shown
    if literal.count("{") == literal.count("}"):
        return ""
    near = _ONE_TOO_MANY.search(text)
    return next(filter(None, near.groups()), "") if near is not None else ""


def _has_own_braces(text: str, found: re.Match[str]) -> bool:
    """Whether the match is inside braces of GraphQL or JSON, or is itself a whole small query."""
    before, after = text[: found.start()], text[found.end() :]
    nested = before.count("{") > before.count("}") and after.count("}") > 0
    nested = nested or (before.count("{") > before.count("}") and found[0].endswith("}}"))
    named = re.search(r"\b(query|mutation|subscription|fragment)\b", before) is not None
    return nested or named
