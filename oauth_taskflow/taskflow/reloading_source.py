"""Reloads the connection once after the client was refused, in case its secret was rotated while the task was running.

A refusal without a reason counts too, because it may mean the client.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

from oauth_taskflow.connections.settings import ConnectionSettings, OAuth2Settings
from oauth_taskflow.errors import InvalidClient, TokenRequestRejected
from oauth_taskflow.oauth.token import Token, TokenSource
from oauth_taskflow.taskflow.connection_lookup import load_settings

OpenSource: TypeAlias = Callable[[ConnectionSettings, OAuth2Settings], TokenSource]


class ReloadingTokenSource(TokenSource):
    """The tokens of ``settings``, which ``open_source`` makes; a refused client is looked up once more in the connection. Safe for threads.

    The refusal of an unchanged connection stands: asking again would only lock the client out.
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
            return self._other_than(source, refusal).token()

    def replace_refused(self, access_token: str) -> Token:
        """A token other than the refused one; see ``TokenSource.refused``."""
        source = self.source
        try:
            return source.replace_refused(access_token)
        except TokenRequestRejected as refusal:
            return self._other_than(source, refusal).replace_refused(access_token)

    def _other_than(self, source: TokenSource, refusal: TokenRequestRejected) -> TokenSource:
        """Who asks as the connection says now; raises ``refusal`` when that is what it said before."""
        if not (isinstance(refusal, InvalidClient) or refusal.is_unexplained):
            raise refusal
        with self._lock:
            if self.source is not source:  # another thread has looked already
                return self.source
            now = load_settings(self._settings.conn_id)
            if _means(now) == _means(self._settings) or not isinstance(now.auth, OAuth2Settings):
                raise refusal
            self._settings, self.source = now, self._open_source(now, now.auth)
            return self.source


def _means(settings: ConnectionSettings) -> tuple[object, ...]:
    """All that a token request shows or travels by."""
    return settings.auth, settings.cert, settings.verify, settings.proxies
