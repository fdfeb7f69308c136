"""The real isal, brotli, zstd and urllib3-future, in separate folders: they must not change other tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.measured import measure_child

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CODINGS = """
import gzip, io, random, zlib
import brotli
from backports import zstd
from oauth_taskflow import content_coding

assert content_coding.accept_encoding() == "gzip, deflate, br, zstd"
assert content_coding._fast_zlib().__name__ == "isal.isal_zlib"
plain = random.Random(1).randbytes(40_000) * 30 + b"x" * 3_000_000
coded = {
    "gzip": gzip.compress(plain), "deflate": zlib.compress(plain),
    "br": brotli.compress(plain, quality=4), "zstd": zstd.compress(plain),
}
for name, body in coded.items():
    for size in (777, 65536, len(body)):
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        made = list(content_coding.decode_pieces(pieces, name))
        assert b"".join(made) == plain, name
        assert max(map(len, made)) <= 2 * content_coding.PIECE, name
    assert b"".join(content_coding.decode_pieces([body, b"garbage"], name)) == plain, name
    assert list(content_coding.decode_pieces([], name)) == [], name
    for broken in (b"!", body[:9], body[: len(body) // 2], body[:-1], body[:50] + body[90:]):
        try:
            list(content_coding.decode_pieces([broken], name))
        except content_coding.BadCoding as error:
            assert error.may_pass
        else:
            raise AssertionError(name, len(broken))
frames = zstd.compress(b"one ") + zstd.compress(b"two")
for pieces in ([frames], [frames[at : at + 1] for at in range(len(frames))]):
    assert b"".join(content_coding.decode_pieces(pieces, "zstd")) == b"one two"

def written(library):
    raw = io.BytesIO()
    with library.GzipFile(filename="", mode="wb", compresslevel=2, fileobj=raw, mtime=0) as file:
        file.write(plain)
    return raw.getvalue()

assert content_coding.gzip_library().__name__ == "isal.igzip"
assert gzip.decompress(written(content_coding.gzip_library())) == plain
assert written(content_coding.gzip_library()) == written(content_coding.gzip_library())
print("same meaning")
"""
REPLACED = """
import logging
import sys
import urllib3
from oauth_taskflow.api.response_limits import AnswerLimits
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.errors import ApiError
from tests.api.wire import http, on_the_wire

logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
assert hasattr(urllib3, "AsyncPoolManager")
for _ in range(2):
    with on_the_wire(lambda n, _: http(b"[1]")[: 60 if n == 0 else None]) as wire:
        with OAuthSession(wire.url, limits=AnswerLimits(bytes=99)) as session:
            assert session.get("/x").json() == [1]
"""


def run_with(folder: Path, code: str, *packages: str) -> str:
    """What ``code`` prints with ``packages`` before all others; skips where they cannot be installed."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), *packages]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(
            f"{', '.join(packages)} cannot be installed here: {getattr(error, 'stderr', None) or str(error)}"
        )
    path = os.pathsep.join((str(folder), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=measure_child({**os.environ, "PYTHONPATH": path}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_faster_gzip_and_other_codings_mean_the_same(tmp_path: Path) -> None:
    packages = ("isal", "brotli>=1.2", "backports.zstd; python_version < '3.14'")
    assert run_with(tmp_path, CODINGS, *packages) == "same meaning\n"


def test_one_line_says_that_urllib3_was_replaced(tmp_path: Path) -> None:
    reported = run_with(tmp_path, REPLACED, "urllib3-future").splitlines()
    warnings = [line for line in reported if line.startswith("WARNING Package urllib3-future")]
    assert len(warnings) == 1
    assert "has replaced urllib3 here" in warnings[0]
