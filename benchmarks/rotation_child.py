"""The worker processes of ``rotation.py``: they keep one grant's token together and call an API with it."""

from __future__ import annotations

import http.client
import os
import random
import signal
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import GrantOptions, RefreshToken
from oauth_taskflow.tokens.events import Event, Step
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.sql.store import SqlTokenStore

GOOD, REPLAYED, FAILED, KILLED = range(4)
FIGURES = 4
# Where an ordinary refresh can be killed; each is as likely as the others.
_STEPS = (Step.LEASED, Step.JOURNALED, Step.SENDING, Step.ANSWERED, Step.PERSISTED)


@dataclass(frozen=True)
class Plan:
    """One grant and how it is worked on; ``kills`` is the share of refreshes that end with kill -9."""

    store_url: str
    key: str
    base_url: str
    token_url: str
    refresh_token: str
    client_id: str
    client_secret: str
    threads: int
    kills: float = 0.0

    def manager(self) -> TokenManager:
        """A manager in this process."""
        client = Client(self.client_id, self.client_secret)
        endpoint = TokenEndpoint(self.token_url, client, conn_id="benchmark")
        store = SqlTokenStore(self.store_url, [self.key])
        grant = RefreshToken(self.refresh_token, GrantOptions())
        return TokenManager.for_grant(store, endpoint, grant, observer=self._killer())

    def _killer(self) -> Any:
        doomed: list[Step] = []

        def observe(event: Event) -> None:
            if event.step is Step.LEASED:
                doomed[:] = random.choices(_STEPS) if random.random() < self.kills else []
            if event.step in doomed:
                os.kill(os.getpid(), signal.SIGKILL)

        return observe


def work(plan: Plan, figures: Any, until: float) -> None:
    """Call the API from every thread until ``until`` (wall clock); ``figures`` survive this process."""
    manager = plan.manager()
    threads = [
        threading.Thread(target=_calls, args=(plan, manager, figures, number * FIGURES, until))
        for number in range(plan.threads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _calls(plan: Plan, manager: TokenManager, figures: Any, at: int, until: float) -> None:
    api = http.client.HTTPConnection(urlsplit(plan.base_url).netloc, timeout=30)
    while time.time() < until:
        try:
            token = manager.token().access_token
            status = _get(api, token)
            if status == 401:
                figures[at + REPLAYED] += 1
                status = _get(api, manager.replace_refused(token).access_token)
        except OAuthTaskflowError:
            status = 0
        figures[at + (GOOD if status == 200 else FAILED)] += 1
        time.sleep(0.05 if status == 200 else 0.5)


def _get(api: http.client.HTTPConnection, token: str) -> int:
    api.request("GET", "/scope/airports.read", headers={"Authorization": f"Bearer {token}"})
    with api.getresponse() as answer:
        answer.read()
        return answer.status


def stampede(plan: Plan, barrier: Any, waited: Any, first: int) -> None:
    """Every thread asks at the same moment for a token other than the one all hold; ``waited`` in seconds.

    Threads go through a gate one after the other. To let a thousand of one process go at once keeps the interpreter
    busy for longer than what is measured.
    """
    manager = plan.manager()
    old = manager.token().access_token
    ready, gate = threading.Barrier(plan.threads + 1), threading.Lock()
    gate.acquire()

    def ask(number: int) -> None:
        ready.wait()
        with gate:
            began = time.monotonic()
        token = manager.replace_refused(old).access_token
        waited[first + number] = time.monotonic() - began if token != old else -1.0

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(plan.threads)]
    for thread in threads:
        thread.start()
    ready.wait()
    barrier.wait()
    gate.release()
    for thread in threads:
        thread.join()
