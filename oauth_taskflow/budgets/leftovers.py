"""Lets gates return what they took ahead and do not use: a while after the last request, or when the process ends.

Airflow ends a task's process by ``os._exit``, after what was registered with ``atexit`` since its fork.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from typing import ClassVar, Protocol
from uuid import uuid4

# Seconds without a request after which slots are returned. The next endpoint or session usually begins sooner.
IDLE = 2.0


class Holder(Protocol):
    """A gate that may hold slots."""

    def give_back(self, *, idle_for: float = 0.0) -> float:
        """Return them unless they were used lately; the seconds until the next try, or 0."""


Later = Callable[[Holder, float], None]


class _Process:
    """The holders of this process; a forked child begins without any."""

    holders: ClassVar[set[Holder]] = set()
    lock: ClassVar[threading.Lock] = threading.Lock()
    is_registered: ClassVar[bool] = False
    worker: ClassVar[str] = ""

    @classmethod
    def forget(cls) -> None:
        cls.holders, cls.lock = set(), threading.Lock()
        cls.is_registered, cls.worker = False, ""


os.register_at_fork(after_in_child=_Process.forget)


def worker_name() -> str:
    """The name of this process in ledgers; all its gates together are one worker."""
    with _Process.lock:
        _Process.worker = _Process.worker or uuid4().hex[:12]
        return _Process.worker


def return_later(holder: Holder, seconds: float) -> None:
    """Let ``holder`` give back what it holds after ``seconds`` without a request, or at the end of the process."""
    with _Process.lock:
        if not _Process.is_registered:
            _Process.is_registered = True
            atexit.register(return_all)
        if holder in _Process.holders:
            return
        _Process.holders.add(holder)
    _start_timer(holder, seconds)


def _start_timer(holder: Holder, seconds: float) -> None:
    timer = threading.Timer(seconds, _try, [holder])
    timer.daemon, timer.name = True, "budget-leftovers"
    timer.start()


def _try(holder: Holder) -> None:
    again = holder.give_back(idle_for=IDLE)
    if again:
        _start_timer(holder, again)
        return
    with _Process.lock:
        _Process.holders.discard(holder)


def return_all() -> None:
    """Let all holders give back what they hold: at the end of a task, or of the process."""
    with _Process.lock:
        holders = list(_Process.holders)
    for holder in holders:
        holder.give_back()
