"""Bytes of a token response as a mapping, and the error in it, whatever shape it has. No I/O."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from oauth_taskflow.oauth.endpoint.error_codes import UNNAMED

_MAX_FIELDS = 200
_NO_END = "Input data was truncated"
_CODE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,64}")  # RFC 6749 §5.2, without the space
_SPACE = " \t\r\n\0"
_OPAQUE = re.compile(r"[A-Za-z0-9._~+/=-]{24,}")
_TOKEN_LIKE = re.compile(r"[A-Za-z0-9._~+/=-]{16,}")
# A script that does not end takes the rest along, and no tag holds another: any page costs linear time.
_TAGS = re.compile(r"(?s)<(script|style)\b.*?(?:</\1\s*>|\Z)|<[^<>]*>")
# The fields in which servers with non-standard errors put the text for people; RFC 9457 has the last two.
_TEXTS = (
    "error_description",
    "message",
    "error_message",
    "errorMessage",
    "errorSummary",
    "errmsg",
    "msg",
    "detail",
    "title",
)
# Vendors' words for the codes that decide what happens next.
_ALIASES = {
    "bad_refresh_token": "invalid_grant",
    "invalid_refresh_token": "invalid_grant",
    "token_revoked": "invalid_grant",
    "incorrect_client_credentials": "invalid_client",
    "bad_client_secret": "invalid_client",
    "bad_client_id": "invalid_client",
}


class ErrorBody(Struct, frozen=True):
    """An error as the server worded it; ``code`` is normalised to RFC 6749 §5.2 where it has that meaning."""

    code: str
    description: str = ""


def parse_body(raw: bytes, content_type: str) -> dict[str, Any] | None:
    """The mapping in ``raw``, JSON or form-encoded; None without one."""
    text = decode(raw)
    if text.startswith("{"):
        return _json_object(text)
    if content_type == "application/x-www-form-urlencoded" or re.match(r"[\w.]+=", text):
        return _form(text)
    return None


def decode(raw: bytes) -> str:
    """The text of an answer, without blanks around it."""
    return raw.decode("utf-8-sig", errors="replace").strip(_SPACE)


def _json_object(text: str) -> dict[str, Any] | None:
    """The object in ``text``, also if it was written twice or more: no copy says anything else."""
    found, rest = _first_object(text)
    while found is not None and rest:
        copy, rest = _first_object(rest)
        if copy != found:
            return None
    return found


def _first_object(text: str) -> tuple[dict[str, Any] | None, str]:
    """The object that ``text`` begins with, None without one, and what is behind it."""
    try:
        found, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return None, ""
    return (found if isinstance(found, dict) else None), text[end:].strip(_SPACE)


def _no_value(_name: str) -> None:
    """None for NaN and Infinity: they are not JSON (RFC 8259 §6), but must not cost the refresh token next to them."""


# Control characters in a text are not JSON either.
_DECODER = json.JSONDecoder(parse_constant=_no_value, strict=False)


def _form(text: str) -> dict[str, Any] | None:
    try:
        pairs = parse_qsl(text, max_num_fields=_MAX_FIELDS)
    except ValueError:
        return None
    return dict(reversed(pairs)) or None


def error_in(body: Mapping[str, Any]) -> ErrorBody | None:
    """The error that ``body`` reports, with any status; None when it reports none."""
    error = body.get("error")
    failed = body.get("ok") is False
    if isinstance(error, dict) and error:  # Graph-style: {"error": {"code": …, "message": …}}
        return ErrorBody(
            error_code(error.get("type") or error.get("code")), _text(error.get("message"))
        )
    if error or failed:
        return ErrorBody(
            error_code(error), _text(body.get("error_description") or body.get("message"))
        )
    status = body.get("status")
    if isinstance(status, str) and status.lower() in _ALIASES and "access_token" not in body:
        return ErrorBody(error_code(status), _text(body.get("message")))
    return None


def describe_refusal(raw: bytes, body: Mapping[str, Any] | None) -> str:
    """The text of a refusal that uses other fields than the standard's, without anything that may be a token."""
    if body is None:
        return describe_shape(raw, body) if is_html(raw) else ""
    errors = body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    inner = first if isinstance(first, dict) else {"message": first}
    texts = (_text(place.get(name)) for place in (body, inner) for name in _TEXTS)
    return _OPAQUE.sub("***", next(filter(None, texts), ""))


def error_code(value: object) -> str:
    """``value`` as an error code, in words of RFC 6749 §5.2 where it is known to have that meaning."""
    text = str(value) if isinstance(value, str | int) else ""
    if not _CODE.fullmatch(text):
        return UNNAMED
    return _ALIASES.get(text.lower(), text)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def may_hold_token(raw: bytes, body: object) -> bool:
    """Whether a text in ``raw`` (parsed as ``body`` if it is a mapping) may be a token; web pages do not count."""
    if body is None:
        return (
            not is_html(raw) and _OPAQUE.search(raw.decode("utf-8", errors="replace")) is not None
        )
    if isinstance(body, dict | list):
        inner = body.values() if isinstance(body, dict) else body
        return any(may_hold_token(raw, item) for item in inner if item is not None)
    return isinstance(body, str) and _TOKEN_LIKE.fullmatch(body) is not None


def is_cut_off(raw: bytes) -> bool:
    """Whether ``raw`` begins a JSON object that does not end, as a server or proxy that fails while writing leaves it."""
    try:
        msgspec.json.decode(raw.strip())
    except msgspec.DecodeError as problem:
        return raw.lstrip().startswith(b"{") and str(problem) == _NO_END
    except RecursionError:
        return False
    return False


def is_html(raw: bytes) -> bool:
    """Whether ``raw`` looks like a web page, as proxies and maintenance pages send."""
    return raw.lstrip()[:200].lower().startswith((b"<!doctype html", b"<html", b"<head", b"<body"))


def describe_broken(raw: bytes) -> str:
    """What is wrong with ``raw``, which begins as a JSON object and is none; empty where it begins otherwise."""
    text = decode(raw)
    if not text.startswith("{"):
        return ""
    if is_cut_off(raw):
        return f"{len(raw)} bytes of JSON without its end"
    found, rest = _first_object(text)
    if found is None:
        return ""
    return f"a JSON object, and {len(rest.encode())} bytes behind it that do not repeat it"


def describe_shape(raw: bytes, body: Mapping[str, Any] | None) -> str:
    """Describes an answer in words that cannot contain a token: field names, or the first words of a page."""
    if body is not None:
        names = ", ".join(sorted(_OPAQUE.sub("***", str(name)) for name in body)[:6])
        return f"fields {names}" if names else "no fields"
    if not raw.strip():
        return "empty"
    if not is_html(raw):
        return f"{len(raw)} bytes that are not a JSON object"
    words = html.unescape(_TAGS.sub(" ", raw.decode("utf-8", errors="replace")))
    # Not cut here: half a secret would no longer be recognised by who redacts and cuts it.
    return f"a web page: {_OPAQUE.sub('***', words)}"
