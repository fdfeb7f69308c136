"""Facts about a JSON text without parsing it: its nesting depth, and whether its end is missing."""

from __future__ import annotations

import json
import re
from itertools import islice

_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))
_OTHERS_BUT_QUOTES = bytes(set(range(256)) - set(b'[]{}"'))
# Every escape: a surrogate pair, half of one, or the first two characters of any other.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}(?:\\u[dD][c-fC-F][0-9a-fA-F]{2})?|u[dD][c-fC-F][0-9a-fA-F]{2}|.)",
    re.DOTALL,
)
_LONE = len(rb"\ud83d")


def check_depth(content: bytes, most: int) -> None:
    """Check that ``content`` is nested at most ``most`` deep.

    Brackets inside texts may let a slightly deeper document pass; the parser then raises the same error.

    Raises:
        RecursionError: it is nested deeper.
    """
    # Texts seldom contain unbalanced brackets, and counting all brackets costs a tenth of skipping texts.
    if _depth(content.translate(_ONE_KIND, _OTHERS), most) <= most:
        return
    if _depth(_outside_texts(content)[0], most) > most:
        raise RecursionError(f"nested more than {most} deep")


def is_cut_off(content: bytes) -> bool:
    """Whether ``content`` begins as a JSON list or object and its end is missing."""
    if not content.lstrip().startswith((b"[", b"{")):
        return False
    brackets, in_text = _outside_texts(content)
    return in_text or brackets.count(b"[") > brackets.count(b"]")


def replace_half_characters(content: bytes) -> bytes:
    """``content`` with U+FFFD for each lone half of a surrogate pair, which APIs write when they cut a text in an emoji.

    RFC 8259 §8.2 allows such escapes, but no UTF-8 text can contain them.
    """
    return _ESCAPE.sub(lambda escape: b"\\ufffd" if len(escape[0]) == _LONE else escape[0], content)


def reads_loosely(content: bytes) -> bool:
    """Whether ``content`` is complete but contains NaN, Infinity or control characters, and so will be the same again."""
    try:
        json.loads(content, strict=False, object_pairs_hook=lambda _: None)
    except (ValueError, RecursionError):
        return False
    return True


def holds_lines(content: bytes) -> bool:
    """Whether ``content`` is JSON Lines: its first two lines are an object or list each."""
    lines = filter(None, (line.strip() for line in content.split(b"\n", 64)))
    first = list(islice(lines, 2))
    return len(first) > 1 and all(map(_is_container, first))


def _is_container(line: bytes) -> bool:
    try:
        return line.startswith((b"{", b"[")) and json.loads(line) is not None
    except (ValueError, RecursionError):
        return False


def _outside_texts(content: bytes) -> tuple[bytes, bool]:
    """The brackets of ``content`` outside texts, all of one kind; and whether a text is open at the end."""
    if b"\\" in content:
        content = content.replace(b"\\\\", b"").replace(b'\\"', b"")
    parts = content.translate(_ONE_KIND, _OTHERS_BUT_QUOTES).replace(b'""', b"").split(b'"')
    return b"".join(parts[::2]), len(parts) % 2 == 0


def _depth(brackets: bytes, most: int) -> int:
    """The largest depth of ``brackets``; each round removes the innermost pairs."""
    depth = 0
    while (rest := brackets.count(b"[")) and depth + rest > most:
        outer = brackets.replace(b"[]", b"")
        if depth > most or len(outer) == len(brackets):
            return depth + rest
        brackets, depth = outer, depth + 1
    return depth + rest
