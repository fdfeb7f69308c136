"""kill -9 and SIGSTOP at every step of a refresh, at a server with and without a grace period.

The scenarios run side by side, because most of their time is waiting for a lease to end; each test looks at one.
"""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import requests

from oauth_taskflow.errors import InvalidGrant, RefreshResponseLost, TokenEndpointUnavailable
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.events import Step
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.options import ManagerOptions
from tests.tokens.conftest import KEY
from tests.tokens.worker import API_PATH, Plan, exit_code, one_token, start, wait_until_stopped

# For the worker that is disturbed: the others wait three seconds without a sign of life, and a request may outlast a stall of
# the machine. Else its answer counts as lost, and it asks once more.
_OPTIONS = ManagerOptions(lease_ttl=12.0, request_budget=8.0, heartbeat=0.75)
# Longer than the budget of a request, within which a worker waits itself.
_PAUSE = {"Retry-After": "16"}
_SIGNALS = (signal.SIGKILL, signal.SIGSTOP)
_GRACES = (0, 60)
# A waiting worker does not refresh: nothing can go wrong there.
_STEPS = [step for step in Step if step is not Step.WAITED]
_SCENARIOS = tuple(product(_STEPS, _SIGNALS, _GRACES))
# Token requests until a worker has a usable token; one for every step that is not named.
_REQUESTS = {Step.ANSWERED: 2, Step.IN_DOUBT: 2, Step.FAILED: 2}
# A worker before rescued its token to a file. (A refresh gives its lease back with the token; only who finds one
# under the lease releases it by itself.)
_AFTER_A_RESCUE = {Step.RECOVERED, Step.RELEASED}
# The answer is gone with the memory that held it, and a server without grace takes no second request.
_LOST_WITHOUT_GRACE = {Step.ANSWERED, Step.IN_DOUBT}


@dataclass
class Fate:
    """The fate of one grant whose refresh was disturbed, and of its next refresh."""

    requests: list[int] = field(default_factory=list)
    good_calls: int = 0
    failed_calls: int = 0
    lost: list[str] = field(default_factory=list)
    cooled_down: int = 0
    revoked: int = 0
    victim: str = ""


class Scenario:
    """One grant at a separate server, and the worker that is disturbed at ``step``."""

    def __init__(self, server: OAuthTestServer, store_url: str, step: Step, number: int) -> None:
        self._server, self._step, self._signal = server, step, number
        plan = Plan.for_server(server, store_url, KEY, options=_OPTIONS)
        self.fate = Fate()
        self._manager = replace(plan, options=ManagerOptions()).manager()
        self._plan = replace(plan, die_at=step, signal=number, **self._situation())

    def _situation(self) -> dict[str, Any]:
        """The situation that leads a refresh to a step that an ordinary one does not reach."""
        if self._step is Step.IN_DOUBT:
            self._server.drop_response_after_commit()
        if self._step is Step.FAILED:
            self._server.fault("/oauth/token", status=429, headers=_PAUSE)
        if self._step is Step.LINEAGE_LOST:
            return {"stop_at": Step.ANSWERED}
        breaks = self._step in {Step.RESCUED, *_AFTER_A_RESCUE}
        return {"store_breaks_at": Step.ANSWERED} if breaks else {}

    def run(self) -> Fate:
        """Disturb one worker; have another one take over, and wake the first if it still lives."""
        if self._step in _AFTER_A_RESCUE:
            first, said = start(one_token, replace(self._plan, die_at=Step.RESCUED, signal=9))
            assert exit_code(first) == -signal.SIGKILL, said.recv()
            self._plan = replace(self._plan, store_breaks_at=None)
        process, pipe = start(one_token, self._plan)
        if self._plan.stop_at is not None:
            self._consent_and_wake(wait_until_stopped(process))
        if self._signal == signal.SIGKILL:
            assert exit_code(process) == -signal.SIGKILL, pipe.recv()
            self._ask(None)
        else:
            stopped = wait_until_stopped(process)
            token = self._ask(None)
            os.kill(stopped, signal.SIGCONT)
            self.fate.victim = pipe.recv()
            exit_code(process)
            self._ask(token)
        self._ask(self._ask(None))
        self.fate.revoked = self._server.counters.revoked_families
        return self.fate

    def _consent_and_wake(self, stopped: int) -> None:
        """A person authorizes the connection again while a refresh of the old consent is on its way."""
        token = Token(self._server.issue_access_token(), time.time(), time.time() + 3600)
        self._manager.stored.expect_consent().store(
            Granted(token, self._server.issue_refresh_token())
        )
        os.kill(stopped, signal.SIGCONT)

    def _ask(self, refused: str | None) -> str | None:
        """A token that works, other than ``refused``; None when the grant is lost."""
        manager, fate = self._manager, self.fate
        try:
            token = _patiently(manager, refused, fate)
        except (InvalidGrant, RefreshResponseLost) as failure:
            fate.lost.append(type(failure).__name__)
            return None
        finally:
            fate.requests.append(self._server.counters.token_requests)
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.get(self._server.base_url + API_PATH, headers=headers, timeout=20)
        fate.good_calls += answer.ok
        fate.failed_calls += not answer.ok
        return token


def _patiently(manager: TokenManager, refused: str | None, fate: Fate) -> str:
    """As Airflow asks: again after the pause that the error names."""
    try:
        token = manager.token() if refused is None else manager.renew(refused)
    except TokenEndpointUnavailable as failure:
        fate.cooled_down += 1
        time.sleep(failure.retry_after or 1)
        return _patiently(manager, refused, fate)
    return token.access_token


def _live(step: Step, number: int, grace: int, folder: Path) -> Fate:
    url = f"sqlite:///{folder}/{step.value}-{number}-{grace}.db"
    with OAuthTestServer(grace=grace) as server:
        return Scenario(server, url, step, number).run()


@pytest.fixture(scope="module")
def fates(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[tuple[Step, int, int], Future[Fate]]:
    """Every scenario, after its end: requests reads the environment, where pytest changes the name of the test between tests."""
    folder = tmp_path_factory.mktemp("fire")
    with ThreadPoolExecutor(12) as threads:
        # Those that wait longest begin first.
        ordered = sorted(_SCENARIOS, key=lambda scenario: scenario[1], reverse=True)
        return {scenario: threads.submit(_live, *scenario, folder) for scenario in ordered}


@pytest.mark.slow
@pytest.mark.parametrize("step", _STEPS, ids=lambda step: step.value)
@pytest.mark.parametrize("number", _SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("grace", _GRACES)
def test_a_worker_disturbed_at_any_step_costs_no_grant_unless_the_only_answer_died_with_it(
    fates: dict[tuple[Step, int, int], Future[Fate]], step: Step, number: int, grace: int
) -> None:
    fate = fates[step, number, grace].result()
    assert fate.requests[0] == _REQUESTS.get(step, 1)
    if grace == 0 and step in _LOST_WITHOUT_GRACE:
        # Reported as what it is, also when the stopped worker wakes and stores a pair that is dead by then.
        assert set(fate.lost) == {"RefreshResponseLost"}
        assert fate.revoked == 1
        return
    assert (fate.lost, fate.failed_calls, fate.revoked) == ([], 0, 0)
    # One token request for each refresh that was asked for after that, and no other.
    refreshes = 1 if number == signal.SIGKILL else 2
    assert fate.requests[-1] == fate.requests[0] + refreshes
    assert fate.good_calls == len(fate.requests)
    assert (fate.cooled_down > 0) == (step is Step.FAILED)
