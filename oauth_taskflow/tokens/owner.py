"""Who holds a lease, and whether that process has died: a dead worker's lease need not run out first."""

from __future__ import annotations

import os
import socket
from functools import lru_cache
from pathlib import Path

_PROC = Path("/proc")


def this_process() -> str:
    """A name for this process that no other one has had: host, machine start, process namespace, id, start time."""
    pid = os.getpid()
    return "|".join((socket.gethostname()[:60], _world(), str(pid), _started(pid) or "?"))


@lru_cache(maxsize=1)
def _world() -> str:
    """The set of processes that this one can see: machine start and process namespace; empty when unknown."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When ``pid`` started, in ticks since machine start; None when there is no such live process."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name in parentheses may hold blanks
    return None if fields[0] in {"Z", "X"} else fields[19]


def is_dead(owner: str | None) -> bool:
    """Whether ``owner`` is certainly gone. False when it lives, or runs where this process cannot see it."""
    parts = (owner or "").split("|")
    if len(parts) != 4 or not parts[1] or parts[1] != _world() or not parts[2].isdigit():
        return False
    return _started(int(parts[2])) != parts[3]
