"""A pull in a separate process that may be killed: ``python -m tests.engine.killed_pull FOLDER OPENER STYLE FORMAT URL [DIE_AT COUNT]``.

``DIE_AT`` is ``module:Class.method``, optionally with ``+`` before it: the process is killed at the COUNT-th call, before
or (with ``+``) after it was made. ``OPENER`` is a module with ``open_folder``.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.engine.resume import ResumeOptions
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.engine.summary import EndpointSummary
from oauth_taskflow.specs.model import Endpoint, Request
from oauth_taskflow.specs.windows import Interval
from tests.api.pull.styles import STYLES
from tests.engine.cut_off import SEAL
from tests.support.auth import bearer_auth

ROOT = Path(__file__).resolve().parents[2]
END = datetime(2026, 1, 4, tzinfo=timezone.utc)


def pull(folder: str, opener: str, style: str, file_format: str, url: str) -> EndpointSummary:
    """Pulls everything from the API at ``url`` into ``folder``."""
    open_folder = importlib.import_module(opener).open_folder
    endpoint = Endpoint(
        request=Request(path="/rows/ann"),
        records="items",
        primary_key="id",
        paginate=STYLES[style](),
        destination=FileDestination(path=folder, format=file_format),
    )
    run = EndpointRun(
        name="rows",
        endpoint=endpoint,
        run_id="r",
        template_context={},
        interval=Interval(None, END),
        access=StoreAccess(lambda path, _conn_id: open_folder(path)),
        resume=ResumeOptions(SEAL, keep_every=0.0),
    )
    # The port differs from test to test, but not within one.
    with OAuthSession(url, bearer_auth("t"), retry=RetryPolicy(attempts=1)) as session:
        return run_endpoint(run, session)


def pull_in_process(*arguments: str) -> int:
    """Pulls in another process; returns its exit status, that of a kill is negative."""
    command = [sys.executable, "-m", "tests.engine.killed_pull", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
    return done.returncode


def _die_at(place: str, count: str) -> None:
    module, _, name = place.removeprefix("+").partition(":")
    owner_name, _, method = name.partition(".")
    owner: Any = getattr(importlib.import_module(module), owner_name)
    real, calls = getattr(owner, method), iter(range(1_000_000))

    def deadly(*args: Any, **kwargs: Any) -> Any:
        is_last = next(calls) == int(count)
        if is_last and not place.startswith("+"):
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, method, deadly)


if __name__ == "__main__":
    *_wanted, _place, _count = sys.argv[1:]
    if _place:
        _die_at(_place, _count)
    pull(*_wanted)
