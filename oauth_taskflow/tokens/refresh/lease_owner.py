"""Names the process that holds a lease and checks whether it lives: a dead worker's lease need not run out first.

A living worker's lease does not end sooner if the store's clock is set.
"""

from __future__ import annotations

import os
import secrets
import socket
from functools import lru_cache
from pathlib import Path

_PROC = Path("/proc")


def this_process() -> str:
    """A unique name for this process: host, machine start, process namespace, id, start time."""
    pid = os.getpid()
    return "|".join(
        (socket.gethostname()[:60], _process_namespace(), str(pid), _start_time(pid) or "?")
    )


def new_attempt(until: float) -> str:
    """A name for one attempt of this process to hold a lease until ``until`` (monotonic); no other attempt has it."""
    return f"{this_process()}|{secrets.token_hex(4)}|{until:.1f}"


@lru_cache(maxsize=1)
def _process_namespace() -> str:
    """The set of processes that this one can see: machine start and process namespace; empty when unknown."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def _start_time(pid: int) -> str | None:
    """When ``pid`` started, in ticks since machine start; None if no such process lives."""
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
    except OSError:  # it belongs to another user
        pass
    return not (_PROC / str(pid) / "stat").exists()


def _visible_parts(owner: str | None) -> list[str]:
    """The parts of the name of an ``owner`` that this process can see; empty if it runs elsewhere."""
    parts = (owner or "").split("|")
    # Version 0.1, which may run at the same time, names its process but not the attempt.
    if (
        len(parts) not in {4, 6}
        or not parts[1]
        or parts[1] != _process_namespace()
        or not parts[2].isdigit()
    ):
        return []
    return parts


def is_visible(owner: str | None) -> bool:
    """Whether this process can see that ``owner`` lives or is gone: they run on one machine."""
    return bool(_visible_parts(owner))


def describe(owner: str | None) -> str:
    """``owner`` for people: process and host, or as much as is known."""
    parts = (owner or "").split("|")
    if len(parts) < 4 or not parts[2].isdigit():
        return "another worker"
    return f"process {parts[2][:10]} on host {parts[0][:60]}"


def is_dead(owner: str | None) -> bool:
    """Whether ``owner`` is certainly gone. False when it lives, or runs where this process cannot see it."""
    parts = _visible_parts(owner)
    if not parts:
        return False
    pid = int(parts[2])
    return _start_time(pid) != parts[3] and not _is_hidden(pid)


def holds(owner: str | None, now: float) -> bool:
    """Whether ``owner`` lives, and by the monotonic clock, which all processes of a machine share, its time is not up.

    False when it runs where this process cannot see it: there the store's clock alone decides.
    """
    parts = _visible_parts(owner)
    return len(parts) > 4 and now < float(parts[5]) and not is_dead(owner)
