"""Loads the modules of tasks in Celery and Edge workers, before they fork their first process.

Airflow loads no plugin in these workers, so no listener hears of them. It does read the provider metadata there, which
registers the hook below. Each pool process, and each task it forks in turn, then finds the modules loaded.
"""

from __future__ import annotations

import os
import sys
from typing import ClassVar

# Loaded in the main process of a worker, and nowhere else.
_WORKERS = ("celery.apps.worker", "airflow.providers.edge3.cli.worker")


class _Hook:
    """Whether this process has registered the hook, and whether it has loaded what tasks import."""

    registered: ClassVar[bool] = False
    done: ClassVar[bool] = False


def preload_before_fork() -> None:
    """Registers the hook, once per process. It costs nothing in processes other than these workers."""
    if not _Hook.registered and hasattr(os, "register_at_fork"):
        _Hook.registered = True
        os.register_at_fork(before=_before_fork)


def _before_fork() -> None:
    if _Hook.done or not any(name in sys.modules for name in _WORKERS):
        return
    _Hook.done = True
    from oauth_taskflow.taskflow.preload import load_all  # noqa: PLC0415 - in workers only

    load_all()
