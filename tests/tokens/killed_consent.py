"""A server that is killed between the answer to a consent and its end: ``URL KEY FOLDER BOUNDARY``.

``BOUNDARY`` is ``kept`` (the answer is in its file), or ``NUMBER:before|after`` a transaction of storing it, from 0.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.endpoint.response import interpret
from oauth_taskflow.oauth.grants import GrantOptions, RefreshToken
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from tests.tokens.endpoints import script_endpoint


def grant_for(boundary: str) -> RefreshToken:
    """A separate grant for each boundary: tests share the database, and its first consent takes more transactions."""
    return RefreshToken("seed-token", GrantOptions(scope=f"until-{boundary}"))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(store: SqlTokenStore, boundary: str) -> None:
    """Let the process die around the named transaction."""
    number, moment = boundary.split(":")
    run, count = store._database._once, itertools.count()

    def run_and_die(work: Any, **how: Any) -> Any:
        mine = next(count) == int(number)
        if mine and moment == "before":
            die()
        result = run(work, **how)
        if mine:
            die()
        return result

    store._database._once = run_and_die  # type: ignore[method-assign]


def main(url: str, key: str, folder: str, boundary: str) -> None:
    """Receive the answer to a consent, and die at ``boundary``."""
    store = SqlTokenStore(url, [key], recovery_dir=Path(folder))
    endpoint, grant = script_endpoint(), grant_for(boundary)
    manager = TokenManager.for_grant(store, endpoint, grant)
    arriving, now = manager.stored.expect_consent(by="ann"), SYSTEM_CLOCK.now()
    body = {"access_token": "at-new", "refresh_token": "rt-new", "expires_in": 3600}
    came = TokenHttpResponse(
        200, {"content-type": "application/json"}, json.dumps(body).encode(), now, now
    )
    arriving.keep(came)
    if boundary == "kept":
        die()
    die_at(store, boundary)
    outcome = interpret(came, endpoint.describe_request(grant))
    assert isinstance(outcome, Granted)
    arriving.store(outcome)


if __name__ == "__main__":
    main(*sys.argv[1:])
