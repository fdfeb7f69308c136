"""Programs that end with the process that started them, even when that one is killed."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys

# Reads until it is released by a byte, or until the pipe ends because the process that holds it is gone.
_WATCH = """\
import os, shutil, sys, time
if not os.read(0, 1):
    request = int(sys.argv[2])
    try:
        for _ in range(100):
            os.killpg(int(sys.argv[1]), request)
            request = 0
            time.sleep(0.1)
    except ProcessLookupError:
        pass
    for folder in sys.argv[3:]:
        shutil.rmtree(folder, ignore_errors=True)
"""


class Tie:
    """Ends a process group as soon as this process is gone, however it went; ``release`` unties them.

    A small process watches, because no handler runs in a process that is killed.

    Args:
        group: id of the process group.
        request: the signal that ends it.
        folders: deleted after it, best effort.
    """

    def __init__(self, group: int, *folders: str, request: signal.Signals = signal.SIGKILL) -> None:
        self._watch = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-I", "-S", "-c", _WATCH, str(group), str(int(request)), *folders],
            stdin=subprocess.PIPE,
            # Ctrl-C reaches this process's group: the watch must outlive it.
            start_new_session=True,
        )

    def release(self) -> None:
        """Let the group live, or be dead, on its own."""
        pipe = self._watch.stdin
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError), pipe:
            pipe.write(b".")
        self._watch.wait()
