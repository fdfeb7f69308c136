"""Records as the lines of ``COPY … FROM STDIN``, without decoding them.

Fields are separated by U+0001, which JSON never holds as it is, while a tab may be between its tokens. Only backslashes need an escape
then (https://www.postgresql.org/docs/current/sql-copy.html, "Text Format").
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal

from oauth_taskflow.api.decoders.numbers import json_encoder
from oauth_taskflow.errors import DestinationError

SEPARATOR = b"\x01"
COPY_OPTIONS = "WITH (FORMAT text, DELIMITER E'\\x01')"
NULL = b"\\N"
# An escaped backslash, a whole pair of surrogates, and what jsonb refuses: NUL and half a pair.
_ESCAPES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<nul>\\u0000)|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_BACKSLASH = b"\\"
_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_SPECIAL = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\x01": "\\x01"}

FieldsOfRecords = Callable[[Sequence[Any]], list[bytes]]


def escape_field(text: str) -> bytes:
    """Returns ``text`` as a field of a line."""
    return "".join(_SPECIAL.get(char, char) for char in text).encode("utf-8", "replace")


def encode_records(
    records: Sequence[Any], nul: Literal["fail", "strip"], first: int, where: str
) -> bytes:
    """Returns ``records`` as JSON, a line each, with a line break behind each. ``first`` is the number of the first record.

    Raises:
        DestinationError: a record has a NUL character or half a surrogate pair, which jsonb cannot hold.
    """
    data: bytes = json_encoder.encode_lines(records)
    # Most records have no backslash, and one byte is found many times as fast as an expression.
    if _BACKSLASH in data and _SUSPECT.search(data):
        data = _mend(data, nul, first, where)
    return data


def escape_lines(data: bytes, more: FieldsOfRecords | None, records: Sequence[Any]) -> bytes:
    """Returns lines of JSON as lines of COPY; ``more`` gives the further fields of each record."""
    escaped = data.replace(b"\\", b"\\\\")
    if more is None:
        return escaped
    lines = zip(escaped.split(b"\n"), more(records), strict=False)  # behind the last one is nothing
    return b"".join(line + SEPARATOR + fields + b"\n" for line, fields in lines)


def _mend(data: bytes, nul: Literal["fail", "strip"], first: int, where: str) -> bytes:
    def replace(match: re.Match[bytes]) -> bytes:
        if match["nul"] is None and match["half"] is None:
            return match[0]
        if nul == "fail":
            raise _unfit_error(data, match, first, where)
        return b"" if match["nul"] else b"\\ufffd"

    return _ESCAPES.sub(replace, data)


def _unfit_error(data: bytes, match: re.Match[bytes], first: int, where: str) -> DestinationError:
    number = data.count(b"\n", 0, match.start())
    line = data[data.rfind(b"\n", 0, match.start()) + 1 : data.find(b"\n", match.start())]
    name = "a NUL character" if match["nul"] else "half a surrogate pair"
    wanted = "\0" if match["nul"] else json.loads(b'"' + match[0] + b'"')
    path = ""
    with suppress(ValueError, RecursionError):
        path = _find_text(json.loads(line), wanted)
    return DestinationError(
        f"Record {first + number + 1} has {name}{f' in {path}' if path else ''}, which jsonb cannot hold",
        where=f"at {where}",
        hint="Write nul: strip, which removes NUL and replaces half pairs by U+FFFD, or drop the field with fields.",
    )


def _find_text(value: Any, wanted: str, path: str = "") -> str:
    """The path of the first text or name in ``value`` that holds ``wanted``; empty without one."""
    if isinstance(value, str):
        return (path or "the text") if wanted in value else ""
    if isinstance(value, list):
        found = (_find_text(item, wanted, f"{path}[{n}]") for n, item in enumerate(value))
        return next(filter(None, found), "")
    if isinstance(value, dict):
        if any(wanted in name for name in value):
            return f"a name below {path}" if path else "the name of a field"
        found = (
            _find_text(item, wanted, f"{path}.{name}".lstrip(".")) for name, item in value.items()
        )
        return next(filter(None, found), "")
    return ""
