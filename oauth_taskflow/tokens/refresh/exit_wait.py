"""Delays the end of this process while refreshes are under way in it.

Airflow ends a task's process by ``os._exit`` as soon as the task is over, and every thread with it. All that it runs
before is what was registered with ``atexit`` after its fork. A refresh in the background, or one whose task was timed
out, would be cut off between the server's answer and the store.
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
    """The refreshes of this process; a forked child begins without any."""

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
def hold_process_exit() -> Iterator[None]:
    """Keep the process from ending while the block runs, unless it is killed.

    Raises:
        LeaseTimeout: it is ending, and the caller of this thread is gone.
    """
    if not _Refreshes.registered:
        _Refreshes.registered = True
        atexit.register(_wait)
    over = threading.Event()
    _Refreshes.under_way.add(over)
    try:
        # Checked last: at its end, the process first notes the late threads, and then the refreshes that are under way.
        if threading.current_thread() in _Refreshes.too_late:
            raise LeaseTimeout("No refresh begins any more, because this process is ending")
        yield
    finally:
        _Refreshes.under_way.discard(over)
        over.set()


def _wait() -> None:
    # A thread that still waits for another worker's refresh must not begin a refresh after this check. Requests of later
    # exit handlers run in other threads.
    _Refreshes.too_late.update(set(threading.enumerate()) - {threading.current_thread()})
    for over in list(_Refreshes.under_way):
        over.wait()
