"""A JSON body that is decoded only as far as needed.

Most pages are only cut into records, and most paths are plain keys. Both work without building Python objects, so that
numbers and texts reach the file byte for byte as the API sent them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import jmespath
import msgspec
import requests
from jmespath.exceptions import JMESPathError, JMESPathTypeError

from oauth_taskflow.api.decoders.json_outline import (
    check_depth,
    holds_lines,
    is_cut_off,
    reads_loosely,
    replace_half_characters,
)
from oauth_taskflow.api.decoders.numbers import ExactFloat, build_json_decoder, decode, read_number
from oauth_taskflow.api.request_secrets import redact_request_url
from oauth_taskflow.api.response_limits import DEFAULT_LIMITS, AnswerLimits, format_bytes
from oauth_taskflow.content_coding import BadCoding, decode_pieces
from oauth_taskflow.errors import InvalidRecord, RecordsNotFound
from oauth_taskflow.jmespath_flaws import find_path_flaw
from oauth_taskflow.record_values import find_cause, show_value
from oauth_taskflow.redaction import redact_text

_PLAIN = re.compile(r'(?:[A-Za-z_]\w*|"[^"\\]+")(?:\.(?:[A-Za-z_]\w*|"[^"\\]+"))*')
_KEY = re.compile(r'[A-Za-z_]\w*|"[^"\\]+"')
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.IGNORECASE)
_ABSENT = msgspec.Raw(b"")
_read_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NOTHING = frozenset({b"null", b'""'})
_SHOWN = 80
_GZIP_MAGIC = b"\x1f\x8b"
# Longer marks first, because the mark of UTF-16 begins that of UTF-32.
_MARKS = {
    b"\xef\xbb\xbf": "utf-8",
    b"\xff\xfe\0\0": "utf-32-le",
    b"\0\0\xfe\xff": "utf-32-be",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}
# Media types of whole answers that no retry makes JSON.
_TABLES = frozenset({"text/csv", "text/tab-separated-values"})
_NO_SPEC = (
    "Ask the API for JSON (header Accept, or a parameter); where it has none, read it in a function with @oauth_task "
    "and session.get(..., stream=True)."
)
_HTML = re.compile(rb"\s*<(?:!doctype|html|head|body|!--)", re.IGNORECASE)


def looks_like_html(content: bytes) -> bool:
    """Whether ``content`` begins as a page of HTML does."""
    return _HTML.match(content) is not None


def plain_keys(path: str) -> tuple[str, ...] | None:
    """The keys of a JMESPath that only descends (``data."@odata.x"``); None for every other path."""
    if _PLAIN.fullmatch(path) is None:
        return None
    return tuple(key.strip('"') for key in _KEY.findall(path))


@lru_cache(maxsize=256)
def _key_decoder(key: str) -> msgspec.json.Decoder[Any]:
    """A decoder that reads one value of an object and skips the rest at the speed of scanning."""
    field = msgspec.field(name=key, default=_ABSENT)
    return msgspec.json.Decoder(msgspec.defstruct("Keyed", [("value", msgspec.Raw, field)]))


def read_members(raw: bytes | msgspec.Raw) -> dict[str, msgspec.Raw] | None:
    """The undecoded values of an object by their keys; None when it is not a readable object."""
    try:
        return _read_members(raw)
    except msgspec.MsgspecError:
        return None


def dig(raw: bytes | msgspec.Raw, keys: tuple[str, ...]) -> msgspec.Raw | None:
    """The undecoded value below ``keys``; None when a level is absent or not an object."""
    found: Any = raw
    for key in keys:
        try:
            found = _key_decoder(key).decode(found).value
        except msgspec.ValidationError:
            return None
        if found is _ABSENT:
            return None
    return msgspec.Raw(found) if isinstance(found, bytes) else found


@lru_cache(maxsize=512)
def compile_path(path: str) -> jmespath.parser.ParsedResult:
    """The compiled JMESPath ``path``.

    Raises:
        RecordsNotFound: it is not a JMESPath expression, or calls a function in a way that always fails.
    """
    try:
        compiled = jmespath.compile(path)
    except JMESPathError as error:
        raise RecordsNotFound(
            f"{path!r} is not a JMESPath expression: {' '.join(str(error).split())}"
        ) from error
    flaw = find_path_flaw(compiled.parsed)
    if flaw is not None:
        raise RecordsNotFound(f"The JMESPath {path!r} always fails: {flaw.reason}", hint=flaw.hint)
    return compiled


def find_in(record: Any, path: str) -> Any:
    """The value at JMESPath ``path`` of a record, decoded or not; None when absent or null."""
    keys = plain_keys(path)
    if isinstance(record, msgspec.Raw):
        if keys is not None:
            found = dig(record, keys)
            return None if found is None else decode(found)
        record = decode(record)
    return search_value(record, path)


def search_value(value: Any, path: str, where: str = "") -> Any:
    """The value that the JMESPath ``path`` finds in ``value``.

    Raises:
        InvalidRecord: the path met a value of an unexpected type.
    """
    try:
        return compile_path(path).search(value)
    except (JMESPathError, TypeError) as error:  # TypeError: a text was compared with a number
        raise InvalidRecord(
            f"JMESPath {path!r} does not fit the body: {explain_misfit(error)}", where=where
        ) from find_cause(error)


def explain_misfit(error: Exception) -> str:
    """Returns why a JMESPath does not fit, on one line; a value in it shows as ``record_values`` says."""
    if isinstance(error, JMESPathTypeError):
        value = show_value(error.current_value)
        error = JMESPathTypeError(
            error.function_name, value, error.actual_type, error.expected_types
        )
    return " ".join(str(error).split())


class Body:
    """The JSON of one response: UTF-8, on one line, and checked to be valid.

    ``has_exact_numbers`` says that values read from it contain numbers with more digits than a float has. ``is_mended``
    says that half characters in it were replaced by U+FFFD. ``url`` is that of the response, redacted; ``kind`` is its
    media type, for errors.

    Raises:
        InvalidRecord: it is not JSON (which excludes NaN and truncated text), or not in the charset it claims.
    """

    def __init__(
        self,
        content: bytes,
        *,
        charset: str = "utf-8",
        kind: str = "",
        where: str = "",
        url: str = "",
        limits: AnswerLimits = DEFAULT_LIMITS,
    ) -> None:
        self.where = where
        self.url = url
        self._kind, self._limits = kind, limits
        self.has_exact_numbers = self.is_mended = False
        self._decoded: Any = msgspec.UNSET
        self.members: dict[str, msgspec.Raw] = {}
        """The undecoded values at the root by their keys; empty when it is not an object."""
        self.json = self._check_json(self._to_utf8(self._inflate(content), charset))

    @classmethod
    def from_response(cls, response: requests.Response) -> Body:
        """The body of ``response`` within its limits; an empty body, as with 204, is null."""
        written = response.headers.get("Content-Type", "")
        match, kind = _CHARSET.search(written), written.partition(";")[0].strip().lower()
        url = redact_request_url(response.request, response.url)
        where = f"at {response.request.method} {url}"
        limits = getattr(response, "limits", DEFAULT_LIMITS)
        charset = match[1] if match else "utf-8"
        options = {"charset": charset, "kind": kind, "where": where, "url": url}
        return cls(response.content, **options, limits=limits)

    @property
    def empty(self) -> bool:
        """Whether the body has no bytes."""
        return not self.json

    def decode(self) -> Any:
        """The whole body as Python values; numbers keep all their digits."""
        if self._decoded is msgspec.UNSET:
            try:
                self._decoded = self._read(self.json) if self.json else None
            except msgspec.MsgspecError as error:
                raise self._invalid(str(error)) from error
            except RecursionError as error:
                raise self._too_deep() from error
        return self._decoded

    # The former name, which paginators of authors call, for one more release.
    decoded = decode

    def find(self, path: str) -> Any:
        """The value at JMESPath ``path``; None when absent or null."""
        keys = plain_keys(path)
        if keys is None:
            return search_value(self.decode(), path, self.where)
        found = self.dig(keys)
        return None if found is None else self._read(found)

    def has_empty(self, path: str | None) -> bool:
        """Whether the key at the plain ``path`` is there, with null or an empty text."""
        keys = plain_keys(path or "")
        found = None if keys is None else self.dig(keys)
        return found is not None and bytes(found) in _NOTHING

    def has_any(self, keys: frozenset[str]) -> bool:
        """Whether the root is an object with one of ``keys``."""
        return not keys.isdisjoint(self.members)

    def dig(self, keys: tuple[str, ...]) -> msgspec.Raw | None:
        """The undecoded value below ``keys``, of which there is at least one; None when a level is absent or not an object."""
        found = self.members.get(keys[0])
        return None if found is None else dig(found, keys[1:])

    def _read(self, raw: bytes | msgspec.Raw) -> Any:
        return build_json_decoder(float_hook=self._number).decode(raw)

    def _number(self, text: str) -> float:
        number = read_number(text)
        self.has_exact_numbers = self.has_exact_numbers or isinstance(number, ExactFloat)
        return number

    def _inflate(self, content: bytes) -> bytes:
        """``content`` without a gzip coding that the headers did not declare, or declared once too few."""
        if content[:2] != _GZIP_MAGIC:
            return content
        pieces, size = [], 0
        try:
            for piece in decode_pieces([content], "gzip"):
                size += len(piece)
                if size > self._limits.bytes:
                    raise self._invalid(f"more than {format_bytes(self._limits.bytes)} in gzip")
                pieces.append(piece)
        except BadCoding as error:
            raise self._invalid(str(error), retryable=error.may_pass) from error
        return b"".join(pieces)

    def _to_utf8(self, content: bytes, charset: str) -> bytes:
        for mark, unicode in _MARKS.items():
            if content.startswith(mark):
                content, charset = content.removeprefix(mark), unicode
                break
        try:
            if charset.lower() in {"utf-8", "utf8", "us-ascii", "ascii"}:
                content.decode("utf-8")
                return content.strip()
            return content.decode(charset).lstrip("\ufeff").strip().encode()
        except UnicodeDecodeError as error:
            # A text that was cut within a character may be complete the next time.
            raise self._invalid(
                f"byte {error.start} is not {charset}; the API mislabels its charset",
                retryable=is_cut_off(content),
            ) from error
        except LookupError as error:
            raise self._invalid(f"unknown charset {charset!r}") from error

    def _check_json(self, content: bytes) -> bytes:
        """``content`` on one line after a check, because a record with line breaks would break JSON Lines."""
        if not content:
            return content
        try:
            check_depth(content, self._limits.depth)
            if b"\n" in content or b"\r" in content:
                content = msgspec.json.format(content, indent=-1)
            # One pass over the text checks it and finds the values at its root.
            if content.startswith(b"{"):
                self.members = _read_members(content)
            else:
                msgspec.json.decode(content, type=msgspec.Raw)
        except msgspec.MsgspecError as error:
            whole = replace_half_characters(content)
            if whole == content:
                raise self._unreadable(content, str(error)) from error
            self.is_mended = True
            return self._check_json(whole)
        except RecursionError as error:
            raise self._too_deep() from error
        return content

    def _too_deep(self) -> InvalidRecord:
        return InvalidRecord(
            f"The answer's JSON is nested more than {self._limits.depth} deep",
            where=self.where,
            hint="Raise limits.depth of the endpoint or max_answer_depth of the connection if the API nests so deep.",
        )

    def _unreadable(self, content: bytes, reason: str) -> InvalidRecord:
        """The error of ``content`` that cannot be read; retryable where the next response may be complete."""
        if looks_like_html(content):
            hint = "It is a login, error or maintenance page: check the path, and that the token is accepted there."
            return self._invalid("it is an HTML page", content, hint=hint, retryable=True)
        if holds_lines(content):
            return self._invalid("it is JSON Lines", content, hint=_NO_SPEC)
        if self._kind in _TABLES:
            return self._invalid(f"it is {self._kind}", content, hint=_NO_SPEC)
        if is_cut_off(content):
            hint = "The API or a proxy cut it off. Ask for smaller pages if it happens again."
            return self._invalid("its end is missing", content, hint=hint, retryable=True)
        if reads_loosely(content):
            hint = (
                "It holds NaN, Infinity or bare control characters, which the API must not write."
            )
            return self._invalid(reason, content, hint=hint)
        return self._invalid(reason, content, retryable=True)

    def _invalid(
        self,
        reason: str,
        content: bytes = b"",
        *,
        hint: str = "Check the path, and that the API is asked for JSON (header Accept).",
        retryable: bool = False,
    ) -> InvalidRecord:
        start = redact_text(" ".join(content[:_SHOWN].decode("utf-8", "replace").split()))
        return InvalidRecord(
            f"The API's answer is not JSON ({reason})" + (f": {start}" if start else ""),
            where=self.where,
            hint=hint,
            retryable=retryable,
        )
