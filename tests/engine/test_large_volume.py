"""A million records through a spec's endpoint: all of them arrive, in the memory that ten thousand take."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def pull(records: int, folder: Path) -> Any:
    """Rows and peak memory of a pull in a separate process, from an API in another one."""
    server = [sys.executable, str(BENCHMARKS / "api_server.py"), str(records)]
    with subprocess.Popen(
        server, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as api:  # it ends when its standard input closes
        assert api.stdout is not None
        url = f"http://127.0.0.1:{api.stdout.readline().strip()}"
        child = [sys.executable, str(BENCHMARKS / "pull_child.py"), "ours", url, str(folder)]
        done = subprocess.run(child, capture_output=True, text=True, check=True)
        assert api.stdin is not None
        api.stdin.close()
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.full
def test_a_million_records_arrive_whole_in_constant_memory(tmp_path: Path) -> None:
    few, many = pull(10_000, tmp_path), pull(1_000_000, tmp_path)
    assert (few["rows"], many["rows"]) == (10_000, 1_000_000)
    assert many["peak_mib"] < 1.2 * few["peak_mib"]
