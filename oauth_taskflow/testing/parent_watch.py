"""Ends programs together with the process that started them, even when that process is killed."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys

# Reads until a byte releases it, or until the pipe ends because the process that holds it has ended.
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


class ParentWatch:
    """Ends a process group as soon as this process has ended for any reason; ``release`` stops the watch.

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
        """Stop the watch; the group then runs independently of this process."""
        pipe = self._watch.stdin
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError), pipe:
            pipe.write(b".")
        self._watch.wait()
