"""``airflow oauth login``: a person consents once, and tasks use the stored grant from then on."""

from __future__ import annotations

import getpass
from argparse import Namespace

from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.login.authorization import STATE_LIFETIME
from oauth_taskflow.taskflow.cli.grant_rows import status_row
from oauth_taskflow.taskflow.cli.login_flow import (
    LoginOptions,
    log_in_by_browser,
    log_in_by_device,
    log_in_by_paste,
)
from oauth_taskflow.taskflow.cli.output import (
    WRONG_ARGUMENTS,
    exit_with,
    exit_with_error,
    print_rows,
    say,
)
from oauth_taskflow.taskflow.grants.consent_flow import (
    ConsentResult,
    check_store,
    find_revocation_url,
    refuse_without_consent,
    store_result,
)
from oauth_taskflow.taskflow.grants.managed_grant import ManagedGrant, load_managed_grant
from oauth_taskflow.taskflow.grants.write_back import refuse_unwritable

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
        _check_before_asking(grant, args)
        agreed = _authorize(grant, args)
        record = store_result(
            grant,
            agreed,
            say,
            revoke_old=args.revoke_old,
            copy_back=args.write_back,
        )
    except OAuthTaskflowError as error:
        exit_with_error(error)
    except KeyboardInterrupt:
        exit_with("Interrupted: the login did not end, and can be started again.")
    print_rows([status_row(record, grant.auth.leeway)], args.output)


def _name_user() -> str:
    """The user of this machine, as Airflow's own audit log of commands has it; empty in a container that knows none."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):
        return ""


def _find_wrong_arguments(args: Namespace) -> str:
    """The problem of the command line, else empty text."""
    if not 0 < args.timeout <= STATE_LIFETIME:
        return f"--timeout takes 1 to {STATE_LIFETIME:.0f} seconds."
    if not 0 <= args.port <= _HIGHEST_PORT:
        return f"--port takes 1 to {_HIGHEST_PORT}, or 0 for a free one."
    if args.device and args.paste:
        return "--device and --paste are two ways to log in: give one of them."
    return ""


def _check_before_asking(grant: ManagedGrant, args: Namespace) -> None:
    """Fail before a person consents in vain.

    Raises:
        ConnectionConfigError: the connection does not fit the command.
        TokenStoreError: a new grant could not be stored.
    """
    refuse_without_consent(grant)
    if args.write_back:
        refuse_unwritable(grant.conn_id)
    if args.revoke_old:
        find_revocation_url(grant)
    if failure := check_store(grant):
        say(
            f"This login will replace a grant that may be in use elsewhere (Ctrl-C ends it). {failure}"
        )


def _authorize(grant: ManagedGrant, args: Namespace) -> ConsentResult:
    options = LoginOptions(
        port=args.port, timeout=args.timeout, browser=not args.no_browser, by=_name_user()
    )
    if args.device:
        return log_in_by_device(grant, options, say)
    if args.paste:
        return log_in_by_paste(grant, options, say, input)
    return log_in_by_browser(grant, options, say)
