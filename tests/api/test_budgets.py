"""Sessions, pulls and endpoints keep to their budgets; sync and async ask the same gate."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from oauth_taskflow.api.errors import ApiStatusError
from oauth_taskflow.api.options import PageNumberPaginator, RateLimit, Records, ResponseRule
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.budgets.gate import BudgetGate
from oauth_taskflow.budgets.keeper import Budgets, BudgetSet
from oauth_taskflow.budgets.local import budget_folder, local_budgets, open_local_store
from oauth_taskflow.budgets.slots import Slot
from oauth_taskflow.errors import ApiError
from tests.api.aio.twins import Asking, Twin, twin
from tests.api.conftest import Connect, Converse, Serve
from tests.api.scripted import Asked, FakeClock, Reply
from tests.budgets.memory import MemoryBudgetStore
from tests.support.clock import FakeClock as MovedClock

__all__ = ["twin"]  # a fixture
MakeBudgets = Callable[..., Budgets]


@pytest.fixture(autouse=True)
def own_budgets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def moved() -> MovedClock:
    return MovedClock()


@pytest.fixture
def store(moved: MovedClock) -> MemoryBudgetStore:
    return MemoryBudgetStore(moved)


@pytest.fixture
def budgets(store: MemoryBudgetStore, moved: MovedClock) -> MakeBudgets:
    def make(*limits: RateLimit, **options: Any) -> Budgets:
        return Budgets(lambda: store, BudgetSet("crm", limits), clock=moved, **options)

    return make


ONE_A_MINUTE = RateLimit(requests=1, per="PT1M")


def limited(wait: str | None = None, status: int = 429) -> Reply:
    return Reply({}, status, {} if wait is None else {"Retry-After": wait})


def test_a_session_of_a_connection_with_a_budget_waits(
    serve: Serve, connect: Connect, budgets: MakeBudgets, moved: MovedClock
) -> None:
    session = connect(serve(lambda _: []), budgets=budgets(ONE_A_MINUTE))
    session.get("/a")
    assert moved.slept == []
    session.get("/b")
    assert sum(moved.slept) >= 60


def test_sessions_of_a_connection_share_its_budget_sync_and_async(
    serve: Serve,
    connect: Connect,
    converse: Converse,
    budgets: MakeBudgets,
    moved: MovedClock,
) -> None:
    api = serve(lambda _: [])
    connect(api, budgets=budgets(ONE_A_MINUTE)).get("/a")

    async def sleep(seconds: float) -> None:
        moved.sleep(seconds)

    async def talk(session: Any) -> None:
        await session.get("/b")
        await session.get("/c")

    converse(api, talk, budgets=budgets(ONE_A_MINUTE), sleep=sleep)
    assert 120 <= sum(moved.slept) <= 140
    assert len(api.asked) == 3


def test_an_async_session_holds_the_budget_after_a_429(
    serve: Serve, converse: Converse, budgets: MakeBudgets, moved: MovedClock
) -> None:
    api = serve(lambda _: Reply([], 429, {"Retry-After": "30"}) if len(api.asked) == 1 else [])

    async def sleep(seconds: float) -> None:
        moved.sleep(seconds)

    async def talk(session: Any) -> Any:
        return (await session.get("/b")).status_code

    limits = budgets(RateLimit(requests=50, per="PT1S"))
    assert converse(api, talk, budgets=limits, sleep=sleep) == 200
    other = budgets(RateLimit(requests=50, per="PT1S")).find_gate("/x")
    assert other is not None
    assert other.acquire().waited == 0  # the wait is over for all


BY_RULE = [ResponseRule(status=418, action="rate_limit")]
LAST_BY_RULE = [replace(BY_RULE[0], max_attempts=1)]
Case = tuple[Reply, str, dict[str, Any], float]
# The answer, the method, the options of the session, and for how long others are held at least.
HELD: dict[str, Case] = {
    "a wait longer than the session's": (limited("3600"), "GET", {}, 3599.9),
    "the same by a rule": (limited("3600", 418), "GET", {"responses": BY_RULE}, 3599.9),
    "a rule's last attempt": (limited("100", 418), "GET", {"responses": LAST_BY_RULE}, 99.9),
    "a request that is not repeated": (limited("100"), "POST", {}, 99.9),
    "the last attempt": (limited("100"), "GET", {"retry": RetryPolicy(attempts=1)}, 99.9),
    "a 403 as GitHub's": (limited("3600", 403), "GET", {}, 3599.9),
    "no wait named": (limited(), "POST", {}, 0.2),
}


@pytest.mark.parametrize("case", HELD.values(), ids=HELD)
def test_a_used_up_limit_holds_the_budget_also_where_the_request_is_not_repeated(
    serve: Serve, twin: Twin, budgets: MakeBudgets, moved: MovedClock, case: Case
) -> None:
    moved.advance(
        60.0
    )  # a gate at the second 0 of its clock takes a hold below a second for an old one
    reply, method, options, shortest = case
    api, limit = serve(lambda _: reply), RateLimit(requests=50, per="PT1S")
    with suppress(ApiStatusError):
        outcome = twin(api, Asking(method=method), budgets=budgets(limit), **options)
        assert outcome.status == reply.status
    assert len(api.asked) == 1
    other = budgets(limit).find_gate("/x")
    assert other is not None
    # A gate that just asked its store asks again after a second.
    assert shortest <= other.acquire().waited <= max(shortest + 0.2, 1.0)


@pytest.mark.parametrize("reply", [limited("3600", 503), limited(status=403)])
def test_other_errors_hold_no_budget(
    serve: Serve, twin: Twin, budgets: MakeBudgets, store: MemoryBudgetStore, reply: Reply
) -> None:
    with suppress(ApiStatusError):
        twin(serve(lambda _: reply), Asking(), budgets=budgets(ONE_A_MINUTE))
    assert [question for question in store.questions if question.hold] == []


def test_each_hop_of_a_redirect_counts(
    serve: Serve, connect: Connect, budgets: MakeBudgets, moved: MovedClock
) -> None:
    api = serve(lambda a: Reply([], 302, {"Location": "/b"}) if a.path == "/a" else [])
    connect(api, budgets=budgets(RateLimit(requests=2, per="PT1M"))).get("/a")
    assert moved.slept == []
    connect(api, budgets=budgets(RateLimit(requests=2, per="PT1M"))).get("/b")
    assert sum(moved.slept) >= 60


def test_paginate_keeps_to_the_budget_of_the_connection(
    serve: Serve, connect: Connect, budgets: MakeBudgets, moved: MovedClock
) -> None:
    api = serve(lambda a: [{"id": a.query["page"]}] if int(a.query["page"]) < 3 else [])
    session = connect(api, budgets=budgets(ONE_A_MINUTE))
    assert len(list(session.paginate("/", paginate=PageNumberPaginator()))) == 2
    assert sum(moved.slept) >= 120


def test_async_pages_keep_to_the_budget_and_the_wait_for_it_is_no_latency_of_the_api(
    serve: Serve, converse: Converse, budgets: MakeBudgets, moved: MovedClock
) -> None:
    api = serve(lambda a: [{"id": a.query["page"]}] if int(a.query["page"]) < 6 else [])
    waiting, sent = [], []

    async def sleep(seconds: float) -> None:
        waiting.append(True)
        moved.sleep(seconds)

    async def talk(session: Any) -> list[Any]:
        fetch = session.fetch

        async def fetching(request: Any, *, admit: Any, **options: Any) -> Any:
            def admitted(wait: Any) -> None:
                sent.append(len(waiting))
                admit(wait)

            return await fetch(request, admit=admitted, **options)

        session.fetch = fetching
        pages = session.paginate("/", paginate=PageNumberPaginator(prefetch=0), concurrency="auto")
        return [record["id"] async for record in pages]

    limits = budgets(RateLimit(requests=2, per="PT1M"))
    assert converse(api, talk, budgets=limits, sleep=sleep) == ["1", "2", "3", "4", "5"]
    assert sum(moved.slept) >= 120
    assert len(sent) == len(api.asked)
    assert sent[-1] == len(waiting)  # the attempt begins after the wait


def test_a_limit_that_an_answer_reports_as_used_up_holds_all_sessions(
    serve: Serve, connect: Connect, budgets: MakeBudgets, moved: MovedClock
) -> None:
    used_up = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "45"}
    api = serve(lambda _: Reply([], 200, used_up if len(api.asked) == 1 else {}))
    limit = RateLimit(requests=1000, per="PT1M")
    connect(api, budgets=budgets(limit)).get("/a")
    connect(api, budgets=budgets(limit)).get("/b")
    assert sum(moved.slept) == pytest.approx(45, abs=0.1)


def test_a_path_pattern_chooses_the_requests_that_count(
    budgets: MakeBudgets,
) -> None:
    search = RateLimit(requests=5, per="PT1S", endpoints=("/v3/*/search", "lists"))
    found = budgets(search, base_url="https://api.test/crm").find_gate
    assert found("https://api.test/crm/v3/contacts") is None
    assert found("https://api.test/crm/v3/contacts/search") is not None
    by_name = budgets(search).find_endpoint_gate("lists", "/v3/lists", ())
    assert by_name is not None


def test_budgets_of_connection_spec_and_endpoint_hold_at_once(budgets: MakeBudgets) -> None:
    per_second, per_day = RateLimit(requests=9), RateLimit(requests=50, per="P1D", name="acme")
    budget_sets = (BudgetSet("spec", (per_day,)), BudgetSet("crm/items", (ONE_A_MINUTE,)))
    gate = budgets(per_second).find_endpoint_gate("items", "/items", budget_sets)
    assert gate is not None
    assert [charge.window.label for charge in gate.charges] == [
        "9 per PT1S, crm",
        "50 per P1D, name acme",
        "1 per PT1M, crm/items",
    ]


def test_a_name_shares_a_budget_between_connections(store: MemoryBudgetStore) -> None:
    limit = RateLimit(requests=9, name="acme")
    gates = [
        Budgets(lambda: store, BudgetSet(conn, (limit,))).find_gate("/") for conn in ("a", "b")
    ]
    first, second = (gate.charges[0].window.key for gate in gates if gate is not None)
    assert first == second


def test_a_weight_may_be_a_template(budgets: MakeBudgets) -> None:
    def weigh(text: str) -> float:
        budget_set = BudgetSet("crm/x", (RateLimit(requests=10, weight="{{ cost }}"),))
        gate = budgets().find_endpoint_gate("x", "/x", (budget_set,), lambda _: text)
        assert gate is not None
        return gate.charges[0].cost

    assert weigh("2.5") == 2.5
    for wrong in ("", "many", "0", "-1", "11", "nan"):
        with pytest.raises(ApiError, match="must be above 0 and at most the budget"):
            weigh(wrong)


def test_a_session_without_budgets_has_no_gate(budgets: MakeBudgets) -> None:
    assert budgets().find_gate("/x") is None


def test_gates_are_kept_for_a_while_only(budgets: MakeBudgets) -> None:
    def gate(weight: float) -> BudgetGate | None:
        return budgets(RateLimit(requests=1000, weight=weight)).find_gate("/")

    first = gate(1)
    assert gate(1) is first
    for weight in range(2, 300):
        gate(weight)
    assert gate(1) is not first


def test_the_folder_is_this_users_alone() -> None:
    mode = budget_folder().stat().st_mode
    assert stat.S_IMODE(mode) == 0o700


def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"oauth_taskflow-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ApiError, match="belongs to another user"):
        budget_folder()


def local_gate(limit: RateLimit) -> BudgetGate:
    gate = local_budgets("crm").find_endpoint_gate(
        "items", "/", (BudgetSet("crm/items", (limit,)),)
    )
    assert gate is not None
    return gate


def test_a_slot_that_passed_before_the_request_was_written_is_replaced_by_the_next(
    serve: Serve, connect: Connect, converse: Converse, budgets: MakeBudgets, moved: MovedClock
) -> None:
    api = serve(lambda _: [])
    kept = budgets(RateLimit(requests=5, per="PT1M"))
    gate = kept.find_gate("/")
    assert gate is not None
    taken: list[Slot] = []

    def take() -> Slot | float:
        found = type(gate).take(gate)
        if isinstance(found, Slot):
            taken.append(found)
            if len(taken) in {1, 3}:
                moved.advance(found.end - moved.now() + 0.1)
        return found

    gate.take = take  # type: ignore[method-assign]  # of this gate: connecting takes longer than a slot lasts
    connect(api, budgets=kept).get("/a")
    assert len(taken) == 2

    async def sleep(seconds: float) -> None:
        moved.sleep(seconds)

    async def talk(session: Any) -> None:
        await session.get("/b")

    converse(api, talk, budgets=kept, sleep=sleep)
    assert (len(taken), len(api.asked)) == (4, 2)


@pytest.mark.slow
def test_a_pull_keeps_to_its_budget(serve: Serve, connect: Connect) -> None:
    starts: list[float] = []

    def route(asked: Asked) -> object:
        starts.append(time.time())
        page = int(asked.query["page"])
        return {"items": [{"id": page}] if page < 6 else []}

    began = time.time()
    pages = pull(
        connect(serve(route)),
        ApiRequest("/"),
        paginate=PageNumberPaginator(prefetch=3),
        records=Records(path="items"),
        gate=local_gate(RateLimit(requests=2, per="PT0.1S")),
    )
    assert sum(page.count for page in pages) == 5
    # The sixth request starts two periods after the first was allowed. When that one arrives is the machine's affair.
    assert max(starts) - began >= 0.2


@pytest.mark.slow
def test_a_rate_limit_rule_holds_the_budget(
    serve: Serve, connect: Connect, clock: FakeClock
) -> None:
    api = serve(lambda _: Reply({}, 418) if len(api.asked) == 1 else [])
    pages = pull(
        connect(api),
        ApiRequest("/"),
        responses=[ResponseRule(status=418, action="rate_limit", wait="PT0.05S")],
        gate=local_gate(RateLimit(requests=100, per="PT1S")),
    )
    began = time.time()
    assert [page.count for page in pages] == [0]
    # The session's clock is a fake one, so only the budget's hold takes real time.
    assert (time.time() - began >= 0.04, clock.slept) == (True, [0.05])


def test_the_store_of_this_machine_is_a_file(tmp_path: Path) -> None:
    assert str(tmp_path) in open_local_store().name
