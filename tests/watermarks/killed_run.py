"""One run in a separate process, which kills itself at a step: ``killed_run.py FOLDER URL RUN_ID STEP``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oauth_taskflow.destinations.folder_writer import FolderWriter
from oauth_taskflow.watermarks import store as store_module
from oauth_taskflow.watermarks.store import WatermarkStore
from tests.watermarks.one_run import run_once

STEPS = (
    "after a page",
    "before the note",
    "after the note",
    "after the commit",
    "in the move",
    "after the move",
)


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_around(owner: Any, name: str, *, before: bool) -> None:
    """Lets the process die before, or right after, the function ``name`` of ``owner``."""
    function: Callable[..., Any] = getattr(owner, name)

    def replacement(*args: Any, **options: Any) -> Any:
        if before:
            die()
        function(*args, **options)
        die()

    setattr(owner, name, replacement)


def main() -> None:
    folder, url, run_id, step = sys.argv[1:]
    place, name, before = {
        "after a page": (FolderWriter, "keep", False),
        "before the note": (WatermarkStore, "prepare", True),
        "after the note": (WatermarkStore, "prepare", False),
        "after the commit": (WatermarkStore, "settle", True),
        "in the move": (store_module, "settle_moves", False),
        "after the move": (WatermarkStore, "settle", False),
    }[step]
    kill_around(place, name, before=before)
    run_once(Path(folder), url, run_id)


if __name__ == "__main__":
    main()
