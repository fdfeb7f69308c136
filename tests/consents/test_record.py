"""Consents as values: they survive encryption, and show no secret."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.consents.record import DeviceTurn, PendingConsent, TakenConsent, new_ticket
from oauth_taskflow.errors import ResultRefused
from tests.consents.conftest import SECRET, make_pending

HOLDERS = [
    make_pending(),
    TakenConsent(make_pending(), (("code", SECRET), ("state", SECRET)), 2.0),
    DeviceTurn(make_pending(), 5.0),
]


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
@pytest.mark.parametrize("take_away", [pickle.dumps, copy.copy, copy.deepcopy])
def test_consents_hide_their_secrets_and_stay_in_their_process(
    holder: object, take_away: Callable[[object], object]
) -> None:
    assert SECRET not in repr(holder)
    with pytest.raises(ResultRefused):
        take_away(holder)


@given(st.text(), st.text(), st.booleans())
def test_a_consent_is_the_same_after_a_round_trip(name: str, path: str, revoke: bool) -> None:
    pending = PendingConsent(name, "ann", "b", return_to=path, revoke_old=revoke, state=SECRET)
    assert PendingConsent.from_json(pending.to_json()) == pending


def test_another_value_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        PendingConsent.from_json({"conn_id": 1})


def test_tickets_differ_and_have_256_bits() -> None:
    tickets = {new_ticket() for _ in range(100)}
    assert len(tickets) == 100
    assert {len(ticket) for ticket in tickets} == {43}
