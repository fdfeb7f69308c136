"""How names are written: ``snake_case`` and ``lower_case``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

_LOWER_UPPER = re.compile(r"(?<=[^\W_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])(?![A-Z]s(?![a-z]))")
_OTHERS = re.compile(r"[\W_]+")


@lru_cache(maxsize=16_384)
def write_snake_case(name: str) -> str:
    """Returns ``name`` in lower case with underscores between its words; ``HTTPServerID`` is ``http_server_id``.

    Underscores in front stay, digits stay with the word before. A name without letters and digits stays as it is. Applied
    twice, it gives the same.
    """
    written = _write_once(name)
    # A few characters become several in lower case, some of them no letters.
    for _ in range(4):
        again = _write_once(written)
        if again == written:
            break
        written = again
    return written


def _write_once(name: str) -> str:
    words = _OTHERS.sub("_", _LOWER_UPPER.sub("_", name))
    bare = words.strip("_").lower()
    if not bare:
        return name
    front = len(name) - len(name.lstrip("_"))
    return f"{'_' * front}{bare}"


CONVENTIONS: Mapping[str, Callable[[str], str]] = {
    "snake_case": write_snake_case,
    "lower_case": str.lower,
}
"""How a name is written, by the value of ``names``."""
