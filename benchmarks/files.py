"""Files next to the same codec by hand, and pages to an object store next to one upload of the finished file.

The store is moto's server, from .venv-services (``scripts/test-services`` installs it); without it that part is left out.

Usage: .venv/bin/python benchmarks/files.py [--uploaded 400000] [--rounds 5]
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import (
    HERE,
    Candidate,
    alternate,
    command_line,
    environment_line,
    ratio,
    table,
    times,
    verdict,
)
from peers import OURS

FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst")
CODEC_TARGET = STORE_TARGET = 1.2
SERVICES = HERE.parent / ".venv-services" / "bin" / "python"


def compare(rows: list[Candidate], rounds: int, what: str, target: float) -> None:
    """Runs candidates in turn, ours first, and prints our ratios to the second."""
    alternate(rows, rounds)
    header = ["", "seconds", "CPU s", "peak MiB"]
    keys = ("seconds", "cpu", "peak_mib")
    lines = [
        [row.name, *(row.missing or f"{row.median(key) or 0:.2f}" for key in keys)] for row in rows
    ]
    print(table(header, lines))
    ours, other = rows[:2]
    for key, name in (("cpu", "processor time"), ("seconds", "time")):
        print(verdict(f"{what}, {name}", ratio(ours.median(key), other.median(key)), target, times))
    print()


@contextmanager
def store() -> Iterator[str]:
    """The address of an empty S3."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(SERVICES), "-m", "tests.stores.s3_server", str(port)]
    with subprocess.Popen(command, cwd=HERE.parent) as server:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _wait_for(port: int) -> None:
    for _ in range(600):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit("moto's server did not start")


def main() -> None:
    options = command_line(__doc__, uploaded=400_000, rounds=5)
    print(environment_line({}))
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            rows = [
                Candidate(f"{name}: {kind}", OURS, "files_child.py", [kind, "", name, folder])
                for kind in ("ours", "raw")
            ]
            compare(rows, options.rounds, f"{name}, ours / codec by hand", CODEC_TARGET)
    if not SERVICES.exists():
        print("NOT MEASURED  S3: scripts/test-services installs the server")
        return
    with store() as url, tempfile.TemporaryDirectory() as folder:
        given = [url, str(options.uploaded), folder]
        pair = [
            Candidate(name, Path(SERVICES), "files_child.py", [kind, *given])
            for name, kind in (("pages to S3", "s3-ours"), ("one upload", "s3-upload"))
        ]
        compare(pair, options.rounds, "S3, pages / one upload", STORE_TARGET)


if __name__ == "__main__":
    main()
