"""A JSON body that is taken apart no further than asked.

Most pages are only cut into records, and most paths are plain keys. Those are found without building Python objects,
so that numbers and texts reach the file byte for byte as the API sent them.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from functools import lru_cache
from typing import Any

import jmespath
import msgspec
import requests
from jmespath.exceptions import JMESPathError

from oauth_taskflow.api.secrecy import shown_url
from oauth_taskflow.errors import InvalidRecord, RecordsNotFound
from oauth_taskflow.redaction import redact_text

_PLAIN = re.compile(r'(?:[A-Za-z_]\w*|"[^"\\]+")(?:\.(?:[A-Za-z_]\w*|"[^"\\]+"))*')
_KEY = re.compile(r'[A-Za-z_]\w*|"[^"\\]+"')
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.IGNORECASE)
_ABSENT = msgspec.Raw(b"")
_SHOWN = 80
_decode: Any = msgspec.json.Decoder().decode


def plain_keys(path: str) -> tuple[str, ...] | None:
    """The keys of a JMESPath that only descends (``data."@odata.x"``), or None when it does more."""
    if _PLAIN.fullmatch(path) is None:
        return None
    return tuple(key.strip('"') for key in _KEY.findall(path))


@lru_cache(maxsize=256)
def _key_decoder(key: str) -> msgspec.json.Decoder[Any]:
    """Takes one value out of an object and skips the rest at the speed of scanning."""
    field = msgspec.field(name=key, default=_ABSENT)
    return msgspec.json.Decoder(msgspec.defstruct("Keyed", [("value", msgspec.Raw, field)]))


def dig(raw: bytes | msgspec.Raw, keys: tuple[str, ...]) -> msgspec.Raw | None:
    """The undecoded value below ``keys``; None when a level is absent or no object."""
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
def compiled(path: str) -> jmespath.parser.ParsedResult:
    """The JMESPath ``path``, compiled.

    Raises:
        RecordsNotFound: it is none.
    """
    try:
        return jmespath.compile(path)
    except JMESPathError as error:
        raise RecordsNotFound(
            f"{path!r} is no JMESPath expression: {' '.join(str(error).split())}"
        ) from error


def find_in(record: Any, path: str) -> Any:
    """The value at JMESPath ``path`` of a record, decoded or not; None when absent or null."""
    keys = plain_keys(path)
    if isinstance(record, msgspec.Raw):
        if keys is not None:
            found = dig(record, keys)
            return None if found is None else _decode(found)
        record = _decode(record)
    return searched(record, path)


def searched(value: Any, path: str, where: str = "") -> Any:
    """What the JMESPath ``path`` finds in ``value``.

    Raises:
        InvalidRecord: it met a value of another type than it is written for.
    """
    try:
        return compiled(path).search(value)
    except (JMESPathError, TypeError) as error:  # TypeError: a text was compared with a number
        raise InvalidRecord(
            f"JMESPath {path!r} does not fit the body: {' '.join(str(error).split())}", where=where
        ) from error


class Body:
    """The JSON of one answer: UTF-8, one line, checked to be JSON throughout.

    Raises:
        InvalidRecord: it is no JSON, NaN and truncated text included, or not in the charset it claims.
    """

    def __init__(self, content: bytes, *, charset: str = "utf-8", where: str = "") -> None:
        self.where = where
        self._decoded: Any = msgspec.UNSET
        self.json = self._as_json(self._as_utf8(content, charset))

    @classmethod
    def of(cls, response: requests.Response) -> Body:
        """The body of ``response``; an empty one, as with 204, is null."""
        match = _CHARSET.search(response.headers.get("Content-Type", ""))
        where = f"at {response.request.method} {shown_url(response.request, response.url)}"
        return cls(response.content, charset=match[1] if match else "utf-8", where=where)

    @property
    def empty(self) -> bool:
        """Whether there was nothing at all."""
        return not self.json

    def decoded(self) -> Any:
        """The whole body as Python values; integers exact whatever their size."""
        if self._decoded is msgspec.UNSET:
            try:
                self._decoded = _decode(self.json) if self.json else None
            except msgspec.MsgspecError as error:
                raise self._invalid(str(error)) from error
        return self._decoded

    def find(self, path: str) -> Any:
        """The value at JMESPath ``path``; None when absent or null."""
        keys = plain_keys(path)
        if keys is None:
            return searched(self.decoded(), path, self.where)
        found = dig(self.json, keys) if self.json else None
        return None if found is None else _decode(found)

    def _as_utf8(self, content: bytes, charset: str) -> bytes:
        if (
            content[:2] == b"\x1f\x8b"
        ):  # gzip that the headers did not declare, or declared once too few
            try:
                content = gzip.decompress(content)
            except (OSError, EOFError, zlib.error) as error:
                raise self._invalid("broken gzip", retryable=True) from error
        try:
            if charset.lower() in {"utf-8", "utf8", "us-ascii", "ascii"}:
                content = content.removeprefix(b"\xef\xbb\xbf")
                content.decode("utf-8")
                return content.strip()
            return content.decode(charset).lstrip("\ufeff").strip().encode()
        except UnicodeDecodeError as error:
            raise self._invalid(
                f"byte {error.start} is no {charset}; the API mislabels its charset"
            ) from error
        except LookupError as error:
            raise self._invalid(f"unknown charset {charset!r}") from error

    def _as_json(self, content: bytes) -> bytes:
        """Checked, and on one line: a record with line breaks in it would break JSON Lines."""
        if not content:
            return content
        try:
            if b"\n" in content or b"\r" in content:
                content = msgspec.json.format(content, indent=-1)
            msgspec.json.decode(content, type=msgspec.Raw)
        except msgspec.MsgspecError as error:
            raise self._invalid(
                str(error), content, retryable=not _reads_loosely(content)
            ) from error
        return content

    def _invalid(
        self, reason: str, content: bytes = b"", *, retryable: bool = False
    ) -> InvalidRecord:
        start = redact_text(" ".join(content[:_SHOWN].decode("utf-8", "replace").split()))
        return InvalidRecord(
            f"The API's answer is no JSON ({reason})" + (f": {start}" if start else ""),
            where=self.where,
            hint="Check the path, and that the API is asked for JSON (header Accept).",
            retryable=retryable,
        )


def _reads_loosely(content: bytes) -> bool:
    """Whether ``content`` is whole, but written with NaN, Infinity or control characters, as it will be again."""
    try:
        json.loads(content, strict=False, object_pairs_hook=lambda _: None)
    except (ValueError, RecursionError):
        return False
    return True
