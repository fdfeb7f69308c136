"""Connection → ``AsyncOAuthSession``; what may block happens in worker threads."""

from __future__ import annotations

import asyncio

from oauth_taskflow.api.aio.session import AsyncOAuthSession
from oauth_taskflow.api.auth import Credentials
from oauth_taskflow.connections.settings import ConnectionSettings
from oauth_taskflow.taskflow.connection_source import load_settings
from oauth_taskflow.taskflow.sessions import addressed, credentials_for, session_options


async def open_async_session(conn_id: str) -> AsyncOAuthSession:
    """An async session for the Connection ``conn_id``, in a task, trigger or script. Close it after use.

    Airflow's own calls that look a connection up or mask a secret wait for the supervisor. From a worker thread they
    may: only on the event loop's own thread would they end in ``DeadlockImminentError``.

    Raises:
        ConnectionConfigError: the connection is missing or wrong.
        TokenStoreError: tokens cannot be kept safely.
    """
    return await asyncio.to_thread(lambda: async_session_for(load_settings(conn_id)))


def async_session_for(settings: ConnectionSettings) -> AsyncOAuthSession:
    """An async session for checked settings; blocks, so call it in a thread.

    Raises:
        ConnectionConfigError: a rotating grant cannot be kept where the configuration says.
        TokenStoreError: tokens cannot be kept safely.
    """
    settings = addressed(settings)
    credentials = credentials_for(settings)
    assert isinstance(credentials, Credentials)
    return AsyncOAuthSession(
        settings.base_url,
        credentials,
        **session_options(settings),
    )
