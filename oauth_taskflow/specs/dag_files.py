"""Finds DAG files that load specs but that Airflow silently skips."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from oauth_taskflow.specs.problem import Problem

_CALL = b"load_specs"


def find_skipped_files(paths: Iterable[str | Path]) -> Iterator[Problem]:
    """Warn about each Python file in the folders ``paths``, or next to them, that calls ``load_specs`` and that Airflow skips.

    Airflow imports a file only when its text has the words "airflow" and "dag" (or "asset"), in whatever case, unless
    ``[core] dag_discovery_safe_mode`` is off.
    """
    folders = [Path(path) for path in paths if os.path.isdir(path)]  # noqa: PTH112  # unlike Path.is_dir, never raises
    beside = {file for folder in folders for file in folder.absolute().parent.glob("*.py")}
    inside = {file.absolute() for folder in folders for file in folder.rglob("*.py")}
    for file in sorted(beside | inside):
        text = _read(file)
        lower = text.lower()
        if _CALL in text and not (b"airflow" in lower and (b"dag" in lower or b"asset" in lower)):
            line = text[: text.index(_CALL)].count(b"\n") + 1
            message = 'Airflow skips this DAG file: its text has not both words "airflow" and "dag"'
            hint = "Write them into a comment: # airflow dag."
            yield Problem(str(file), line, 1, "warning", "", message, "skipped-dag-file", hint)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes() if file.is_file() else b""
    except OSError:
        return b""
