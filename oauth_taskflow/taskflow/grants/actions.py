"""Actions on the grants of a connection: refresh, revoke, forget, test. Audit and permissions are the caller's."""

from __future__ import annotations

from oauth_taskflow import secret_registry
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.masking_source import token_secrets
from oauth_taskflow.taskflow.config import fernet_keys, store_url
from oauth_taskflow.taskflow.grants.connection_check import try_connection
from oauth_taskflow.taskflow.grants.managed_grant import ManagedGrant, load_managed_grant
from oauth_taskflow.taskflow.grants.revocation import read_revocable, revoke_tokens
from oauth_taskflow.tokens.registry import open_store
from oauth_taskflow.tokens.state.record import GrantState
from oauth_taskflow.tokens.stored_grant import forget_grant


def refresh_now(conn_id: str) -> ManagedGrant:
    """Fetch the next token of ``conn_id``, through the same lease as tasks, although the stored one may be fresh.

    Raises:
        ConnectionConfigError: the connection is missing or wrong, or stores no grant.
        TokenRequestError: no token could be fetched.
        TokenStoreError: the store failed.
    """
    grant = load_managed_grant(conn_id)
    manager, record = grant.manager, grant.manager.stored.read()
    token = manager.renew(record.token.access_token) if record.token else manager.token()
    secret_registry.add(token_secrets(token))
    return grant


def revoke_grant(conn_id: str) -> ManagedGrant:
    """End the grant of ``conn_id`` at the authorization server, and then here; a failure leaves it unchanged.

    Raises:
        OAuthTaskflowError: there is nothing to revoke, or the server refused or was not reached.
    """
    grant = load_managed_grant(conn_id)
    url = grant.endpoint_url("revoke_url")
    record = read_revocable(grant)
    while True:
        if not revoke_tokens(grant, url, record):
            raise OAuthTaskflowError(f"Connection {conn_id!r} has no token that could be revoked")
        if grant.auth.grant_type != "refresh_token":
            grant.manager.stored.forget()
            return grant
        # Servers report success for a token that a worker has spent meanwhile (RFC 7009 §2.2): then its successor is next.
        record = grant.manager.stored.store_revocation(record)
        if record.state is GrantState.REVOKED:
            return grant


def forget_grants(conn_id: str, grant_key: str | None = None) -> int:
    """Delete the stored grants of a connection, which may be gone already, or the one with ``grant_key``; how many.

    A consent that waits in a file of this machine counts as stored.

    The authorization server is not notified.

    Raises:
        OAuthTaskflowError: nothing is stored.
        TokenStoreError: the store failed.
    """
    store = open_store(store_url(), fernet_keys())
    keys = [key for key in find_grants(conn_id) if grant_key in {None, key}]
    if not keys:
        raise OAuthTaskflowError(f"Nothing is stored for connection {conn_id!r}")
    for key in keys:
        forget_grant(store, key)
    return len(keys)


def find_grants(conn_id: str) -> list[str]:
    """The grant keys under which something is stored for ``conn_id``, or waits in a file of this machine to be stored.

    Raises:
        TokenStoreError: the store failed.
    """
    store = open_store(store_url(), fernet_keys())
    known = {*store.list_grants(), *store.recovery.list_consents()}
    return sorted(key for owner, key in known if owner == conn_id)


def is_testing_allowed() -> bool:
    """Whether ``[oauth_taskflow] page_test`` lets the page try stored connections, as it does by default."""
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - run time only

    return bool(conf.getboolean("oauth_taskflow", "page_test", fallback=True))


def try_stored_connection(conn_id: str) -> tuple[bool, str]:
    """Whether the stored connection works, and one sentence about the result.

    Raises:
        OAuthTaskflowError: the switch is off.
    """
    if not is_testing_allowed():
        raise OAuthTaskflowError(
            "Testing stored connections is switched off",
            hint="Set [oauth_taskflow] page_test to True, or run: airflow connections test <conn_id>",
        )
    return try_connection(conn_id)
