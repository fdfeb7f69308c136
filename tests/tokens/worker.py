"""The work of the worker processes of the tests; importable, so that a fresh process can start here."""

from __future__ import annotations

import atexit
import http.client
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from urllib.parse import urlsplit

from oauth_taskflow.errors import OAuthTaskflowError, TokenStoreError
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import Grant, GrantOptions, RefreshToken
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.events import Event, Step
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.refresh import lease_owner
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from oauth_taskflow.tokens.state.record import GrantRecord, Lease
from oauth_taskflow.tokens.state.transitions import Transition

CONTEXT: ForkServerContext = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.tokens.worker", "psycopg", "pymysql"])
# multiprocessing hears an exit code once, and each start() asks all processes for theirs: of two threads that ask
# together, one would get 255. So one asks at a time.
_asking = threading.Lock()
_pid = os.getpid()
# Nothing takes so long; importing Airflow takes half a minute where other programs keep both cores busy.
_LONGEST = 180.0
_signalled: set[Step] = set()
API_PATH = "/page/airports?per_page=1"


@dataclass(frozen=True)
class Plan:
    """One grant, and how a worker works with it.

    At the step ``die_at`` it sends ``signal`` to itself, once; at ``stop_at`` it stops itself first. From the step
    ``store_breaks_at`` on its store takes no write, and the first one that fails kills it if it ``dies_waiting``.
    One ``elsewhere`` names itself as a process that workers of this machine cannot see.
    """

    store_url: str
    key: str
    token_url: str
    refresh_token: str
    client_id: str = "test-client"
    client_secret: str = "test-secret"
    threads: int = 4
    seconds: float = 6.0
    options: ManagerOptions = field(default_factory=ManagerOptions)
    die_at: Step | None = None
    signal: int = signal.SIGKILL
    stop_at: Step | None = None
    elsewhere: bool = False
    store_breaks_at: Step | None = None
    dies_waiting: bool = False

    @classmethod
    def for_server(
        cls, server: OAuthTestServer, store_url: str, key: str, **fields: object
    ) -> Plan:
        """A plan with a new refresh token of ``server``."""
        token = server.issue_refresh_token()
        return cls(store_url, key, server.token_url, token, **fields)  # type: ignore[arg-type]

    def manager(self) -> TokenManager:
        """A manager by this plan, in this process."""
        if self.elsewhere:
            lease_owner._PROC = Path("/no/process/table")
            lease_owner._process_namespace.cache_clear()
        endpoint = TokenEndpoint(
            self.token_url, Client(self.client_id, self.client_secret), conn_id="crm"
        )
        grant: Grant = RefreshToken(self.refresh_token, GrantOptions(scope="airports.read"))
        store = BreakableStore(self.store_url, [self.key])
        store.kills = self.dies_waiting
        return TokenManager.for_grant(
            store, endpoint, grant, options=self.options, observer=partial(self._watch, store)
        )

    def _watch(self, store: BreakableStore, event: Event) -> None:
        store.broken |= event.step is self.store_breaks_at
        for step, number in ((self.stop_at, signal.SIGSTOP), (self.die_at, self.signal)):
            if event.step is step and step not in _signalled:
                _signalled.add(step)
                with store.beat:
                    os.kill(os.getpid(), number)
                    # A signal to a process with threads does not stop the sending one at once.
                    time.sleep(0.1)


class BreakableStore(SqlTokenStore):
    """A store that fails every change while it is ``broken``, and ``kills`` its process with it."""

    broken = False
    kills = False
    beat = threading.Lock()
    """Held while the lease is prolonged: who stands still within a transaction of SQLite keeps everybody from writing."""

    def prolong(self, grant_key: str, lease: Lease, *, ttl: float, waits: bool) -> bool:
        with self.beat:
            return super().prolong(grant_key, lease, ttl=ttl, waits=waits)

    def change(self, record: GrantRecord, transition: Transition) -> GrantRecord:
        if self.broken:
            if self.kills:
                os.kill(os.getpid(), signal.SIGKILL)
            failure = TokenStoreError("The token store is away")
            failure.retryable = True
            raise failure
        return super().change(record, transition)


@dataclass
class Report:
    """The results of the threads of one process."""

    good: int = 0
    replayed: int = 0
    failed: int = 0
    trouble: str = ""


Work = Callable[[Plan, Connection], None]


@atexit.register
def _end_all() -> None:
    """A process that a failed test left standing still would not heed SIGTERM, and be waited for without end."""
    for process in multiprocessing.active_children() if os.getpid() == _pid else ():
        process.kill()


def start(work: Work, plan: Plan) -> tuple[ForkServerProcess, Connection]:
    """Start ``work`` in a new process; returns it and our end of the pipe."""
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=work, args=(plan, theirs), daemon=True)
    with _asking:
        process.start()
    theirs.close()
    return process, ours


def exit_code(process: ForkServerProcess) -> int:
    """The exit code of a process, once it has ended; any thread may ask."""
    end = time.monotonic() + _LONGEST
    while True:
        with _asking:
            code = process.exitcode
        if code is not None:
            return code
        assert time.monotonic() < end, "the process does not end"
        time.sleep(0.02)


def wait_until_stopped(process: ForkServerProcess) -> int:
    """The process id, once the process stands still by SIGSTOP."""
    assert process.pid is not None
    stat = Path(f"/proc/{process.pid}/stat")
    end = time.monotonic() + _LONGEST
    while stat.read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < end, "the process does not stop"
        time.sleep(0.02)
    return process.pid


def one_token(plan: Plan, pipe: Connection) -> None:
    """Ask for one token; report the access token or the class of the error."""
    try:
        pipe.send(plan.manager().token().access_token)
    except OAuthTaskflowError as failure:
        pipe.send(type(failure).__name__)


def call_api(plan: Plan, pipe: Connection) -> None:
    """Call the API from several threads until time is up, or the parent says so; report the results."""
    manager, report, lock, over = plan.manager(), Report(), threading.Lock(), threading.Event()
    pipe.send("ready")
    pipe.recv()
    threads = [
        threading.Thread(target=_calls, args=(plan, manager, report, lock, over))
        for _ in range(plan.threads)
    ]
    for thread in threads:
        thread.start()
    pipe.poll(plan.seconds)
    over.set()
    for thread in threads:
        thread.join()
    pipe.send(report)


def _calls(
    plan: Plan,
    manager: TokenManager,
    report: Report,
    lock: threading.Lock,
    over: threading.Event,
) -> None:
    api = http.client.HTTPConnection(urlsplit(plan.token_url).netloc, timeout=20)
    try:
        while not over.is_set():
            token = manager.token().access_token
            status = _get(api, token)
            replay = status == 401
            if replay:
                status = _get(api, manager.replace_refused(token).access_token)
            with lock:
                report.replayed += replay
                report.good += status == 200
                report.failed += status != 200
            time.sleep(0.05)  # leaves the two cores of a test machine to the refreshes
    except Exception:  # noqa: BLE001  # the test shows it, whatever it is
        with lock:
            report.failed += 1
            report.trouble = traceback.format_exc()


def _get(api: http.client.HTTPConnection, token: str) -> int:
    api.request("GET", API_PATH, headers={"Authorization": f"Bearer {token}"})
    with api.getresponse() as answer:
        answer.read()
        return answer.status
