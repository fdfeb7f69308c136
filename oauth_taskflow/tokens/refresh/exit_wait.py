"""Refreshes under way in this process: its end waits for them.

Airflow ends a task's process by ``os._exit`` as soon as the task is over, and every thread with it. All that it runs
before is what was registered with ``atexit`` after its fork. A refresh in the background, or one whose task was timed
out, would be torn off between the server's answer and the store.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from oauth_taskflow.errors import LeaseTimeout


class _Refreshes:
    """What goes on in this process; a forked child begins without."""

    under_way: ClassVar[set[threading.Event]] = set()
    too_late: ClassVar[set[threading.Thread]] = set()
    registered: ClassVar[bool] = False

    @classmethod
    def forget(cls) -> None:
        cls.under_way, cls.too_late, cls.registered = (
            set(),
            set(),
            False,
        )  # pragma: no cover  # runs in the child


os.register_at_fork(after_in_child=_Refreshes.forget)


@contextmanager
def waited_for() -> Iterator[None]:
    """The process does not end while the block runs, unless it is killed.

    Raises:
        LeaseTimeout: it is ending, and whoever wanted a token from this thread is gone.
    """
    if not _Refreshes.registered:
        _Refreshes.registered = True
        atexit.register(_wait)
    over = threading.Event()
    _Refreshes.under_way.add(over)
    try:
        # Looked at last: the end of the process names the late ones first, and then looks who is under way.
        if threading.current_thread() in _Refreshes.too_late:
            raise LeaseTimeout("No refresh begins any more, because this process is ending")
        yield
    finally:
        _Refreshes.under_way.discard(over)
        over.set()


def _wait() -> None:
    # A thread that still waits for another worker's refresh must not begin one of its own once we have looked. What
    # later exit handlers ask for runs in other threads.
    _Refreshes.too_late.update(set(threading.enumerate()) - {threading.current_thread()})
    for over in list(_Refreshes.under_way):
        over.wait()
