"""A new consent, a revocation and forgetting, while workers go on refreshing."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from msgspec.structs import replace

from oauth_taskflow.errors import ConnectionConfigError, InvalidGrant, TokenRequestError
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.grants import ClientCredentials, Grant, RefreshToken
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from oauth_taskflow.tokens.state.record import GrantState
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.conftest import KEY
from tests.tokens.endpoints import grants, invalid_grant, script_endpoint
from tests.tokens.grant import give_alternates, manager, read_stored, rotate_elsewhere


def consent(clock: FakeClock, name: str = "new", refresh: bool = True) -> Granted:
    token = Token(f"at-{name}", clock.now(), clock.now() + 3600)
    return Granted(token, f"rt-{name}" if refresh else None)


def test_tasks_use_a_consent_stored_into_an_empty_store(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "at-2", "rt-2"))
    under_test = manager(store, endpoint, seed="")
    _, record = under_test.stored.expect_consent().store(consent(clock))
    assert (record.state, record.conn_id, record.version) == (GrantState.ACTIVE, "crm", 1)
    assert under_test.token().access_token == "at-new"
    clock.advance(3600)
    assert under_test.token().access_token == "at-2"
    assert endpoint.sent == ["rt-new"]
    assert read_stored(store, under_test).lease.owner is None


def test_a_consent_heals_a_dead_grant_and_empties_alternates(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test = manager(store, script_endpoint(invalid_grant()))
    with pytest.raises(InvalidGrant):
        under_test.token()
    give_alternates(store, under_test, "rt-old-1", "rt-old-2")
    before = read_stored(store, under_test)
    _, record = under_test.stored.expect_consent().store(consent(clock))
    assert (before.state, record.state) == (GrantState.NEEDS_CONSENT, GrantState.ACTIVE)
    assert (record.alternates, record.last_failure, record.journal) == ((), None, None)
    assert record.version == before.version + 1
    assert under_test.token().access_token == "at-new"


def test_all_refresh_tokens_of_a_consent_that_brought_several_are_kept(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test = manager(store, script_endpoint())
    several = replace(consent(clock), others=("rt-b", "rt-c"))
    _, record = under_test.stored.expect_consent().store(several)
    assert (record.refresh_token, record.alternates) == ("rt-new", ("rt-b", "rt-c"))


@pytest.mark.parametrize("seed", ["seed-token", "rt-new"])
def test_the_connections_refresh_token_does_not_supersede_the_new_consent(
    store: ClockedStore, clock: FakeClock, seed: str
) -> None:
    manager(store, script_endpoint(), seed=seed).stored.expect_consent().store(consent(clock))
    endpoint = script_endpoint(grants(clock, "at-2", "rt-2"), grants(clock, "at-3", "rt-3"))
    worker = manager(store, endpoint, seed=seed)
    assert worker.token().access_token == "at-new"
    for _ in range(2):
        clock.advance(3600)
        worker.token()
    assert endpoint.sent == ["rt-new", "rt-2"]


def test_a_refresh_token_written_by_hand_afterwards_supersedes_the_consent(
    store: ClockedStore, clock: FakeClock
) -> None:
    manager(store, script_endpoint(), seed="").stored.expect_consent().store(consent(clock))
    endpoint = script_endpoint(grants(clock, "at-hand", "rt-hand"))
    assert manager(store, endpoint, seed="by-hand").token().access_token == "at-hand"


def test_a_worker_in_the_middle_of_a_refresh_does_not_overwrite_the_consent(
    store: ClockedStore, clock: FakeClock
) -> None:
    other = manager(store, script_endpoint(), seed="seed-token")

    def person_logs_in() -> Granted:
        other.stored.expect_consent().store(consent(clock))
        return grants(clock, "at-late", "rt-late")()

    worker = manager(store, script_endpoint(person_logs_in))
    assert worker.token().access_token == "at-new"
    record = read_stored(store, worker)
    assert (record.refresh_token, record.lease.owner) == ("rt-new", None)
    # It may be that of another account: a dead new consent must not turn back into the old one.
    assert record.alternates == ()


@pytest.mark.parametrize("grant", [RefreshToken("seed-token"), ClientCredentials()])
def test_a_worker_in_the_middle_of_a_refresh_does_not_undo_a_revocation(
    store: ClockedStore, clock: FakeClock, grant: Grant
) -> None:
    def person_revokes() -> Granted:
        other.stored.store_revocation(other.stored.read())
        return grants(clock, "at-late", "rt-late")()

    other = TokenManager.for_grant(store, script_endpoint(), grant, clock=clock)
    worker = TokenManager.for_grant(store, script_endpoint(person_revokes), grant, clock=clock)
    with pytest.raises(TokenRequestError, match="revoked by a person"):
        worker.token()
    record = read_stored(store, worker)
    assert (record.state, record.token) == (GrantState.REVOKED, None)
    assert (record.refresh_token, record.alternates) == (None, ())


def test_refreshes_of_the_new_consent_keep_their_late_answers(
    store: ClockedStore, clock: FakeClock
) -> None:
    def somebody_rotates() -> Granted:
        rotate_elsewhere(store, worker.grant_key, clock, "theirs")
        return grants(clock, "at-mine", "rt-mine")()

    worker = manager(store, script_endpoint(somebody_rotates))
    worker.stored.expect_consent().store(consent(clock))
    worker.replace_refused("at-new")
    assert read_stored(store, worker).alternates == ("rt-mine",)


def test_without_a_refresh_token_the_grant_ends_with_its_access_token(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test = manager(store, script_endpoint(), seed="")
    under_test.stored.expect_consent().store(consent(clock, refresh=False))
    assert under_test.token().access_token == "at-new"
    clock.advance(3600)
    with pytest.raises(ConnectionConfigError) as caught:
        under_test.token()
    assert "airflow oauth login crm" in str(caught.value)


def test_after_a_revocation_no_request_is_sent_until_a_new_consent(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test = manager(store, script_endpoint(grants(clock, "at-1", "rt-1")))
    under_test.token()
    record = under_test.stored.store_revocation(under_test.stored.read())
    assert (record.state, record.token, record.refresh_token) == (GrantState.REVOKED, None, None)
    worker = manager(store, script_endpoint())
    with pytest.raises(TokenRequestError) as caught:
        worker.token()
    assert str(caught.value) == (
        "The grant was revoked by a person for connection 'crm'. "
        "Authorize it again: airflow oauth login crm"
    )
    worker.stored.expect_consent().store(consent(clock))
    assert worker.token().access_token == "at-new"


def test_forgetting_deletes_everything_and_the_connection_starts_over(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test = manager(store, script_endpoint(grants(clock, "at-1", "rt-1")))
    under_test.token()
    assert store.list_grants() == [("crm", under_test.grant_key)]
    under_test.stored.forget()
    assert store.list_grants() == []
    assert under_test.stored.read().state is GrantState.EMPTY


def test_forgetting_in_the_middle_of_a_refresh_costs_one_more_refresh(
    store: ClockedStore, clock: FakeClock
) -> None:
    def person_forgets() -> Granted:
        other.stored.forget()
        return grants(clock, "at-late")()

    other = TokenManager.for_grant(store, script_endpoint(), ClientCredentials(), clock=clock)
    endpoint = script_endpoint(person_forgets, grants(clock, "at-next"))
    worker = TokenManager.for_grant(store, endpoint, ClientCredentials(), clock=clock)
    assert worker.token().access_token == "at-next"
    assert len(endpoint.sent) == 2


class NumberedStore(ClockedStore):
    """Rows begin at a number of the clock, as they really do."""

    _first_number = SqlTokenStore._first_number


@pytest.mark.parametrize("changes", range(6))
def test_the_late_answer_of_a_forgotten_grant_is_no_part_of_the_next_consent(
    tmp_path: Path, clock: FakeClock, changes: int
) -> None:
    """However many changes the new row has seen: the numbers of the former one are all lower."""
    store = NumberedStore(f"sqlite:///{tmp_path}/t.db", [KEY], clock=clock)

    def another_account_consents() -> Granted:
        other.stored.forget()
        clock.advance(1)
        other.stored.expect_consent().store(consent(clock))
        for _ in range(changes):
            store.change(store.read(other.grant_key), lambda record: replace(record, conn_id="crm"))
        return grants(clock, "at-former", "rt-former")()

    other = manager(store, script_endpoint())
    worker = manager(store, script_endpoint(another_account_consents))
    assert worker.token().access_token == "at-new"
    record = read_stored(store, worker)
    assert (record.refresh_token, record.alternates) == ("rt-new", ())


def test_a_record_that_no_key_opens_is_replaced_by_a_new_consent(
    store: ClockedStore, clock: FakeClock
) -> None:
    manager(store, script_endpoint(), seed="").stored.expect_consent().store(consent(clock))
    other = SqlTokenStore(str(store._url), [Fernet.generate_key()], clock=clock)
    again = TokenManager.for_grant(
        other, script_endpoint(), manager(store, script_endpoint(), seed="")._context.grant
    )
    assert again.stored.expect_consent().store(consent(clock))[1].refresh_token == "rt-new"
    other.close()
