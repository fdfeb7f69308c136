"""Looks at the grant of a connection, and uses it: in the token store, or in broker mode through the API server."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

from oauth_taskflow import secret_registry
from oauth_taskflow.connections.settings import (
    BrokeredSettings,
    ConnectionSettings,
    OAuth2Settings,
)
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.notices.store import NoticeKeeper, NoticeStore
from oauth_taskflow.notices.trouble import Limits, Look, look_at
from oauth_taskflow.oauth.masking_source import token_secrets
from oauth_taskflow.taskflow.broker.channel import UnknownQuestion
from oauth_taskflow.taskflow.broker.client import ask_broker
from oauth_taskflow.taskflow.broker.notice_client import BrokerNoticeKeeper
from oauth_taskflow.taskflow.config import fernet_keys, is_broker_configured, store_url
from oauth_taskflow.taskflow.connection_lookup import load_settings
from oauth_taskflow.taskflow.processes import in_task
from oauth_taskflow.taskflow.sessions import token_manager
from oauth_taskflow.tokens.registry import open_store


class NoGrantKept(ConnectionConfigError):
    """The connection is of a kind that stores no grant."""


class GrantWatch(Protocol):
    """The grant of one connection."""

    keeper: NoticeKeeper

    def look(self, limits: Limits) -> Look:
        """Returns what is to be said of the grant, and whether it should be used now; no request is sent.

        Raises:
            TokenStoreError: the store failed.
        """

    def use(self) -> None:
        """Gets a token, with a refresh if one is due.

        Raises:
            OAuthTaskflowError: there is no token; the next look says what that means for people.
        """


class StoredGrantWatch:
    """A grant in a token store that this process opens."""

    def __init__(self, settings: ConnectionSettings, auth: OAuth2Settings) -> None:
        brokered = is_broker_configured() and not in_task()
        self._manager = token_manager(settings, auth, brokered=brokered)
        self._auth = auth
        self.keeper: NoticeKeeper = _open_notices(store_url())

    def look(self, limits: Limits) -> Look:
        """See ``GrantWatch``."""
        by_person = self._auth.grant_type == "refresh_token"
        record = self._manager.stored.read()
        return look_at(record, limits, by_person=by_person, has_seed=bool(self._auth.refresh_token))

    def use(self) -> None:
        """See ``GrantWatch``."""
        secret_registry.add(token_secrets(self._manager.token()))


class BrokeredGrantWatch:
    """A grant that the API server keeps."""

    def __init__(self, conn_id: str) -> None:
        self._conn_id, self._broker = conn_id, BrokerNoticeKeeper()
        self.keeper: NoticeKeeper = self._broker

    def look(self, limits: Limits) -> Look:
        """See ``GrantWatch``."""
        return self._broker.look(self._conn_id, limits)

    def use(self) -> None:
        """See ``GrantWatch``."""
        ask_broker(self._conn_id)


@lru_cache(maxsize=4)
def _open_notices(url: str) -> NoticeStore:
    return NoticeStore(url)


def open_watch(conn_id: str, limits: Limits) -> GrantWatch:
    """Returns the grant of the Connection ``conn_id``.

    Raises:
        ConnectionConfigError: the connection is missing or wrong, or stores no grant.
        TokenStoreError: the store is unusable, or the API server is away.
    """
    refused: ConnectionConfigError | None = None
    if in_task():
        watch = BrokeredGrantWatch(conn_id)
        try:
            watch.look(limits)
        except UnknownQuestion:
            pass
        except ConnectionConfigError as error:
            refused = error  # perhaps this worker has the connection itself, in a variable
        else:
            return watch
    settings = load_settings(conn_id)
    if isinstance(settings.auth, OAuth2Settings):
        return StoredGrantWatch(settings, settings.auth)
    if isinstance(settings.auth, BrokeredSettings):
        raise refused or _old_broker_error(conn_id)
    raise NoGrantKept(
        "This connection stores no grant",
        conn_id=conn_id,
        field="auth_type",
        hint="Name connections with auth_type oauth2 only.",
    )


def _old_broker_error(conn_id: str) -> ConnectionConfigError:
    what = "The API server's broker does not know questions about grants: it has an earlier release"
    return ConnectionConfigError(what, conn_id=conn_id, hint="Update the API server.")


def is_missing(conn_id: str) -> bool:
    """Whether no secrets backend of this process has a connection of that name, and none fails or denies it; for a task.

    Airflow's own look-up goes on after a backend that fails, and then says that the connection is not there.
    """
    from airflow.sdk.execution_time.supervisor import (  # noqa: PLC0415 - run time only
        ensure_secrets_backend_loaded,
    )

    return all(_lacks(backend, conn_id) for backend in ensure_secrets_backend_loaded())


def _lacks(backend: Any, conn_id: str) -> bool:
    try:
        return backend.get_connection(conn_id=conn_id) is None
    except Exception:  # noqa: BLE001 - it is not known
        return False


def list_granted_connections() -> list[str]:
    """Returns the names of the connections that have a stored grant, sorted; in broker mode those that this task may read.

    Raises:
        TokenStoreError: the store is unusable, or the API server is away.
    """
    if in_task():
        try:
            return BrokerNoticeKeeper().list_connections()
        except UnknownQuestion:
            pass
    grants = open_store(store_url(), fernet_keys()).list_grants()
    return sorted({conn_id for conn_id, _ in grants if conn_id})
