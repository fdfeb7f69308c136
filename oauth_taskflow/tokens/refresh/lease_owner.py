"""Who holds a lease, and what becomes of that process: a dead worker's lease need not run out first.

A living one's lease does not end sooner because somebody sets the clock that leases go by.
"""

from __future__ import annotations

import os
import secrets
import socket
from functools import lru_cache
from pathlib import Path

_PROC = Path("/proc")


def this_process() -> str:
    """A name for this process that no other one has had: host, machine start, process namespace, id, start time."""
    pid = os.getpid()
    return "|".join((socket.gethostname()[:60], _world(), str(pid), _started(pid) or "?"))


def new_attempt(until: float) -> str:
    """A name for one attempt of this process to hold a lease until ``until`` (monotonic); no other attempt has it."""
    return f"{this_process()}|{secrets.token_hex(4)}|{until:.1f}"


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


def _is_hidden(pid: int) -> bool:
    """Whether ``pid`` lives and cannot be looked at: ``/proc`` may show each user their own processes only."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        pass
    return not (_PROC / str(pid) / "stat").exists()


def _seen(owner: str | None) -> list[str]:
    """The parts of the name of an ``owner`` that this process can see; empty when it runs elsewhere."""
    parts = (owner or "").split("|")
    # Version 0.1, which may run beside this one, names its process and no attempt.
    if len(parts) not in {4, 6} or not parts[1] or parts[1] != _world() or not parts[2].isdigit():
        return []
    return parts


def is_seen(owner: str | None) -> bool:
    """Whether this process can see that ``owner`` lives or is gone: they run on one machine."""
    return bool(_seen(owner))


def named(owner: str | None) -> str:
    """``owner`` for people: process and host, or as much as is known."""
    parts = (owner or "").split("|")
    if len(parts) < 4 or not parts[2].isdigit():
        return "another worker"
    return f"process {parts[2][:10]} on host {parts[0][:60]}"


def is_dead(owner: str | None) -> bool:
    """Whether ``owner`` is certainly gone. False when it lives, or runs where this process cannot see it."""
    parts = _seen(owner)
    if not parts:
        return False
    pid = int(parts[2])
    return _started(pid) != parts[3] and not _is_hidden(pid)


def holds(owner: str | None, now: float) -> bool:
    """Whether ``owner`` lives, and by the monotonic clock, which all processes of a machine share, its time is not up.

    False when it runs where this process cannot see it: there the store's clock alone decides.
    """
    parts = _seen(owner)
    return len(parts) > 4 and now < float(parts[5]) and not is_dead(owner)
