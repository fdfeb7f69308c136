"""``airflow oauth status``, ``refresh``, ``revoke`` and ``forget``: inspect and end stored grants."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from functools import partial, wraps

from oauth_taskflow.errors import OAuthTaskflowError, TokenUndecryptable
from oauth_taskflow.taskflow.cli.grant_rows import group_by_connection, make_row, status_row
from oauth_taskflow.taskflow.cli.output import Row, exit_with_error, print_rows
from oauth_taskflow.taskflow.config import fernet_keys, store_url
from oauth_taskflow.taskflow.grants.actions import forget_grants, refresh_now, revoke_grant
from oauth_taskflow.taskflow.grants.grant_status import unreadable_status
from oauth_taskflow.taskflow.grants.managed_grant import ManagedGrant, load_managed_grant
from oauth_taskflow.tokens.registry import open_store
from oauth_taskflow.tokens.state.record import GrantRecord

Command = Callable[[Namespace], None]


def _print_errors(command: Command) -> Command:
    """Makes ``command`` print its error as one sentence and exit with status 1."""

    @wraps(command)
    def run(args: Namespace) -> None:
        try:
            command(args)
        except OAuthTaskflowError as error:
            exit_with_error(error)

    return run


@_print_errors
def status(args: Namespace) -> None:
    """Show one connection's grant, or all that the store holds."""
    rows = (
        _read_all_rows()
        if args.conn_id is None
        else [_read_grant_row(load_managed_grant(args.conn_id))]
    )
    print_rows(group_by_connection(rows, args.output), args.output)


def _read_grant_row(grant: ManagedGrant) -> Row:
    stored, leeway = grant.manager.stored, grant.auth.leeway
    row = _read_row(grant.conn_id, stored.read, grant.manager.grant_key, leeway)
    return {**row, "conn_id": grant.conn_id}


def _read_all_rows() -> list[Row]:
    store = open_store(store_url(), fernet_keys())
    return [
        _read_row(conn_id, partial(store.read, key), key) for conn_id, key in store.list_grants()
    ]


def _read_row(conn_id: str, read: Callable[[], GrantRecord], grant_key: str, *leeway: float) -> Row:
    try:
        return status_row(read(), *leeway)
    except TokenUndecryptable as failure:
        return make_row(unreadable_status(conn_id, grant_key, failure), str(failure))


@_print_errors
def refresh(args: Namespace) -> None:
    """Fetch the next token now, through the same lease as tasks."""
    print_rows([_read_grant_row(refresh_now(args.conn_id))], args.output)


@_print_errors
def revoke(args: Namespace) -> None:
    """End the grant at the authorization server, and then here; a failure leaves it unchanged."""
    print_rows([_read_grant_row(revoke_grant(args.conn_id))], args.output)


@_print_errors
def forget(args: Namespace) -> None:
    """Delete the stored grants of a connection, which may be gone already. The authorization server is not notified."""
    count = forget_grants(args.conn_id)
    print_rows([{"conn_id": args.conn_id, "forgotten": count}], args.output)
