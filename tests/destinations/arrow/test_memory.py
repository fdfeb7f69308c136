"""Where Arrow's memory comes from in a process that writes tables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_WRITE = """
import io
from oauth_taskflow.destinations.formats import FORMATS
FORMATS["parquet"].open_writer(io.BytesIO(), lambda: None, None)
import pyarrow
print(pyarrow.default_memory_pool().backend_name)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "environment", "backend"),
    [
        ("", None, "system"),
        ("import pyarrow; ", None, None),
        ("", "mimalloc", "mimalloc"),
    ],
)
def test_arrow_returns_memory_unless_somebody_else_has_chosen(
    before: str, environment: str | None, backend: str | None
) -> None:
    pytest.importorskip("pyarrow")
    given = {k: v for k, v in os.environ.items() if k != "ARROW_DEFAULT_MEMORY_POOL"}
    if environment is not None:
        given["ARROW_DEFAULT_MEMORY_POOL"] = environment
    if backend is None:
        code = "import pyarrow; print(pyarrow.default_memory_pool().backend_name)"
        backend = _run(code, given)
    assert _run(before + _WRITE.strip(), given) == backend


def _run(code: str, environment: dict[str, str]) -> str:
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=root, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.strip()
