"""Failures that every worker shares, and connections that change."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from msgspec.structs import replace

from oauth_taskflow.errors import (
    ConnectionConfigError,
    ConsentRequired,
    InvalidClient,
    OAuthTaskflowError,
    TokenEndpointUnavailable,
    TokenRequestRejected,
    TokenUndecryptable,
)
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.extension_grants import JwtBearer, Password
from oauth_taskflow.oauth.grants import ClientCredentials
from oauth_taskflow.oauth.signing import Signer, shared_key
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.grant_key import Fingerprints
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.state.record import GrantState
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.endpoints import (
    consent_required,
    down,
    grants,
    invalid_client,
    invalid_scope,
    lose_answer,
    script_endpoint,
)
from tests.tokens.grant import manager, read_stored


def test_a_new_refresh_token_in_the_connection_supersedes_a_living_one(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "first", "rt-1"), grants(clock, "second", "rt-2"))
    manager(store, endpoint).token()
    assert manager(store, endpoint, seed="new consent").token().access_token == "second"


def test_a_worker_with_the_connection_of_last_week_does_not_bring_its_refresh_token_back(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "first", "rt-1"), grants(clock, "second", "rt-2"))
    manager(store, endpoint, seed="old consent").token()
    manager(store, endpoint, seed="new consent").token()
    assert manager(store, endpoint, seed="old consent").token().access_token == "second"
    assert len(endpoint.sent) == 2


def test_a_refused_client_is_not_hammered_but_tried_again_after_a_while(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(invalid_client(), grants(clock, "at", "rt-1"))
    for _ in range(5):
        with pytest.raises(InvalidClient):
            manager(store, endpoint).token()
    assert len(endpoint.sent) == 1
    assert read_stored(store, manager(store, endpoint)).state is GrantState.MISCONFIGURED
    clock.advance(61)
    assert manager(store, endpoint).token().access_token == "at"


def test_a_grant_without_refresh_token_is_tried_again_after_a_consent(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(consent_required(), grants(clock, "at"))
    under_test = TokenManager.for_grant(store, endpoint, ClientCredentials(), clock=clock)
    for _ in range(3):
        with pytest.raises(ConsentRequired):
            under_test.token()
    assert len(endpoint.sent) == 1
    clock.advance(61)
    assert under_test.token().access_token == "at"


def test_a_corrected_password_or_key_lifts_the_refusal_at_once(
    store: ClockedStore, clock: FakeClock
) -> None:
    signer = Signer(shared_key("k" * 32))
    endpoint = script_endpoint(
        invalid_scope(), grants(clock, "at"), client=Client("me", "s", signer), client_auth="none"
    )
    wrong = TokenManager.for_grant(store, endpoint, Password("alice", "wrong"), clock=clock)
    for _ in range(2):
        with pytest.raises(TokenRequestRejected):
            wrong.token()
    assert len(endpoint.sent) == 1
    right = TokenManager.for_grant(store, endpoint, Password("alice", "right"), clock=clock)
    assert right.token().access_token == "at"
    fingerprints = {
        Fingerprints.for_grant(
            replace(endpoint, client=Client("me", "s", client)), grant, store.cipher
        ).client
        for client in (None, Signer(shared_key("l" * 32)), Signer(signer.key, "other"))
        for grant in (ClientCredentials(), JwtBearer(signer, "me", "alice"))
    }
    assert len(fingerprints) == 6


def test_a_cool_down_ends_by_itself(store: ClockedStore, clock: FakeClock) -> None:
    endpoint = script_endpoint(down(40), grants(clock, "at", "rt-1"))
    with pytest.raises(TokenEndpointUnavailable):
        manager(store, endpoint).token()
    clock.advance(10)
    with pytest.raises(TokenEndpointUnavailable) as raised:
        manager(store, endpoint).token()
    assert raised.value.retry_after == pytest.approx(30, abs=0.1)
    clock.advance(31)
    assert manager(store, endpoint).token().access_token == "at"


def test_failures_in_a_row_make_the_pause_longer(store: ClockedStore, clock: FakeClock) -> None:
    pauses = []
    endpoint = script_endpoint(*[down(36) for _ in range(2)], *[lose_answer() for _ in range(8)])
    for _ in range(6):
        with pytest.raises(OAuthTaskflowError):
            manager(store, endpoint).token()
        trouble = read_stored(store, manager(store, endpoint)).last_failure
        assert trouble is not None
        assert trouble.until is not None
        pauses.append(trouble.until - clock.now())
        clock.advance(pauses[-1] + 1)
    assert pauses[:2] == pytest.approx([36, 36], abs=1)
    assert pauses[2:] == pytest.approx([8, 16, 32, 32], abs=1)


def test_a_missing_refresh_token_is_a_connection_error(
    store: ClockedStore, clock: FakeClock
) -> None:
    with pytest.raises(ConnectionConfigError) as raised:
        manager(store, script_endpoint(), seed="").token()
    assert str(raised.value) == (
        "There is no refresh token in connection 'crm', field 'refresh_token'. "
        "Authorize the connection: airflow oauth login crm"
    )


def test_a_login_without_a_refresh_token_says_how_to_get_one(
    store: ClockedStore, clock: FakeClock
) -> None:
    under_test = manager(store, script_endpoint(), seed="")
    granted = Granted(Token("at", clock.now(), clock.now() + 60), None)
    under_test.stored.expect_consent().store(granted)
    assert under_test.token().access_token == "at"
    clock.advance(61)
    with pytest.raises(ConnectionConfigError) as raised:
        under_test.token()
    assert str(raised.value) == (
        "The server gave no refresh token: many servers want the scope offline_access, or authorize_params such as "
        "access_type=offline in connection 'crm', field 'scope'. Set one, then authorize the connection again: airflow "
        "oauth login crm"
    )


def test_an_unreadable_client_credentials_token_is_replaced(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "first"), grants(clock, "second"))
    TokenManager.for_grant(store, endpoint, ClientCredentials(), clock=clock).token()
    store.cipher = TokenCipher([_other_key()])
    again = TokenManager.for_grant(store, endpoint, ClientCredentials(), clock=clock)
    assert again.token().access_token == "second"


def test_an_unreadable_refresh_token_is_never_thrown_away(
    store: ClockedStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "first", "rt-1"))
    manager(store, endpoint).token()
    store.cipher = TokenCipher([_other_key()])
    with pytest.raises(TokenUndecryptable, match=r"opens it for connection 'crm' in sqlite:///"):
        manager(store, endpoint).token()
    assert len(endpoint.sent) == 1


def _other_key() -> bytes:
    return Fernet.generate_key()
