"""Finds the fields in the answer of a token endpoint, as its ``ResponseDialect`` says. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, TypeGuard

import jmespath
from jmespath.exceptions import JMESPathError

from oauth_taskflow.oauth.dialect import Expiry, ResponseDialect
from oauth_taskflow.oauth.endpoint import expiry
from oauth_taskflow.oauth.endpoint.response_body import ErrorBody, error_code, error_in, is_html

# Limits of the search for a refresh token that is not in its place.
_DEEPEST = 6
_MOST_NAMED = 8
# Name and whole text of a field of JSON.
_FIELD = re.compile(r'"([^"\\\s]{1,40})"\s*:\s*("(?:[^"\\]|\\.)*")')
_HALF_CHARACTER = re.compile(r"[\ud800-\udfff]")
_ERROR = re.compile(r'"error"\s*:')
_OWN_FIELDS = frozenset({"access_token", "refresh_token", "token_type", "scope"})


def find_value(path: str, body: Mapping[str, Any]) -> Any:
    """The value at the JMESPath ``path``; None when it is missing, or when the path does not fit the body."""
    try:
        return jmespath.search(path, body)
    except (
        JMESPathError,
        TypeError,
    ):  # it met a value of another type than this server usually sends
        return None


def refresh_token_in(body: Mapping[str, Any], path: str) -> tuple[str | None, str]:
    """The refresh token at ``path``, else the only one that is named so anywhere, and where it was; None without one.

    A path that is misspelled must not cost the grant: a rotated refresh token exists once.
    """
    found = find_value(path, body)
    if is_refresh_token(found):
        return found, ""
    named = dict(islice(_find_refresh_tokens(body, "", _DEEPEST), _MOST_NAMED))
    if len(set(named.values())) != 1:
        return None, ""
    place, value = next(iter(named.items()))
    return value, place


def _find_refresh_tokens(value: Any, place: str, depth: int) -> Iterator[tuple[str, str]]:
    """Path and text of everything below ``value`` that is named refresh_token, however it is spelled."""
    if isinstance(value, list):
        items = [(f"{place}[{number}]", "", item) for number, item in enumerate(value)]
    elif isinstance(value, dict):
        items = [(f"{place}.{name}".lstrip("."), str(name), item) for name, item in value.items()]
    else:
        return
    for where, name, item in items:
        if _is_named_so(name) and is_refresh_token(item):
            yield where, item
        elif depth:
            yield from _find_refresh_tokens(item, where, depth - 1)


def _is_named_so(name: str) -> bool:
    return re.sub(r"[^a-z]", "", name.lower()) == "refreshtoken"


def refresh_token_in_text(raw: bytes) -> str | None:
    """The only whole text that is named refresh_token in ``raw``, a body that is cut off or not a JSON object; None without one."""
    if is_html(raw):
        return None
    text = raw.decode("utf-8-sig", errors="replace")
    if _ERROR.search(text):  # no token is taken out of an error
        return None
    named = {_unquote(value) for name, value in _FIELD.findall(text) if _is_named_so(name)}
    found = named.pop() if len(named) == 1 else None
    return found if is_refresh_token(found) else None


def _unquote(text: str) -> str | None:
    try:
        return str(json.loads(text))
    except ValueError:
        return None


def is_sendable(value: object) -> TypeGuard[str]:
    """Whether ``value`` is text that fits into a header or dialect: visible ASCII, not blank."""
    return is_refresh_token(value) and value.isascii() and value.isprintable()


def is_refresh_token(value: object) -> TypeGuard[str]:
    """Whether ``value`` is text that can be sent in a form, unchanged: all but blanks, and halves of a character.

    No header carries a refresh token. One with a line break at its end, as encoders of base64 write it, is as good.
    """
    return isinstance(value, str) and bool(value.strip()) and not _HALF_CHARACTER.search(value)


def describe_unread(path: str, body: Mapping[str, Any]) -> str:
    """What stands at ``path`` in place of a text, in the words of JSON; empty for what says that there is none."""
    found = find_value(path, body)
    kinds = ((bool, ""), (dict, "an object"), (list, "an array"), (int | float, "a number"))
    return next((words for kind, words in kinds if found and isinstance(found, kind)), "")


def problem_in(body: Mapping[str, Any], dialect: ResponseDialect) -> ErrorBody | None:
    """The error that ``body`` reports, with any status; None when it reports none."""
    if dialect.success is None:
        problem = error_in(body)
    elif find_value(dialect.success, body):
        return None
    else:
        problem = error_in(body) or ErrorBody(error_code(None))
    if dialect.error is not None and (code := find_value(dialect.error, body)) not in (None, ""):
        problem = ErrorBody(error_code(code), problem.description if problem else "")
    if problem is None:
        return None
    text = find_value(dialect.error_description, body) if dialect.error_description else None
    return ErrorBody(
        dialect.errors.get(problem.code, problem.code),
        text if isinstance(text, str) else problem.description,
    )


def find_expiry(
    body: Mapping[str, Any],
    access_token: str,
    rule: Expiry,
    *,
    sent_at: float,
    skew: float,
) -> float | None:
    """When the token expires, on our clock, by ``rule``; None when it does not, or when nothing says so."""
    lasting = rule.lifetime_s
    if rule.source in {"auto", "introspection"}:
        # With introspection, the usual lifetime applies only if the introspection endpoint names none either.
        usual = lasting if rule.source == "auto" else None
        named = (
            expiry.find_end(find_value(rule.path, body), now=sent_at, skew=skew)
            if rule.path
            else None
        )
        return named or expiry.standard_expiry(
            body, access_token, sent_at=sent_at, skew=skew, default=usual
        )
    if rule.source == "expires_in":
        seconds = expiry.number(find_value(rule.path or "expires_in", body))
        if seconds == 0:
            return None
        found = expiry.lifetime(seconds and seconds / (1000 if rule.unit == "ms" else 1))
        return _after(sent_at, found if found is not None else lasting)
    if rule.source == "fixed":
        return _after(sent_at, lasting)
    instant = (
        expiry.jwt_expiry(access_token)
        if rule.source == "jwt"
        else expiry.instant(find_value(rule.path or "expires_at", body))
    )
    if instant is not None and instant - skew > sent_at:
        return instant - skew
    return _after(sent_at, lasting)


def _after(sent_at: float, seconds: float | None) -> float | None:
    return None if seconds is None else sent_at + seconds


def extras(body: Mapping[str, Any], tokens: tuple[str | None, ...]) -> dict[str, Any]:
    """The other fields of ``body`` than the token itself; copies of one of ``tokens`` in them are left out."""
    return {
        name: _remove_tokens(value, tokens)
        for name, value in body.items()
        if name not in _OWN_FIELDS and not _is_one(value, tokens)
    }


def _remove_tokens(value: Any, tokens: tuple[str | None, ...]) -> Any:
    if isinstance(value, dict):
        return extras(value, tokens)
    if isinstance(value, list):
        return [_remove_tokens(item, tokens) for item in value if not _is_one(item, tokens)]
    return value


def _is_one(value: Any, tokens: tuple[str | None, ...]) -> bool:
    return isinstance(value, str) and value in tokens
