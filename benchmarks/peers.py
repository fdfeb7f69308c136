"""Installs each peer into a separate environment below ``.benchmarks/``, once per requirements file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from measure import Candidate

HERE = Path(__file__).parent
ROOT = HERE.parent / ".benchmarks"
OURS = HERE.parent / ".venv" / "bin" / "python"


class PeerMissing(Exception):
    """The peer cannot be installed here; the text says why, in one line."""


def peer(name: str, *more: str) -> Path:
    """The Python of the environment that ``requirements-<name>.txt`` describes, installed when it is not.

    ``more`` are further arguments of the installation.

    Raises:
        PeerMissing: it cannot be installed.
    """
    folder, requirements = ROOT / name, HERE / f"requirements-{name}.txt"
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    wanted = requirements.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(
        f"Installing {requirements.name} into {folder.relative_to(HERE.parent)} …", file=sys.stderr
    )
    uv = OURS.with_name("uv")
    try:
        if uv.exists():
            _run(uv, "venv", "-q", "--clear", "--python", sys.executable, folder)
            _run(uv, "pip", "install", "-q", "--python", python, "-r", requirements, *more)
        else:
            _run(sys.executable, "-m", "venv", "--clear", folder)
            _run(python, "-m", "pip", "install", "-q", "-r", requirements, *more)
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or str(error)).strip().splitlines() or ["no reason given"]
        raise PeerMissing(lines[-1]) from error
    stamp.write_text(wanted)
    return python


def use_peer(row: Candidate, name: str) -> None:
    """Gives ``row`` the Python of that environment; a row whose peer cannot be installed says so and keeps its place."""
    try:
        row.python = peer(name)
    except PeerMissing as missing:
        row.python, row.missing = None, f"not installed: {missing}"


def peer_rows(
    peers: Iterable[tuple[str, str, str]], script: str, *arguments: str
) -> list[Candidate]:
    """One row for each name, kind and environment; ``script`` gets the kind before ``arguments``."""
    rows = []
    for name, kind, environment in peers:
        row = Candidate(name, None, script, [kind, *arguments])
        use_peer(row, environment)
        rows.append(row)
    return rows


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
