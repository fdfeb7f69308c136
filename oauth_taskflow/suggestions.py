"""Hints for misspelled names: "Did you mean 'x'?"."""

from __future__ import annotations

from collections.abc import Iterable

# Longer words are not typing errors, and the time to compare them grows with the square of their length.
_LONGEST_WORD = 100
# Each comparison costs microseconds. In a longer list, only names with the same first letter are compared.
_MOST_COMPARED = 300


def find_closest(word: str, names: Iterable[str], *, cutoff: float = 0.6) -> str:
    """The one of ``names`` that is most like ``word``; empty when none reaches ``cutoff``, which is 0.6 or more."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a misspelled name needs it

    close = get_close_matches(word, _comparable(word, list(names)), n=1, cutoff=cutoff)
    return close[0] if close else ""


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """A question that offers the one of ``names`` that is most like ``word``; empty when none is."""
    return offer_name(find_closest(word, names))


def offer_name(name: str) -> str:
    """The question that offers ``name``; empty when ``name`` is."""
    return f"Did you mean {name!r}?" if name else ""


def suggest_allowed(word: object, allowed: Iterable[str]) -> str:
    """A hint for a ``word`` that is not in ``allowed``: the nearest name, and all of them when they are few."""
    names = list(allowed)
    hint = did_you_mean(str(word), names)
    few = 8 if hint else 30
    if not names or len(names) > few:
        return hint
    return f"{hint} Allowed: {', '.join(sorted(names))}.".strip()


def _comparable(word: str, names: list[str]) -> list[str]:
    """Those of ``names`` whose length allows 60 percent likeness, at most ``_MOST_COMPARED`` of them, sorted."""
    length = len(word)
    if length > _LONGEST_WORD:
        return []
    similar = [name for name in names if 3 * length <= 7 * len(name) <= 17 * length]
    if len(similar) > _MOST_COMPARED:
        similar = [name for name in similar if name[:1].lower() == word[:1].lower()]
    return sorted(similar)[:_MOST_COMPARED]
