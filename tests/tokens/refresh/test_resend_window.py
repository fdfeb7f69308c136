"""Refresh tokens that may be sent again: those that stay the same, and spent ones within a provider's grace period."""

from __future__ import annotations

import math

import pytest

from oauth_taskflow.errors import TokenEndpointUnavailable
from oauth_taskflow.tokens.options import ManagerOptions
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.endpoints import grants, lose_answer, script_endpoint
from tests.tokens.grant import manager


@pytest.mark.parametrize("window", [600.0, math.inf])
def test_inside_the_window_a_lost_answer_is_asked_for_again_and_again(
    store: ClockedStore, clock: FakeClock, window: float
) -> None:
    endpoint = script_endpoint(lose_answer(), lose_answer(), grants(clock, "at", "rt-1"))
    under_test = manager(store, endpoint, options=ManagerOptions(resend_window=window))
    assert under_test.token().access_token == "at"
    assert endpoint.sent == ["seed-token"] * 3


def test_a_window_shorter_than_a_request_is_ignored(store: ClockedStore, clock: FakeClock) -> None:
    endpoint = script_endpoint(lose_answer(), lose_answer(), grants(clock, "at", "rt-1"))
    under_test = manager(store, endpoint, options=ManagerOptions(resend_window=30))
    with pytest.raises(TokenEndpointUnavailable):
        under_test.token()
    assert len(endpoint.sent) == 2
