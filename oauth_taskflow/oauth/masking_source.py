"""A token source that announces its tokens as secrets, so that logs and XCom hide them."""

from __future__ import annotations

import math

from oauth_taskflow import secret_registry
from oauth_taskflow.oauth.token import Token, TokenSource

# Seconds after its expiry for which a token stays hidden: logs are late, and clocks differ.
_MARGIN = 3600.0


def token_secrets(token: Token) -> tuple[str, ...]:
    """The parts of ``token`` that must never be shown."""
    return (token.access_token, token.dpop_key, token.proof)


class MaskingTokenSource(TokenSource):
    """Announces each token of ``source`` before it returns it."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._last: Token | None = None

    def token(self) -> Token:
        """A usable token; see ``TokenSource.token``."""
        return self._announce(self._source.token())

    def replace_refused(self, access_token: str) -> Token:
        """A token other than the refused one; see ``TokenSource.replace_refused``."""
        return self._announce(self._source.replace_refused(access_token))

    def _announce(self, token: Token) -> Token:
        # Called for every request: for the same token as last time it costs one comparison.
        if token is not self._last:
            ends = math.inf if token.expires_at is None else token.expires_at + _MARGIN
            secret_registry.add([token.access_token, token.proof], until=ends)
            secret_registry.add([token.dpop_key])
            self._last = token
        return token
