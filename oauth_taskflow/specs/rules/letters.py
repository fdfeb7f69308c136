"""Rules about letters that look like others to a person but not to the API."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.registry import PROSE_KEYS, Findings, SpecView, spec_rule

_INVISIBLE = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
_BLANKS = "\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# Cyrillic, Greek and Armenian letters that no font draws otherwise than a Latin one, and full-width forms.
_ALIKE = (
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03b1\u03b9\u03bd\u03bf\u03c1\u03c5"
    "\u0405\u0406\u0408\u0410\u0412\u0415\u041a\u041c-\u041e\u0420-\u0423\u0425\u0430\u0435\u043a\u043c\u043e\u0440\u0441\u0443\u0445"
    "\u0455\u0456\u0458\u04bb\u04cf\u0501\u051b\u051d\u0578\uff01-\uff5e"
)
_SUSPECT = re.compile(f"[{_INVISIBLE}{_BLANKS}{_ALIKE}]")
_BESIDE_ASCII = re.compile(f"(?<=[ -~])[{_INVISIBLE}{_BLANKS}]|[{_INVISIBLE}{_BLANKS}](?=[ -~])")
_MIXED = re.compile(f"(?<=[A-Za-z])[{_ALIKE}]|[{_ALIKE}](?=[A-Za-z])")


@spec_rule("look-alike-letter")
def look_alike_letter(view: SpecView) -> Findings:
    r"""A Latin word contains a letter of another alphabet or an invisible character. The API treats it as a different word.

    Texts for people (`description`, `doc_md`, `message`) may hold what they like; whole words of any language are fine
    everywhere.

    Bad: `params: {\u0441ountry: de}` (U+0441 is a Cyrillic letter), a no-break space copied from a web page

    Good: `params: {country: de}`, `params: {name: Zürich}`
    """
    if _SUSPECT.search(view.text) is None and "\\" not in view.text:
        return
    for path, text, is_key in _texts(view.raw, ()):
        found = _BESIDE_ASCII.search(text) or _MIXED.search(text)
        if found is not None:
            name = unicodedata.name(found[0], "a control character")
            message = f"it holds U+{ord(found[0]):04X} ({name})"
            hint = "Type it again with plain letters and blanks."
            yield Finding(path, message, hint, at_key=is_key)


def _texts(value: Any, path: YamlPath) -> Iterator[tuple[YamlPath, str, bool]]:
    """Every key and text below ``value`` that is not for people, its path, and whether it is a key."""
    if isinstance(value, str):
        yield path, value, False
    elif isinstance(value, dict):
        for key, child in value.items():
            yield (*path, key), key, True
            # Texts for people may hold any language, and blanks that keep words together.
            if key not in PROSE_KEYS:
                yield from _texts(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _texts(child, (*path, index))
