"""A megabyte that would become a gigabyte is given up within little memory."""

from __future__ import annotations

import gzip
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.wire import http, on_the_wire

pytestmark = pytest.mark.slow

READER = Path(__file__).with_name("bomb_reader.py")
ROOT = READER.parents[2]
# Sixteen members of 64 MiB of zeros each: 1 GiB in about 1 MiB.
GIGABYTE = gzip.compress(bytes(64 << 20), 1) * 16


def little_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("codings", [1, 2])
def test_a_bomb_of_one_gigabyte_takes_no_more_memory_than_the_limit(
    kind: str, codings: int
) -> None:
    body = GIGABYTE if codings == 1 else gzip.compress(GIGABYTE)
    coding = ", ".join(["gzip"] * codings)
    with on_the_wire(lambda *_: http(body, f"Content-Encoding: {coding}")) as wire:
        reported = subprocess.run(
            [sys.executable, "-m", "tests.api.bomb_reader", kind, wire.url],
            cwd=ROOT,
            preexec_fn=little_memory,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
    assert len(body) < 6 << 20
    assert reported[0].endswith("AnswerTooLarge The answer is larger than 256 MiB")
    assert int(reported[1]) < 450
    assert len(wire.targets) == 1
