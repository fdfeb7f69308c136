"""How often a token request is sent, and how long is waited in between."""

from __future__ import annotations

import pytest

from oauth_taskflow.errors import InvalidTokenResponse, TokenEndpointUnavailable
from oauth_taskflow.oauth.endpoint.outcomes import (
    Granted,
    NotProcessed,
    Outcome,
    OutcomeUnknown,
    Rejected,
)
from oauth_taskflow.oauth.endpoint.retries import exchange_with_retries
from oauth_taskflow.oauth.token import Token
from tests.support.clock import FakeClock

GRANTED = Granted(Token("at", 0.0))
REFUSED = Rejected(TokenEndpointUnavailable("no"))


def away(retry_after: float | None = None) -> NotProcessed:
    return NotProcessed(TokenEndpointUnavailable("away", retry_after=retry_after))


LOST = OutcomeUnknown(TokenEndpointUnavailable("lost"))
SENSELESS = OutcomeUnknown(InvalidTokenResponse("no token"), again=0)
PAGE = OutcomeUnknown(InvalidTokenResponse("a web page"), again=1)


@pytest.mark.parametrize(
    ("single_use", "answers", "sent"),
    [
        (True, [GRANTED], 1),
        (True, [REFUSED, GRANTED], 1),
        (True, [away(), GRANTED], 2),
        (True, [away(), away(), GRANTED], 3),
        (True, [away(), away(), away(), GRANTED], 3),
        (True, [LOST, GRANTED], 1),
        (True, [away(), LOST, GRANTED], 2),
        (False, [LOST, LOST, GRANTED], 3),
        (False, [SENSELESS, GRANTED], 1),
        (False, [PAGE, GRANTED], 2),
        (False, [PAGE, PAGE, GRANTED], 2),
        (True, [PAGE, GRANTED], 1),
        (False, [REFUSED, GRANTED], 1),
    ],
)
def test_a_request_is_repeated_only_where_that_is_safe(
    single_use: bool, answers: list[Outcome], sent: int
) -> None:
    left = list(answers)
    outcome = exchange_with_retries(
        lambda _: left.pop(0), single_use=single_use, clock=FakeClock(), budget=35
    )
    assert len(answers) - len(left) == sent
    assert outcome is answers[sent - 1]


def test_the_server_says_how_long_to_wait() -> None:
    clock = FakeClock()
    answers: list[Outcome] = [away(10), GRANTED]
    exchange_with_retries(lambda _: answers.pop(0), single_use=True, clock=clock, budget=35)
    assert 10 <= clock.slept[0] <= 15


def test_pauses_grow_and_have_jitter() -> None:
    clock = FakeClock()
    exchange_with_retries(lambda _: away(), single_use=True, clock=clock, budget=35)
    assert 0.5 <= clock.slept[0] <= 0.75
    assert 1.0 <= clock.slept[1] <= 1.5


def test_a_wait_beyond_the_budget_is_left_to_the_caller() -> None:
    clock, sent = FakeClock(), []

    def send(budget: float) -> Outcome:
        sent.append(budget)
        return away(60)

    exchange_with_retries(send, single_use=True, clock=clock, budget=35)
    assert (sent, clock.slept) == ([35], [])


def test_a_wait_beyond_the_longest_pause_is_left_to_the_caller() -> None:
    clock = FakeClock()
    busy = away(3)
    answers: list[Outcome] = [away(), busy, GRANTED]
    outcome = exchange_with_retries(
        lambda _: answers.pop(0), single_use=True, clock=clock, budget=35, longest_pause=2
    )
    assert outcome is busy
    assert len(clock.slept) == 1


def test_each_attempt_gets_the_rest_of_the_budget() -> None:
    clock, budgets = FakeClock(), []

    def send(budget: float) -> Outcome:
        budgets.append(budget)
        clock.advance(20)
        return away()

    exchange_with_retries(send, single_use=True, clock=clock, budget=35)
    assert len(budgets) == 2
    assert 14 <= budgets[1] <= 14.5
