"""A server that is killed while it takes one step of a consent: ``URL KEY STEP STATE_OR_TICKET NUMBER:before|after``.

``NUMBER`` counts the transactions of the step from 0; the process kills itself before or after that one.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from typing import Any

from oauth_taskflow.consents.sql import SqlConsentStore
from tests.consents.conftest import make_pending


def main(url: str, key: str, step: str, secret: str, boundary: str) -> None:
    """Take ``step``, and die at the named boundary."""
    store = SqlConsentStore(url, [key])
    number, moment = boundary.split(":")
    run, count = store._database._once, itertools.count()

    def run_and_die(work: Any, **how: Any) -> Any:
        mine = next(count) == int(number)
        if mine and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = run(work, **how)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    store._database._once = run_and_die  # type: ignore[method-assign]
    steps: dict[str, Any] = {
        "begin": lambda: store.begin(make_pending(state=secret)),
        "park": lambda: store.park(secret, [("code", "c"), ("state", secret)]),
        "take": lambda: store.take(secret),
    }
    steps[step]()


if __name__ == "__main__":
    main(*sys.argv[1:])
