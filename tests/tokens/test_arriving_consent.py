"""A consent whose answer came while the store was away, or whose server was killed: it is stored later, once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow.errors import InvalidTokenResponse, TokenStoreError
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Unusable
from oauth_taskflow.oauth.endpoint.response import interpret
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState
from oauth_taskflow.tokens.state.transitions import Transition
from oauth_taskflow.tokens.stored_grant import ArrivingConsent
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.conftest import KEY
from tests.tokens.endpoints import grants, invalid_grant, script_endpoint
from tests.tokens.grant import manager, read_stored, rotate_elsewhere
from tests.tokens.killed_consent import grant_for


class AbsentStore(ClockedStore):
    """Fails while ``away``, for reading and writing."""

    away = False

    def read(self, grant_key: str) -> GrantRecord:
        self._check()
        return super().read(grant_key)

    def change(self, record: GrantRecord, transition: Transition) -> GrantRecord:
        self._check()
        return super().change(record, transition)

    def _check(self) -> None:
        if self.away:
            raise TokenStoreError("The token store failed", where="at db", hint="Start it.")


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> AbsentStore:
    return AbsentStore(f"sqlite:///{tmp_path}/t.db", [KEY], clock=clock)


def answer(clock: FakeClock, name: str = "new", **fields: object) -> TokenHttpResponse:
    said = {"access_token": f"at-{name}", "refresh_token": f"rt-{name}", "expires_in": 3600}
    body = json.dumps({**said, **fields}).encode()
    headers = {"content-type": "application/json"}
    return TokenHttpResponse(200, headers, body, clock.now(), clock.now())


def read(under_test: TokenManager, came: TokenHttpResponse) -> Granted | Unusable:
    context = under_test._context
    outcome = interpret(came, context.endpoint.describe_request(context.grant))
    assert isinstance(outcome, Granted | Unusable)
    return outcome


def agree(under_test: TokenManager, clock: FakeClock, name: str = "new") -> ArrivingConsent:
    """A consent whose answer has come, and is not stored yet."""
    arriving = under_test.stored.expect_consent(by="ann")
    arriving.keep(answer(clock, name))
    return arriving


def lose_store(store: AbsentStore, under_test: TokenManager, clock: FakeClock) -> TokenStoreError:
    """The error of a consent that was stored while the store was away, which it is no longer."""
    arriving = under_test.stored.expect_consent(by="ann")
    came = answer(clock)
    store.away = True
    arriving.keep(came)
    with pytest.raises(TokenStoreError) as caught:
        arriving.store(read(under_test, came))
    store.away = False
    return caught.value


def waiting(store: SqlTokenStore) -> list[Path]:
    return list(store.recovery.folder.glob("*"))


Importing = Callable[[TokenManager], object]
# A person who looks, and a task.
WAYS: list[Importing] = [lambda one: one.stored.import_consents(), lambda one: one.token()]


@pytest.mark.parametrize("use", WAYS)
def test_an_answer_that_the_store_did_not_take_is_stored_when_it_is_back(
    store: AbsentStore, clock: FakeClock, use: Importing
) -> None:
    endpoint = script_endpoint()
    under_test = manager(store, endpoint)
    error = lose_store(store, under_test, clock)
    (path,) = waiting(store)
    assert str(error) == (
        "The consent succeeded, and its tokens wait in an encrypted file, because the token store did not take them "
        f"at {path}. Do not consent again: this machine stores them once the token store is back. "
        "The token store failed at db. Start it."
    )
    assert not error.retryable
    assert store.recovery.list_consents() == {("crm", under_test.grant_key)}
    assert "rt-new" not in path.read_text()
    use(under_test)
    record = read_stored(store, under_test)
    assert (record.state, record.refresh_token, record.consented_by) == (
        GrantState.ACTIVE,
        "rt-new",
        "ann",
    )
    assert under_test.token().access_token == "at-new"
    assert (endpoint.sent, waiting(store)) == ([], [])


def test_the_attempt_that_imports_it_refreshes_it_if_it_ended_meanwhile(
    store: AbsentStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "at-2", "rt-2"))
    under_test = manager(store, endpoint)
    lose_store(store, under_test, clock)
    clock.advance(7200)
    assert under_test.token().access_token == "at-2"
    assert endpoint.sent == ["rt-new"]
    assert read_stored(store, under_test).refresh_token == "rt-2"


def test_it_replaces_a_dead_grant_and_nothing_of_the_old_one_is_left(
    store: AbsentStore, clock: FakeClock
) -> None:
    under_test = manager(store, script_endpoint(invalid_grant()))
    with pytest.raises(Exception, match="Refresh token refused"):
        under_test.token()
    lose_store(store, under_test, clock)
    assert under_test.token().access_token == "at-new"
    assert read_stored(store, under_test).last_failure is None


def test_it_is_stored_although_the_store_was_away_before_the_trade_too(
    store: AbsentStore, clock: FakeClock
) -> None:
    under_test = manager(store, script_endpoint())
    under_test.stored.store_revocation(under_test.stored.read())
    store.away = True
    lose_store(store, under_test, clock)
    assert under_test.token().access_token == "at-new"


def test_one_that_is_stored_already_is_not_stored_again(
    store: AbsentStore, clock: FakeClock
) -> None:
    under_test = manager(store, script_endpoint())
    arriving = agree(under_test, clock)
    (path,) = waiting(store)
    kept = path.read_bytes()
    arriving.store(read(under_test, answer(clock)))
    assert waiting(store) == []
    path.write_bytes(kept)
    clock.advance(60)
    rotate_elsewhere(store, under_test.grant_key, clock, "rotated")
    under_test.stored.import_consents()
    assert read_stored(store, under_test).refresh_token == "rt-rotated"
    assert waiting(store) == []


def test_another_server_that_imports_it_first_is_not_overwritten(
    store: AbsentStore, clock: FakeClock
) -> None:
    under_test = manager(store, script_endpoint())
    arriving = agree(under_test, clock)
    under_test.stored.import_consents()
    rotate_elsewhere(store, under_test.grant_key, clock, "rotated")
    arriving.store(read(under_test, answer(clock)))
    assert read_stored(store, under_test).refresh_token == "rt-rotated"


def test_of_two_that_wait_the_later_one_counts(store: AbsentStore, clock: FakeClock) -> None:
    under_test = manager(store, script_endpoint())
    agree(under_test, clock, "first")
    clock.advance(1)
    agree(under_test, clock, "second")
    assert len(waiting(store)) == 2
    under_test.stored.import_consents()
    assert (read_stored(store, under_test).refresh_token, waiting(store)) == ("rt-second", [])


END: dict[str, Importing] = {
    "another consent": lambda one: one.stored.expect_consent().store(
        grants(one._context.clock, "at-later", "rt-later")()
    ),
    "a revocation": lambda one: one.stored.store_revocation(one.stored.read()),
}


@pytest.mark.parametrize("end", END)
def test_one_that_was_overtaken_is_dropped(store: AbsentStore, clock: FakeClock, end: str) -> None:
    under_test = manager(store, script_endpoint())
    lose_store(store, under_test, clock)
    clock.advance(60)
    END[end](under_test)
    under_test.stored.import_consents()
    assert read_stored(store, under_test).refresh_token in {"rt-later", None}
    assert waiting(store) == []


def test_a_refresh_token_written_into_the_connection_afterwards_counts(
    store: AbsentStore, clock: FakeClock
) -> None:
    lose_store(store, manager(store, script_endpoint()), clock)
    (path,) = waiting(store)
    kept = path.read_bytes()
    path.unlink()  # on another machine
    by_hand = manager(store, script_endpoint(grants(clock, "at-hand", "rt-hand")), seed="by-hand")
    assert by_hand.token().access_token == "at-hand"
    path.write_bytes(kept)
    by_hand.stored.import_consents()
    assert read_stored(store, by_hand).refresh_token == "rt-hand"


def test_an_answer_that_cannot_be_used_is_stored_for_the_corrected_connection(
    store: AbsentStore, clock: FakeClock
) -> None:
    under_test = manager(store, script_endpoint())
    arriving = under_test.stored.expect_consent(by="ann")
    arriving.keep(answer(clock, access_token=None))
    under_test.stored.import_consents()
    record = read_stored(store, under_test)
    assert (record.state, record.refresh_token) == (GrantState.MISCONFIGURED, "rt-new")
    assert record.consented_by == "ann"


def test_an_answer_without_tokens_leaves_no_file_and_the_old_grant(
    store: AbsentStore, clock: FakeClock
) -> None:
    under_test = manager(store, script_endpoint(grants(clock, "at", "rt")))
    under_test.token()
    arriving = under_test.stored.expect_consent()
    error = InvalidTokenResponse("No access token in the answer")
    arriving.keep(answer(clock, access_token=None, refresh_token=None))
    kept = [(path, path.read_bytes()) for path in waiting(store)]
    with pytest.raises(InvalidTokenResponse):
        arriving.store(Unusable(error, 0))
    assert waiting(store) == []
    for path, content in kept:
        path.write_bytes(content)
    under_test.stored.import_consents()
    assert (read_stored(store, under_test).refresh_token, waiting(store)) == ("rt", [])


def test_a_record_that_no_key_opens_does_not_keep_it_from_being_stored(
    store: AbsentStore, clock: FakeClock
) -> None:
    manager(store, script_endpoint()).stored.expect_consent().store(grants(clock, "at", "rt")())
    other = AbsentStore(str(store._url), [Fernet.generate_key()], clock=clock)
    again = manager(other, script_endpoint())
    lose_store(other, again, clock)
    again.stored.import_consents()
    assert read_stored(other, again).refresh_token == "rt-new"


def test_without_room_for_the_file_the_error_says_that_the_tokens_are_lost(
    store: AbsentStore, clock: FakeClock
) -> None:
    store.recovery.folder.write_text("a file where the folder should be")
    under_test = manager(store, script_endpoint())
    arriving = agree(under_test, clock)
    store.away = True
    with pytest.raises(TokenStoreError, match="the new token is lost"):
        arriving.store(read(under_test, answer(clock)))


def test_one_of_a_connection_that_was_edited_since_is_stored_as_the_grant_that_it_was(
    store: AbsentStore, clock: FakeClock
) -> None:
    before = manager(store, script_endpoint())
    lose_store(store, before, clock)
    edited = manager(store, script_endpoint(), subject="another")
    edited.stored.import_consents()
    assert len(waiting(store)) == 1
    edited.stored.import_consents_to(before.grant_key)
    assert waiting(store) == []
    assert read_stored(store, before).refresh_token == "rt-new"
    assert read_stored(store, edited).refresh_token is None


def test_forgetting_the_grant_removes_its_file(store: AbsentStore, clock: FakeClock) -> None:
    under_test = manager(store, script_endpoint())
    lose_store(store, under_test, clock)
    under_test.stored.forget()
    assert waiting(store) == []


@pytest.mark.slow
@pytest.mark.parametrize("boundary", ["kept", "5:before", "5:after", "6:after"])
def test_a_server_that_is_killed_once_the_answer_came_loses_nothing(
    real_store_url: str, tmp_path: Path, boundary: str
) -> None:
    command = [sys.executable, "-m", "tests.tokens.killed_consent", real_store_url, KEY]
    done = subprocess.run(
        [*command, str(tmp_path / "recovery"), boundary], check=False, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    store = SqlTokenStore(real_store_url, [KEY], recovery_dir=tmp_path / "recovery")
    endpoint = script_endpoint()
    under_test = TokenManager.for_grant(store, endpoint, grant_for(boundary))
    assert under_test.token().access_token == "at-new"
    assert (endpoint.sent, waiting(store)) == ([], [])
    store.close()
