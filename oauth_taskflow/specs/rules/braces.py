"""Rules about lost braces: a template without its braces would be sent as plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

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
    texts = [(path, text) for path, text in _texts(view) if _has_stray_braces(text)]
    if not texts:
        return
    names = RESERVED_NAMES.union(view.endpoint.for_each)
    pattern = _pattern(names if view.endpoint.fields is None else names | FIELD_NAMES)
    for path, text in texts:
        shown = _find_lost(text, pattern)
        # In a path another rule asks for the value of each {name}.
        if shown and (path != ("request", "path") or f"{{{shown}}}" not in _literal(text)):
            message = f"the braces around {shown!r} make no template"
            yield Finding(path, message, _HINT.format(shown=f'"{{{{ {shown} }}}}"'))


def _texts(view: EndpointView) -> Iterator[tuple[YamlPath, str]]:
    yield from view.request_texts
    if view.endpoint.fields is not None:
        yield from template_texts(view.endpoint.fields.set, ("fields", "set"))
    yield from view.destination_texts


def _has_stray_braces(text: str) -> bool:
    if "{" not in text and "}" not in text:
        return False
    literal = _literal(text)
    return "{" in literal or "}" in literal


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
