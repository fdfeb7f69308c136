"""Inflates and writes gzip as this package does; prints seconds of processor time as JSON."""

from __future__ import annotations

import io
import json
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oauth_taskflow.content_coding import decode_pieces, gzip_library

_PIECE = 1 << 16


def rows() -> bytes:
    """20 MB of JSON Lines."""
    return b"".join(
        json.dumps(
            {
                "id": n,
                "name": f"name {n}",
                "seen": f"2026-01-01T00:00:{n % 60:02}Z",
                "hash": n * 7919 % 99991,
            }
        ).encode()
        + b"\n"
        for n in range(240_000)
    )


def write(plain: bytes) -> bytes:
    raw = io.BytesIO()
    with gzip_library().GzipFile(
        filename="", mode="wb", compresslevel=2, fileobj=raw, mtime=0
    ) as file:
        for start in range(0, len(plain), _PIECE):
            file.write(plain[start : start + _PIECE])
    return raw.getvalue()


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    plain = rows()
    deflater = zlib.compressobj(6, wbits=31)
    body = deflater.compress(plain) + deflater.flush()
    pieces = [body[start : start + _PIECE] for start in range(0, len(body), _PIECE)]
    assert b"".join(decode_pieces(pieces, "gzip")) == plain
    print(
        json.dumps(
            {
                "read": min(seconds(lambda: list(decode_pieces(pieces, "gzip"))) for _ in range(3)),
                "write": min(seconds(lambda: write(plain)) for _ in range(3)),
                "bytes": len(write(plain)),
            }
        )
    )


if __name__ == "__main__":
    main()
