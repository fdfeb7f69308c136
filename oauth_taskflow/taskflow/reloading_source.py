"""Reloads the connection once after the client was refused, in case its secret was rotated while the task was running.

A refusal without a reason counts too, because it may mean the client. So does any refusal of a grant without a refresh
token: everything that it presents is in the connection, such as the key that signs an assertion.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

from oauth_taskflow.connections.settings import ConnectionSettings, OAuth2Settings
from oauth_taskflow.errors import InvalidClient, TokenRequestRejected
from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.oauth.token import Token, TokenSource
from oauth_taskflow.taskflow.connection_lookup import load_settings

OpenSource: TypeAlias = Callable[[ConnectionSettings, OAuth2Settings], TokenSource]


class ReloadingTokenSource(TokenSource):
    """The tokens of ``settings``, from the source that ``open_source`` makes. Safe for threads.

    After a refusal that the connection may have caused, the connection is read once more.

    The refusal of an unchanged connection is final: another request could only lock the client out.
    """

    def __init__(
        self, settings: ConnectionSettings, auth: OAuth2Settings, open_source: OpenSource
    ) -> None:
        self._settings = settings
        self._open_source = open_source
        self._lock = threading.Lock()
        self.source = open_source(settings, auth)

    def token(self) -> Token:
        """A usable token; see ``TokenSource.token``."""
        source = self.source
        try:
            return source.token()
        except TokenRequestRejected as refusal:
            return self._reload(source, refusal).token()

    def replace_refused(self, access_token: str) -> Token:
        """A token other than the refused one; see ``TokenSource.replace_refused``."""
        source = self.source
        try:
            return source.replace_refused(access_token)
        except TokenRequestRejected as refusal:
            return self._reload(source, refusal).replace_refused(access_token)

    def _reload(self, source: TokenSource, refusal: TokenRequestRejected) -> TokenSource:
        """Returns the source for the connection as it is now; raises ``refusal`` if the connection is unchanged."""
        is_about_client = isinstance(refusal, InvalidClient) or refusal.is_unexplained
        if refusal.grant == RefreshToken.grant_type and not is_about_client:
            raise refusal
        with self._lock:
            if self.source is not source:  # another thread has looked already
                return self.source
            now = load_settings(self._settings.conn_id)
            if _request_settings(now) == _request_settings(self._settings) or not isinstance(
                now.auth, OAuth2Settings
            ):
                raise refusal
            self._settings, self.source = now, self._open_source(now, now.auth)
            return self.source


def _request_settings(settings: ConnectionSettings) -> tuple[object, ...]:
    """Returns everything that a token request contains or is sent through."""
    return settings.auth, settings.cert, settings.verify, settings.proxies
