"""``airflow oauth login``: a person consents once, and tasks use the stored grant from then on."""

from __future__ import annotations

from argparse import Namespace

from oauth_taskflow.errors import (
    ConnectionConfigError,
    OAuthTaskflowError,
    TokenUndecryptable,
)
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.login.authorization import STATE_LIFETIME
from oauth_taskflow.taskflow.cli.grant_rows import status_row
from oauth_taskflow.taskflow.cli.login_flow import (
    ConsentResult,
    LoginOptions,
    log_in_by_browser,
    log_in_by_device,
    log_in_by_paste,
)
from oauth_taskflow.taskflow.cli.output import WRONG_ARGUMENTS, exit_with, print_rows, say
from oauth_taskflow.taskflow.grants.managed_grant import ManagedGrant, load_managed_grant
from oauth_taskflow.taskflow.grants.revocation import revoke_tokens
from oauth_taskflow.taskflow.grants.write_back import refuse_unwritable, write_back
from oauth_taskflow.tokens.state.record import GrantRecord

_HIGHEST_PORT = 65535


def login(args: Namespace) -> None:
    """Run the command. Airflow's CLI calls it with the parsed arguments.

    Raises:
        SystemExit: with 1 when the login ends without a grant, 2 for wrong arguments.
    """
    if problem := _find_wrong_arguments(args):
        exit_with(problem, WRONG_ARGUMENTS)
    try:
        grant = load_managed_grant(args.conn_id)
        revoke_url = _check_before_asking(grant, args)
        agreed = _authorize(grant, args)
        before = _read_stored(grant)
        record, granted = _store(grant, agreed)
        _warn(grant, granted)
        if revoke_url and before is not None:
            _revoke_old(grant, revoke_url, before, granted)
        if args.write_back or grant.auth.write_back:
            _write_back(grant)
    except OAuthTaskflowError as error:
        exit_with(str(error))
    except KeyboardInterrupt:
        exit_with("Interrupted: the login did not end, and can be started again.")
    print_rows([status_row(record, grant.auth.leeway)], args.output)


def _find_wrong_arguments(args: Namespace) -> str:
    """The problem of the command line, else empty text."""
    if not 0 < args.timeout <= STATE_LIFETIME:
        return f"--timeout takes 1 to {STATE_LIFETIME:.0f} seconds."
    if not 0 <= args.port <= _HIGHEST_PORT:
        return f"--port takes 1 to {_HIGHEST_PORT}, or 0 for a free one."
    if args.device and args.paste:
        return "--device and --paste are two ways to log in: give one of them."
    return ""


def _check_before_asking(grant: ManagedGrant, args: Namespace) -> str:
    """Fail before a person consents in vain; return the URL that revokes the old grant, empty unless that is wanted.

    Raises:
        ConnectionConfigError: the connection does not fit the command.
        TokenStoreError: a new grant could not be stored.
    """
    if grant.auth.grant_type != "refresh_token":
        raise ConnectionConfigError(
            f"Connection {grant.conn_id!r} uses the grant {grant.auth.grant_type}, which needs no consent of a person",
            conn_id=grant.conn_id,
            field="grant_type",
            hint="Set grant_type in extra to authorization_code to let a person consent.",
            where="",
        )
    if args.write_back:
        refuse_unwritable(grant.conn_id)
    revoke_url = _find_revocation_url(grant) if args.revoke_old else ""
    try:
        grant.manager.stored.read()
    except TokenUndecryptable as failure:
        say(
            f"This login will replace a grant that may be in use elsewhere (Ctrl-C ends it). {failure}"
        )
    return revoke_url


def _find_revocation_url(grant: ManagedGrant) -> str:
    if grant.revocation.ends_consent:
        raise grant.error(
            "This provider ends every grant of person and client at once, a new one too",
            "revoke_url",
            f"Run airflow oauth revoke {grant.conn_id} first, then log in without --revoke-old.",
        )
    return grant.endpoint_url("revoke_url")


def _store(grant: ManagedGrant, agreed: ConsentResult) -> tuple[GrantRecord, Granted]:
    """Store the result of the consent.

    Raises:
        InvalidTokenResponse: the response holds no usable token. If it may hold a refresh token, it is stored for the
            corrected connection.
    """
    outcome, stored = agreed.outcome, grant.manager.stored
    if isinstance(outcome, Granted):
        return stored.store_consent(outcome, agreed.answer), outcome
    if outcome.refresh_token is None and not outcome.opaque:
        raise outcome.error
    raise stored.store_unusable_consent(outcome, agreed.answer, dpop_key=grant.endpoint.dpop_key)


def _authorize(grant: ManagedGrant, args: Namespace) -> ConsentResult:
    options = LoginOptions(port=args.port, timeout=args.timeout, browser=not args.no_browser)
    if args.device:
        return log_in_by_device(grant, say)
    if args.paste:
        return log_in_by_paste(grant, options, say, input)
    return log_in_by_browser(grant, options, say)


def _read_stored(grant: ManagedGrant) -> GrantRecord | None:
    """The grant that the new one replaces; None when no Fernet key decrypts it."""
    try:
        return grant.manager.stored.read()
    except TokenUndecryptable:
        return None


def _write_back(grant: ManagedGrant) -> None:
    """Copy the refresh token into the connection. A failure is only reported: the grant is already stored."""
    try:
        write_back(grant.conn_id, grant.store, grant.manager.grant_key)
    except OAuthTaskflowError as error:
        say(f"The refresh token was not written back: {error}")


def _revoke_old(grant: ManagedGrant, url: str, before: GrantRecord, granted: Granted) -> None:
    """Revoke the grant that was replaced. A failure is only reported."""
    kept = {granted.refresh_token, granted.token.access_token}
    tokens = {before.refresh_token, *before.alternates, before.token and before.token.access_token}
    if not tokens - {None} or tokens & kept:
        return  # the old grant holds no token, or the server keeps using the same tokens
    try:
        ended = revoke_tokens(grant, url, before)
    except OAuthTaskflowError as error:
        say(f"The old grant could not be revoked: {error}")
        return
    say(
        "The old grant was revoked."
        if ended
        else "The old grant could not be revoked: the server accepts a valid access token only, and the stored one has expired."
    )


def _warn(grant: ManagedGrant, granted: Granted) -> None:
    if granted.missing_scope:
        say(f"The server granted less than was asked for: {' '.join(granted.missing_scope)}")
    if granted.extra_scope:
        say(f"The server granted more than was asked for: {' '.join(granted.extra_scope)}")
    if granted.refresh_token is None:
        say(
            "The server gave no refresh token: tasks fail when this access token ends. Many servers want the scope "
            "offline_access, or authorize_params such as access_type=offline."
        )
    say(f"Connection {grant.conn_id!r} is authorized.")
