"""Finds the fields in the answer of a token endpoint, as its ``ResponseDialect`` says. No I/O."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeGuard

from oauth_taskflow.oauth.dialect import Expiry, ResponseDialect
from oauth_taskflow.oauth.endpoint import expiry
from oauth_taskflow.oauth.endpoint.json_objects import DECODER, find_objects
from oauth_taskflow.oauth.endpoint.response_body import ErrorBody, error_code, error_in, is_html
from oauth_taskflow.secret_values import Hidden, SecretValue

# So many refresh tokens that may be alive are kept next to the one in use.
MOST_ALTERNATES = 2
# Limits of the search for a refresh token that is not in its place.
_DEEPEST = 6
_MOST_NAMED = 8
_MOST_FIELDS = 10_000
# Name and whole text of a field of JSON.
_FIELD = re.compile(r'"([^"\\\s]{1,40})"\s*:\s*("(?:[^"\\]|\\.)*")')
_HALF_CHARACTER = re.compile(r"[\ud800-\udfff]")
_ERROR = re.compile(r'"error"\s*:')
_ACCESS_TOKEN = re.compile(r'(?i)"access_?token"\s*:\s*"')
_OWN_FIELDS = frozenset({"access_token", "refresh_token", "token_type", "scope"})


def find_value(path: str, body: Mapping[str, Any]) -> Any:
    """The value at the JMESPath ``path``; None when it is missing, or when the path does not fit the body."""
    import jmespath  # noqa: PLC0415 - only a request for a token needs it
    from jmespath.exceptions import JMESPathError  # noqa: PLC0415 - as above

    try:
        return jmespath.search(path, body)
    except (
        JMESPathError,
        TypeError,
    ):  # it met a value of another type than this server usually sends
        return None


class FoundRefreshTokens(SecretValue, frozen=True):
    """The refresh tokens in an answer, the likeliest first; ``place`` is where it was, if not where the connection says.

    An answer that holds several leaves open which of them lives: the others are tried after it.
    """

    values: Hidden[tuple[str, ...]] = ()
    place: str = ""

    @property
    def first(self) -> str | None:
        """The one to use."""
        return self.values[0] if self.values else None

    @property
    def others(self) -> tuple[str, ...]:
        """The ones to try after it, as many as a grant keeps."""
        return self.values[1 : 1 + MOST_ALTERNATES]


def refresh_tokens_in(
    body: Mapping[str, Any], text: str, dialect: ResponseDialect, sent: Collection[str] = ()
) -> FoundRefreshTokens:
    """The refresh token where ``dialect`` says, else what is named so anywhere in ``body``, which was read from ``text``.

    A path that is misspelled must not cost the grant: a rotated refresh token exists once. The one next to the access token
    is certain then. One of ``sent`` is the old one if there is another. A name that an object has twice hides a value.
    """
    named = dict(islice(_find_refresh_tokens(body, "", _DEEPEST), _MOST_NAMED))
    found = find_value(dialect.refresh_token, body)
    if is_refresh_token(found):
        hidden = [one for one in _named_in_text(text) if one not in named.values()]
        return FoundRefreshTokens(_drop_sent((found, *hidden), sent))
    values = _drop_sent(named.values(), sent)
    near = _container(dialect.access_token)
    places = {value: place for place, value in reversed(named.items()) if value in values}
    mates = [value for value, place in places.items() if _container(place) == near]
    values = tuple(mates) if len(mates) == 1 else values
    return FoundRefreshTokens(values, places[values[0]]) if values else FoundRefreshTokens()


def _container(path: str) -> str:
    return path.rpartition(".")[0]


def _drop_sent(values: Iterable[str], sent: Collection[str]) -> tuple[str, ...]:
    """The different ``values``, without those of ``sent`` if there are others."""
    different = tuple(dict.fromkeys(values))
    return tuple(one for one in different if one not in sent) or different


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


def refresh_tokens_in_text(
    text: str, dialect: ResponseDialect, sent: Collection[str] = ()
) -> FoundRefreshTokens:
    """The whole refresh tokens in ``text``, an answer that is not a JSON object; the last one first.

    They are looked for where ``dialect`` says in the objects in ``text``, and else by name. A web page must hold an access
    token too: it may be about tokens.
    """
    if _ERROR.search(text):  # no token is taken out of an error
        return FoundRefreshTokens()
    if is_html(text) and not _ACCESS_TOKEN.search(text):
        return FoundRefreshTokens()
    placed = [find_value(dialect.refresh_token, one) for one in find_objects(text)]
    values = [one for one in placed if is_refresh_token(one)] or list(_named_in_text(text))
    return FoundRefreshTokens(_drop_sent(reversed(values), sent))


def _named_in_text(text: str) -> Iterator[str]:
    """The whole texts in ``text`` that are named refresh_token, however it is spelled."""
    for field in islice(_FIELD.finditer(text), _MOST_FIELDS):
        value = _unquote(field[2]) if _is_named_so(field[1]) else None
        if is_refresh_token(value):
            yield value


def _unquote(text: str) -> str | None:
    try:
        return str(DECODER.decode(text))
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


def describe_unsendable(path: str, body: Mapping[str, Any]) -> str:
    """The kind of the value at ``path`` where something other than a sendable token is; empty where nothing is."""
    found = find_value(path, body)
    if isinstance(found, str) and found.strip():
        return "text that no header carries"
    return describe_unread(path, body)


def describe_unread(path: str, body: Mapping[str, Any]) -> str:
    """The kind of the value at ``path`` that is not text, in the words of JSON; empty for one that says that there is none."""
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
