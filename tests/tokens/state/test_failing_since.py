"""Since when the refreshes of a grant fail: kept with the failure, whatever later failures are about."""

from __future__ import annotations

import json

import pytest

from oauth_taskflow.errors import OAuthTaskflowError, TokenEndpointUnavailable
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.state.record import LastFailure
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.endpoints import grants, invalid_client, script_endpoint
from tests.tokens.grant import manager, read_stored


def fail(under_test: TokenManager) -> None:
    with pytest.raises(OAuthTaskflowError):
        under_test.token()


def test_later_failures_keep_the_moment_of_the_first_and_a_success_ends_it(
    store: ClockedStore, clock: FakeClock
) -> None:
    began, refused = clock.now(), invalid_client()
    under_test = manager(
        store,
        script_endpoint(refused, refused, grants(clock, "a"), refused),
    )
    for _ in range(2):
        fail(under_test)
        failure = read_stored(store, under_test).last_failure
        assert failure is not None
        assert failure.since == began
        clock.advance(600)
    under_test.token()
    assert read_stored(store, under_test).last_failure is None
    clock.advance(7200)
    fail(under_test)
    after = read_stored(store, under_test).last_failure
    assert after is not None
    assert after.since == began + 1200 + 7200


def test_the_error_of_a_stored_failure_has_the_facts_that_it_was_raised_with() -> None:
    failure = LastFailure.from_error(TokenEndpointUnavailable("away", where="at x"), "", None, 1)
    noted = failure.follow(None, 5.0)
    assert vars(noted.to_error(0.0)) == vars(failure.to_error(0.0))
    assert (
        LastFailure(
            **json.loads(json.dumps({"facts": noted.facts, "kind": "x", "client": ""}))
        ).since
        == 5.0
    )


def test_a_failure_of_an_earlier_release_counts_from_the_next_one() -> None:
    before = LastFailure.from_error(TokenEndpointUnavailable("away"), "", None, 3)
    assert before.since is None
    assert before.follow(before, 7.0).since == 7.0
