"""Rules about secrets: they belong into the Airflow connection, never into a spec."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.credentials import credential_kind, is_basic_credential, long_words
from oauth_taskflow.specs.rules.registry import (
    FIRST_RUN,
    PROSE_KEYS,
    EndpointView,
    Findings,
    SpecView,
    spec_rule,
)
from oauth_taskflow.specs.secret_names import NAMED_VALUES, names_secret
from oauth_taskflow.templates.references import template_texts

_SCHEME = re.compile(r"(?i)\b(bearer|basic|token|apikey)\s{1,20}([A-Za-z0-9._~+/=:-]{8,4096})")
# All quantifiers have bounds: a long text of nearly such words must not take quadratic time.
_USERINFO = re.compile(
    r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}://[^/\s:@{}]{1,200}:[^/\s@{}]{1,200}@"
)
_LONG_LEAST = 32
_LONG = re.compile(rf"[A-Za-z0-9+/_=-]{{{_LONG_LEAST},}}")
_CREDENTIAL_WORDS = ("bearer ", "basic ", "token ", "apikey ")
_UUID = re.compile(r"(?i)\A[0-9a-f]{12}[1-8][0-9a-f]{3}[89ab][0-9a-f]{15}\Z")
_QUERY_LITERAL = re.compile(r"[?&]([^=&?]{1,200})=(?=[^&{])")
_ID_NAME = re.compile(r"(^|[a-z_-])I[Dd]s?$|(^|[_-])ids?$")
_MIN_ENTROPY = 4.0
# The words in the name of a program, as in "PageviewsConnector2". A search for them takes linear time.
_WORD = re.compile(r"[A-Z]?[a-z]{2,}\d{0,2}|[A-Z]{2,}(?![a-z])|[-_]")
_VERSION = re.compile(r"[vV]?\d{1,4}\Z")
_HINT = "Keep it in the Airflow connection; the session adds it to each request."
_WITH_PATHS = ("path", "base_url", "url")
_WORDS = frozenset({"true", "false", "none", "null"})


@spec_rule("secret-literal")
def secret_literal(view: SpecView) -> Findings:
    """A secret in a spec ends up in version control, in Airflow's UI and in every copy of the file.

    The rule finds values under names like `api_key` or `Authorization`, `Bearer ...`, and credentials in the forms of known
    providers. It also finds private keys, JSON Web Tokens, passwords in URLs, and long random-looking text. IDs of resources
    are not secrets: UUIDs, segments of a path, and values under names that end in `id`.

    Bad: `headers: {Authorization: Bearer eyJhbGciOi...}`

    Good: no such header; `connection: crm` holds the credentials
    """
    reported: set[YamlPath] = set()
    if _has_signs(view.text):
        for path, text in template_texts(view.raw, ()):
            reason = _reason(path, text)
            if reason:
                reported.add(path)
                yield Finding(path, reason, _HINT)
    for path in _values_by_name(view):
        if path not in reported:
            message = f"{_last_name(path)!r} holds a literal that looks like a secret"
            yield Finding(path, message, _HINT)


def _has_signs(text: str) -> bool:
    """Whether a closer look can find anything: cheap, and right for nearly all specs."""
    low = text.lower()
    urls = "://" in text and "@" in text
    words = any(word in low for word in _CREDENTIAL_WORDS)
    long = _LONG.search(long_words(text, _LONG_LEAST)) is not None
    return urls or words or long or bool(credential_kind(text))


def _reason(path: YamlPath, text: str) -> str:
    kind = credential_kind(text)
    if kind:
        return f"the value looks like {kind}"
    if _USERINFO.search(text):
        return "the URL holds a password"
    if path[-1] in PROSE_KEYS:
        return ""
    if any(_is_credential(match, text) for match in _SCHEME.finditer(text)):
        return "the value holds a literal credential"
    if any(_is_random(match[0]) for match in _LONG.finditer(_drop_ids(path, text))):
        return "the value looks like a key or token"
    return ""


def _is_credential(match: re.Match[str], text: str) -> bool:
    """Whether the word after ``Basic`` or ``Bearer`` is one: a user agent may say "Basic integration"."""
    scheme, value = match[1].lower(), match[2]
    if scheme == "basic":
        return is_basic_credential(value)
    alone = match.start() == 0 and match.end() == len(text.strip())
    return (scheme == "bearer" and alone) or (any(c.isdigit() for c in value) and "/" not in value)


def _drop_ids(path: YamlPath, text: str) -> str:
    """Remove the IDs of resources from ``text``: the segments of a path, and values whose name ends in ID."""
    if path[-2:-1] == ("request",) and path[-1] in _WITH_PATHS:
        return text.partition("?")[2]
    return "" if _ID_NAME.search(_last_name(path)) else text


def _values_by_name(view: SpecView) -> Iterator[YamlPath]:
    """Return the paths of literal texts under names that usually hold secrets, chosen by the API or the author."""
    parts: list[tuple[YamlPath, Any]] = [(("params",), view.raw.get("params"))]
    requests: list[tuple[YamlPath, EndpointView]] = [
        ((each.name, "request"), each) for each in view.endpoints
    ]
    requests += [
        ((each.name, *FIRST_RUN, "request"), each.first_run)
        for each in view.endpoints
        if each.first_run is not None
    ]
    for below, endpoint in requests:
        request = endpoint.raw.get("request", {})
        at = ("endpoints", *below)
        parts += [((*at, name), request.get(name)) for name in NAMED_VALUES]
        for key in _WITH_PATHS:
            names = _QUERY_LITERAL.findall(request.get(key) or "")
            if any(map(names_secret, names)):
                yield (*at, key)
    for prefix, value in parts:
        if not isinstance(value, dict) or not value:
            continue
        for path, text in template_texts(value, prefix):
            literal = text.lower() not in _WORDS and text and "{{" not in text
            if literal and path != prefix and names_secret(_last_name(path)):
                yield path


def _last_name(path: YamlPath) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def _is_random(text: str) -> bool:
    """Whether ``text`` mixes letters and digits as keys do: more than words, dates or paths."""
    if not any(c.isdigit() for c in text) or not any(c.isalpha() for c in text):
        return False
    if _UUID.match(text) or _is_product(text):
        return False
    if text.count("/") > 1 or text.count("_") + text.count("-") > len(text) // 8:
        return False
    counts = Counter(text)
    entropy = -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())
    hexadecimal = all(c in "0123456789abcdefABCDEF" for c in text)
    return entropy >= (3.0 if hexadecimal else _MIN_ENTROPY)


def _is_product(text: str) -> bool:
    """Whether ``text`` is the name and version of a program (RFC 9110 §10.1.5): keys do not consist of words."""
    name, _, version = text.partition("/")
    return _VERSION.match(version) is not None and not _WORD.sub("", name)
