"""A consent that API servers lead through several requests: begin, come back, finish. It knows no FastAPI.

The browser is sent away with a ``state``; what comes back is parked, and only the user who began finishes. Any of several
API servers may answer each request: all they know is in the token store's database (``consents``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hmac import compare_digest

from msgspec import Struct
from msgspec.structs import replace as replace_field

from oauth_taskflow import secret_registry
from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.consents.record import (
    ANSWER_LIFETIME,
    CONSENT_LIFETIME,
    LONGEST_DEVICE_LIFETIME,
    DeviceTurn,
    PendingConsent,
    TakenConsent,
    Wait,
)
from oauth_taskflow.consents.sql import SqlConsentStore, open_consent_store
from oauth_taskflow.errors import (
    AuthorizationFailed,
    ConnectionConfigError,
    OAuthTaskflowError,
    TokenStoreError,
)
from oauth_taskflow.oauth.endpoint.outcomes import NotProcessed
from oauth_taskflow.oauth.login.authorization import Authorization
from oauth_taskflow.oauth.login.device import Pause, ask_once, authorize_device
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.taskflow.config import fernet_keys, store_url
from oauth_taskflow.taskflow.grants.consent_flow import (
    ConsentResult,
    bind_attempt,
    build_url,
    check_store,
    expect_answer,
    find_revocation_url,
    mask_result,
    may_pass,
    refuse_without_consent,
    resume_attempt,
    start_attempt,
    store_result,
    to_printable,
    try_trade,
)
from oauth_taskflow.taskflow.grants.grant_status import GrantStatus, read_status
from oauth_taskflow.taskflow.grants.kept_consents import WATCH
from oauth_taskflow.taskflow.grants.managed_grant import ManagedGrant, load_managed_grant
from oauth_taskflow.taskflow.grants.trial_call import TrialResult, try_call

# A question about a device code takes as long as one token request; then another server may ask.
_MARGIN = 5.0
# Seconds. A request of the page waits no longer for a busy token endpoint; the page waits itself, and says so.
_LONGEST_PAUSE = 2.0
_PAUSE = 5.0
_AGAIN = "Start again with Connect."


class ConsentRequest(Struct, frozen=True):
    """The wish of a user: where the answer comes to, where the person goes back to, and whether the old grant is revoked."""

    user_id: str
    redirect_uri: str = ""
    return_to: str = ""
    revoke_old: bool = False


class DevicePrompt(SecretValue, frozen=True):
    """The code that a person enters at ``verification_uri``, and the seconds to live and to wait between questions.

    ``complete_uri`` holds the code already; empty when the server gives none. ``ticket`` is what the page asks with.
    """

    ticket: Hidden[str]
    user_code: str
    verification_uri: str
    complete_uri: str
    expires_in: float
    interval: float


class Postponed(Struct, frozen=True):
    """A server, the store or the connection was away, and nothing was lost: the same may be asked in ``wait`` seconds."""

    wait: float
    reason: str


class Connected(Struct, frozen=True):
    """The end of a consent: the stored grant, a test call, and sentences for the person."""

    conn_id: str
    grant: GrantStatus
    trial: TrialResult
    notes: tuple[str, ...]
    return_to: str


def open_consents() -> SqlConsentStore:
    """The consents in flight of this deployment.

    Raises:
        TokenStoreError: the token store's URL or keys are unusable.
    """
    return open_consent_store(store_url(), fernet_keys())


def begin_in_browser(conn_id: str, request: ConsentRequest) -> str:
    """Keep a new attempt and return the address that the person's browser opens.

    Raises:
        OAuthTaskflowError: the connection does not fit, the store failed, or the server refused a pushed request.
    """
    grant = _load_for_consent(conn_id, request)
    attempt = start_attempt(grant, request.redirect_uri)
    url = build_url(grant, attempt)
    pending = replace_field(
        _new_pending(grant, request), state=attempt.state, verifier=attempt.verifier.value
    )
    open_consents().begin(pending)
    return url


def begin_with_device(conn_id: str, request: ConsentRequest) -> DevicePrompt:
    """Ask the server for a code that the person enters on any device (RFC 8628).

    Raises:
        OAuthTaskflowError: the connection does not fit, the store failed, or the server refused.
    """
    grant = _load_for_consent(conn_id, request)
    device = authorize_device(grant.endpoint, grant.endpoint_url("device_url"), grant.options)
    lifetime = min(device.expires_in, LONGEST_DEVICE_LIFETIME)
    secret_registry.add([device.device_code], until=SYSTEM_CLOCK.now() + lifetime)
    pending = replace_field(_new_pending(grant, request), device_code=device.device_code)
    ticket = open_consents().begin_device(pending, lifetime=lifetime, interval=device.interval)
    return DevicePrompt(
        ticket,
        to_printable(device.user_code),
        to_printable(device.verification_uri),
        to_printable(device.complete_uri),
        lifetime,
        device.interval,
    )


def finish_in_browser(
    conn_id: str, ticket: str, user_id: str, *, user_name: str = ""
) -> Connected | Postponed:
    """Trade the code of a parked answer, store the grant and test it. A ticket works once, unless the trade is postponed.

    ``user_name`` is kept with the grant as the one who asked for the consent. A code is sent again only where the token
    endpoint certainly did not use it (RFC 6749 §4.1.2), and while the consent lives.

    Raises:
        OAuthTaskflowError: the consent is over, belongs to another user or connection, was refused, or failed.
    """
    consents = open_consents()
    parked = consents.read(ticket)
    if parked is None or parked.answer is None:
        raise _over(conn_id)
    try:
        _check_owner(parked.pending, conn_id, user_id)
        grant, attempt = _resume(parked)
    except OAuthTaskflowError as error:
        if not may_pass(error):
            consents.take(ticket)
            raise
        return _postpone(parked, error, partial(consents.prolong, ticket))
    # All that may be away for a while was asked: from here on the answer is used, and by this request only.
    taken = consents.take(ticket)
    if taken is None or taken.answer is None:
        raise _over(conn_id)
    by, code = user_name or user_id, attempt.read(taken.answer)
    traded = try_trade(grant, code, by=by, longest_pause=_LONGEST_PAUSE)
    if isinstance(traded, NotProcessed):
        return _postpone(taken, traded.error, partial(consents.put_back, ticket, taken))
    return _store(grant, taken.pending, traded)


def _resume(parked: TakenConsent) -> tuple[ManagedGrant, Authorization]:
    """The connection's grant and the attempt that ``parked`` answers.

    Raises:
        OAuthTaskflowError: the connection was edited or cannot be used; or it, the store or the issuer's metadata are away.
    """
    pending = parked.pending
    grant = _load_again(pending)
    attempt = resume_attempt(
        grant,
        pending.redirect_uri,
        state=pending.state,
        verifier=pending.verifier,
        # The answer came in time; it may wait for the person a little longer.
        age=max(0.0, parked.age - ANSWER_LIFETIME),
    )
    return grant, attempt


def _postpone(
    taken: TakenConsent, error: OAuthTaskflowError, park: Callable[..., None]
) -> Postponed:
    """Have ``park`` keep the answer until five minutes after the moment that ``error`` names.

    Raises:
        OAuthTaskflowError: the consent would be too old by then; or the answer cannot be kept.
    """
    wait = error.retry_after or _PAUSE
    if taken.age + wait > CONSENT_LIFETIME:
        raise _failure(
            taken.pending.conn_id,
            f"{error.what}, and asks to wait {wait:.0f} s: longer than a consent lives",
            f"Start again with Connect after that time. {error.hint}",
        )
    park(pause=wait)
    return Postponed(wait, f"{error.what} {error.where}".strip())


def ask_device(conn_id: str, ticket: str, user_id: str, *, user_name: str = "") -> Connected | Wait:
    """Ask the token endpoint whether the person has agreed, if the time has come; then as ``finish_in_browser``.

    Raises:
        OAuthTaskflowError: the consent is over or was refused, or it failed.
    """
    consents = open_consents()
    try:
        busy = load_managed_grant(conn_id).endpoint.transport.timeouts.total + _MARGIN
    except ConnectionConfigError as error:
        return _wait_for_connection(consents, ticket, error)
    turn = consents.take_turn(ticket, busy=busy)
    if turn is None:
        raise _over(conn_id)
    if isinstance(turn, Wait):
        return turn
    _check_owner(turn.pending, conn_id, user_id)
    return _ask_in_turn(consents, ticket, turn, by=user_name or user_id)


def _ask_in_turn(
    consents: SqlConsentStore, ticket: str, turn: DeviceTurn, *, by: str
) -> Connected | Wait:
    """Ask the token endpoint, as the only one who does so now.

    Raises:
        OAuthTaskflowError: the consent is over or was refused, or it failed.
    """
    pending = turn.pending
    try:
        grant = _load_again(pending)
        endpoint, arriving = expect_answer(grant, by)
        decided = ask_once(endpoint, pending.device_code, grant.options, turn.interval)
    except OAuthTaskflowError as error:
        if not may_pass(error):
            consents.take(ticket)
        elif not isinstance(error, TokenStoreError):
            return Wait(_PAUSE)
        raise
    if isinstance(decided, Pause):
        arriving.drop()
        consents.wait_for_turn(ticket, decided.seconds)
        return Wait(decided.seconds)
    try:
        is_wanted = consents.take(ticket) is not None
    except TokenStoreError as failure:
        WATCH.begin()
        raise arriving.explain(failure) from failure
    if not is_wanted:
        arriving.drop()
        raise _over(pending.conn_id)  # cancelled while the server was asked
    return _store(grant, pending, mask_result(decided, arriving))


def _wait_for_connection(
    consents: SqlConsentStore, ticket: str, error: ConnectionConfigError
) -> Wait:
    """The pause after which ``error`` may be gone.

    Raises:
        OAuthTaskflowError: it stays, or the consent is over.
    """
    if not may_pass(error) or consents.read(ticket) is None:
        raise error
    return Wait(_PAUSE)


def cancel_device(conn_id: str, ticket: str, user_id: str) -> bool:
    """Forget a device code: nothing is stored any more, whatever the person does with the code; False if it was over.

    Raises:
        OAuthTaskflowError: it belongs to another user or connection, or the store failed.
    """
    taken = open_consents().take(ticket)
    if taken is None:
        return False
    _check_owner(taken.pending, conn_id, user_id)
    return True


def _load_for_consent(conn_id: str, request: ConsentRequest) -> ManagedGrant:
    """The grant, after all checks that can be made before a person consents in vain."""
    grant = load_managed_grant(conn_id)
    refuse_without_consent(grant)
    if request.revoke_old:
        find_revocation_url(grant)
    check_store(grant)
    return grant


def _new_pending(grant: ManagedGrant, request: ConsentRequest) -> PendingConsent:
    return PendingConsent(
        conn_id=grant.conn_id,
        user_id=request.user_id,
        binding=bind_attempt(grant),
        revoke_url=grant.consent.revoke_url,
        redirect_uri=request.redirect_uri,
        return_to=request.return_to,
        revoke_old=request.revoke_old,
        dpop_key=grant.endpoint.dpop_key,
    )


def _load_again(pending: PendingConsent) -> ManagedGrant:
    """The grant of the connection as it is now, if that is what the person consented to."""
    grant = load_managed_grant(pending.conn_id)
    is_same = compare_digest(bind_attempt(grant), pending.binding)
    # The old tokens would go there. Where there is none any more, they stay, and the new ones are kept all the same.
    if not is_same or grant.consent.revoke_url not in {"", pending.revoke_url}:
        raise _failure(
            pending.conn_id,
            "The connection was edited while the consent was under way: client, scope or an address is another one",
        )
    return replace(grant, endpoint=replace_field(grant.endpoint, dpop_key=pending.dpop_key))


def _store(grant: ManagedGrant, pending: PendingConsent, agreed: ConsentResult) -> Connected:
    notes: list[str] = []
    try:
        record = store_result(grant, agreed, notes.append, revoke_old=pending.revoke_old)
    except TokenStoreError:
        WATCH.begin()
        raise
    return Connected(
        conn_id=grant.conn_id,
        grant=read_status(record, grant.auth.leeway),
        trial=try_call(grant.settings),
        notes=tuple(notes),
        return_to=pending.return_to,
    )


def _check_owner(pending: PendingConsent, conn_id: str, user_id: str) -> None:
    if pending.conn_id != conn_id:
        raise _over(conn_id)
    if not compare_digest(pending.user_id.encode(), user_id.encode()):
        raise _failure(
            conn_id,
            "Another user of Airflow began this consent, and it was not used",
            "Log in to Airflow as the user who pressed Connect, or start again as this one. If you did not expect this "
            "page, someone sent you its address: refuse, and end the access at the provider.",
        )


def _over(conn_id: str) -> AuthorizationFailed:
    return _failure(
        conn_id,
        "This consent is over: its answer was used already, or came from another page, or is older than five minutes",
    )


def _failure(conn_id: str, what: str, hint: str = _AGAIN) -> AuthorizationFailed:
    return AuthorizationFailed(what, where=f"for connection {conn_id!r}", hint=hint)
