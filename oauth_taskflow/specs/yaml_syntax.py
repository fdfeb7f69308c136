"""Explains broken YAML: what the parser says, with the usual cause, and where a quote was opened that nothing closes."""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml

# Messages of the parser with their usual causes; the first match wins.
_CAUSES = (
    (
        "mapping values are not allowed",
        'Look for a second ": " in this line, which needs quotes around the text, and for an indentation that differs '
        "from the line above.",
    ),
    (
        "block sequence entries are not allowed",
        "A list begins on the line below its key; within one line write [a, b].",
    ),
    (
        "(while parsing a flow",
        "A bracket or brace opened in this line or above is not closed, or a template between braces has no quotes.",
    ),
    (
        "quoted scalar",
        "Look for a quote that is not closed, and in double quotes for a single backslash.",
    ),
    ("unexpected end of stream", "Look for a quote, bracket or brace that is not closed."),
    (
        "expected ':'",
        "A key needs a colon and a blank behind it; text of several lines needs | or quotes.",
    ),
    ("'-' indicator", "The items of a list need the same indentation."),
    (
        "(while parsing a block mapping)",
        "Look for a line whose indentation differs from its neighbours, and for a quote inside quoted text.",
    ),
)
_USUAL_CAUSE = "Look at indentation, quotes, brackets and braces in this line and the one above."


class _Mark(NamedTuple):
    line: int
    column: int


def find_open_quote(text: str, begin: Any, end: Any) -> _Mark | None:
    """Where a quote was opened that only the next one, lines below, closed: the parser gives up there.

    Looked for from ``begin`` to the line before ``end``: quotes that are closed in their line come in pairs.
    """
    lines = text.splitlines()[begin.line : end.line] if begin and end else []
    for quote in ('"', "'"):
        odd = [
            index
            for index, line in enumerate(lines)
            if line.partition(" #")[0].count(quote) % 2 and _opens(line, quote)
        ]
        if len(odd) % 2:
            line = lines[odd[-1]]
            return _Mark(begin.line + odd[-1], max(line.rfind(quote), 0))
    return None


def _opens(line: str, quote: str) -> bool:
    """Whether a value in ``line`` begins with ``quote``: an apostrophe inside a word opens nothing."""
    return quote == '"' or any(
        f"{before}{quote}" in line for before in (": ", "[", "{", ", ", "- ")
    )


def one_line(text: str) -> str:
    """``text`` in one line of at most 200 characters."""
    return " ".join(text.split())[:200]


def syntax_message(error: yaml.MarkedYAMLError, *, tab: bool) -> tuple[str, str, str]:
    """Message, rule and hint for what the parser says; ``tab``: it stopped at one."""
    text = one_line(error.problem or "not readable as YAML")
    if tab:
        return "a tab is where YAML needs spaces", "yaml-syntax", "Indent with spaces."
    if "cannot start any token" in text:
        return text, "yaml-syntax", "Quote text that begins with a symbol."
    context = f" ({one_line(error.context)})" if error.context else ""
    return f"{text}{context}", "yaml-syntax", _what_to_look_at(f"{text}{context}")


def _what_to_look_at(message: str) -> str:
    """The usual cause of what YAML's parser says, which names the place where it gave up."""
    return next((hint for said, hint in _CAUSES if said in message), _USUAL_CAUSE)
