"""Bytes of an answer as text, however they are encoded and compressed. No I/O."""

from __future__ import annotations

import codecs
import json
import re
import zlib

_SPACE = " \t\r\n\0"
_GZIP = b"\x1f\x8b\x08"
_PIECE = 1 << 10
_LONGEST = 1 << 20
# Charsets in which the letters of a token are the bytes of ASCII, unlike UTF-7 and EBCDIC.
_CHARSET = re.compile(
    r"(?i)charset\s*=\s*[\"']?(iso-8859-(?:1[013-6]|[1-9])|windows-125[0-8]|latin1|koi8-[ru]|shift_jis|euc-jp|euc-kr|gbk|gb2312|gb18030|big5)\b"
)


def decode(raw: bytes, content_type: str = "") -> str:
    """The text of an answer, without blanks around it; what is no text has U+FFFD in it.

    JSON is UTF-8 (RFC 8259 §8.1), and was UTF-16 or UTF-32 too (RFC 4627 §3), which its first bytes show. The charset of
    the header ``content_type`` counts only where the bytes are none of these. gzip that no header announced is unpacked.
    """
    raw = _unpack(raw)
    wide = json.detect_encoding(raw)
    if not wide.startswith("utf-8"):
        text = _decode_whole(raw, wide)
        if text is not None and text[:2].isascii():
            return text.strip(_SPACE)
    text = _decode_whole(raw, "utf-8-sig")
    if text is None:
        named = _CHARSET.search(content_type)
        text = raw.decode(named[1] if named else "utf-8-sig", errors="replace")
    return text.strip(_SPACE)


def _decode_whole(raw: bytes, encoding: str) -> str | None:
    """The text; None if the bytes are of another encoding. Half a character at the end is left out."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(raw)
    except UnicodeDecodeError:
        return None


def _unpack(raw: bytes) -> bytes:
    """``raw``, unpacked if it is gzip, as far as that is whole and not endless."""
    if not raw.startswith(_GZIP):
        return raw
    unpacker, text = zlib.decompressobj(wbits=31), bytearray()
    for start in range(0, len(raw), _PIECE):
        try:
            text += unpacker.decompress(raw[start : start + _PIECE], _LONGEST)
        except zlib.error:
            break
        if unpacker.eof or len(text) > _LONGEST:
            break
    return bytes(text)
