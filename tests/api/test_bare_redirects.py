"""Redirects that leave the API without credentials and come back: nothing is signed, renewed or held for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oauth_taskflow.api.options import ResponseRule
from oauth_taskflow.api.retry import RetryPolicy
from tests.api.aio.twins import Asking, Twin, twin
from tests.api.conftest import Serve
from tests.api.scripted import Asked, Reply, ScriptedApi, Sources
from tests.api.test_budgets_on_the_way import LoggedGate

__all__ = ["twin"]  # a fixture

Leave = Callable[[Reply], ScriptedApi]
REFRESHES = [ResponseRule(status=403, action="refresh")]


@pytest.fixture
def leave(serve: Serve) -> Leave:
    """An API whose ``/x`` redirects to another origin, and that one back to ``/back``, which gives the answer."""

    def start(answer: Reply) -> ScriptedApi:
        def route(asked: Asked) -> Reply:
            return answer if asked.path == "/back" else Reply({}, 302, {"Location": other.url})

        api = serve(route)
        other = serve(lambda _: Reply({}, 302, {"Location": f"{api.url}/back"}))
        return api

    return start


@pytest.mark.parametrize("answer", [Reply({}, 401), Reply({}, 403)])
def test_a_refusal_of_a_hop_without_token_renews_no_token(
    leave: Leave, twin: Twin, source: Sources, answer: Reply
) -> None:
    api = leave(answer)
    outcome = twin(api, Asking(), foreign_redirects="bare", responses=REFRESHES)
    assert (outcome.status, outcome.hops) == (answer.status, [302, 302])
    assert (source.refusals, api.paths) == (0, ["/x", "/back"])


def test_a_refusal_of_the_first_request_still_renews_the_token_after_a_hop_without_one(
    serve: Serve, twin: Twin, source: Sources
) -> None:
    other = serve(lambda _: Reply({}, 503))
    replies = [Reply({}, 302, {"Location": other.url}), Reply({}, 401), Reply({"ok": 1})]
    api = serve(lambda _: replies[len(api.asked) - 1])
    assert twin(api, Asking(), foreign_redirects="bare").status == 200
    assert (source.refusals, api.tokens()) == (1, ["Bearer t1", "Bearer t1", "Bearer t2"])


def test_a_long_wait_at_the_gate_signs_no_hop_without_credentials(leave: Leave, twin: Twin) -> None:
    gate = LoggedGate([])
    gate.waited = 6.0
    api = leave(Reply({}))
    assert twin(api, Asking(), foreign_redirects="bare", budgets=gate).status == 200
    assert api.tokens() == ["Bearer t1", ""]


@pytest.mark.parametrize("attempts", [1, 2])
def test_the_limit_of_another_origin_holds_no_budget_of_the_api(
    serve: Serve, twin: Twin, attempts: int
) -> None:
    other = serve(lambda _: Reply({}, 429, {"Retry-After": "1"}))
    api = serve(lambda _: Reply({}, 302, {"Location": other.url}))
    held: list[float] = []
    gate: Any = LoggedGate([])
    gate.hold = held.append
    known = {"retry": RetryPolicy(attempts=attempts), "budgets": gate}
    assert twin(api, Asking(), foreign_redirects="bare", **known).status == 429
    assert (len(other.asked), held) == (attempts, [])


def test_the_limit_of_the_api_itself_holds_it_also_after_a_hop_elsewhere(
    leave: Leave, twin: Twin
) -> None:
    held: list[float] = []
    gate: Any = LoggedGate([])
    gate.hold = held.append
    known = {"retry": RetryPolicy(attempts=1), "budgets": gate}
    api = leave(Reply({}, 429, {"Retry-After": "7"}))
    assert twin(api, Asking(), foreign_redirects="bare", **known).status == 429
    assert held == [7.0]
