"""A worker that notifies people of a dead grant, and kills itself at a step: ``killed_sender.py URL CONN_ID FILE STEP``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from oauth_taskflow.notices import store as store_module
from oauth_taskflow.notices.notice import Notice
from oauth_taskflow.notices.store import NoticeKeeper, NoticeStore, Topic
from oauth_taskflow.notices.trouble import Limits, Look, Trouble
from oauth_taskflow.taskflow.notices.delivery import Channel
from oauth_taskflow.taskflow.notices.watching import Rules, Sender

STEPS = ("before the claim", "after the claim", "after sending", "in settling", "after settling")


class DeadGrant:
    """A grant that needs consent."""

    def __init__(self, keeper: NoticeStore) -> None:
        self.keeper: NoticeKeeper = keeper

    def look(self, limits: Limits) -> Look:
        return Look((Trouble("needs_consent", 1.0),))

    def use(self) -> None:
        """Nothing would change."""


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_around(name: str, *, before: bool) -> None:
    """Lets the process die before, or right after, the method ``name`` of the store."""
    method: Callable[..., Any] = getattr(NoticeStore, name)

    def replacement(*args: Any, **options: Any) -> Any:
        if before:
            die()
        method(*args, **options)
        die()

    setattr(NoticeStore, name, replacement)


def send_due(url: str, conn_id: str, file: Path) -> list[str]:
    """Writes each notice to send into ``file``."""

    def write(notice: Notice, _: Mapping[str, Any]) -> None:
        with file.open("a") as mails:
            mails.write(f"{notice.kind}\n")

    store = NoticeStore(url)
    sender = Sender(DeadGrant(store), Topic(conn_id, "c"), Channel("c", write), Rules())
    try:
        return sender.send_due((Trouble("needs_consent", 1.0),), {})
    finally:
        store.close()


def main() -> None:
    url, conn_id, file, step = sys.argv[1:]
    name, before = {
        "before the claim": ("claim", True),
        "after the claim": ("claim", False),
        "after sending": ("settle", True),
        "in settling": ("_write_sent", False),
        "after settling": ("settle", False),
    }[step]
    store_module.CLAIM_SECONDS = 1.0
    kill_around(name, before=before)
    send_due(url, conn_id, Path(file))


if __name__ == "__main__":
    main()
