"""The text of a token response as a mapping, and the error in it, whatever shape it has. No I/O."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from oauth_taskflow.oauth.endpoint.error_codes import UNNAMED
from oauth_taskflow.oauth.endpoint.json_objects import first_object, read_object

_MAX_FIELDS = 200
_NO_END = "Input data was truncated"
_CODE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,64}")  # RFC 6749 §5.2, without the space
_OPAQUE = re.compile(r"[A-Za-z0-9._~+/=-]{24,}")
_TOKEN_LIKE = re.compile(r"[A-Za-z0-9._~+/=-]{16,}")
_FIELD_NAME = re.compile(r'"[^"\s]{1,40}"\s*:')
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


def parse_body(text: str, content_type: str) -> dict[str, Any] | None:
    """The mapping in ``text``, JSON or form-encoded; None without one."""
    if text.startswith("{"):
        return read_object(text)
    if content_type == "application/x-www-form-urlencoded" or re.match(r"[\w.]+=", text):
        return _form(text)
    return None


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
        text = _text(body.get("error_description") or body.get("message"))
        code = error_code(error)
        # Synapse and many frameworks put a sentence where the code belongs.
        said = _OPAQUE.sub("***", _text(error)) if code == UNNAMED else ""
        return ErrorBody(code, text or said)
    status = body.get("status")
    if isinstance(status, str) and status.lower() in _ALIASES and "access_token" not in body:
        return ErrorBody(error_code(status), _text(body.get("message")))
    return None


def describe_refusal(text: str, body: Mapping[str, Any] | None) -> str:
    """The text of a refusal that uses other fields than the standard's, without anything that may be a token."""
    if body is None:
        return describe_shape(text, body) if is_html(text) else ""
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


def may_hold_token(text: str, body: object) -> bool:
    """Whether a part of ``text`` (parsed as ``body`` if it is a mapping) may be a token; web pages do not count."""
    if body is None:
        return not is_html(text) and _OPAQUE.search(text) is not None
    if isinstance(body, dict | list):
        inner = body.values() if isinstance(body, dict) else body
        return any(may_hold_token(text, item) for item in inner if item is not None)
    return isinstance(body, str) and _TOKEN_LIKE.fullmatch(body) is not None


def is_cut_off(text: str) -> bool:
    """Whether ``text`` begins a JSON object that does not end, as a server or proxy that fails while writing leaves it."""
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError as problem:
        return text.startswith("{") and str(problem) == _NO_END
    except RecursionError:
        return False
    return False


def is_html(text: str) -> bool:
    """Whether ``text`` looks like a web page, as proxies and maintenance pages send."""
    return text[:200].lower().startswith(("<!doctype html", "<html", "<head", "<body"))


def describe_broken(text: str) -> str:
    """What is wrong with ``text``, which begins as a JSON object and is none; empty where it begins otherwise."""
    if not text.startswith("{"):
        return ""
    if is_cut_off(text):
        return f"{len(text.encode())} bytes of JSON without its end"
    found, rest = first_object(text)
    if found is None:
        return ""
    return f"a JSON object, and {len(rest.encode())} bytes behind it that do not repeat it"


def describe_shape(text: str, body: Mapping[str, Any] | None) -> str:
    """Describes an answer in words that cannot contain a token: field names, or the first words of a page."""
    if body is not None:
        names = ", ".join(sorted(_OPAQUE.sub("***", str(name)) for name in body)[:6])
        return f"fields {names}" if names else "no fields"
    if not text:
        return "empty"
    if not is_html(text):
        return f"{len(text.encode(errors='replace'))} bytes that are not a JSON object"
    words = html.unescape(_TAGS.sub(" ", text))
    if _FIELD_NAME.search(words):  # a token may be shorter than all that is masked below
        return "a web page with JSON in it"
    # Not cut here: half a secret would no longer be recognised by who redacts and cuts it.
    return f"a web page: {_OPAQUE.sub('***', words)}"
