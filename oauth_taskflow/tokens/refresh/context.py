"""The surroundings of a refresh attempt, and the exception that ends one."""

from __future__ import annotations

from msgspec import Struct

from oauth_taskflow.clock import Clock
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import Grant
from oauth_taskflow.tokens.events import Observer
from oauth_taskflow.tokens.grant_key import Fingerprints
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.store import TokenStore


class LeaseLost(Exception):
    """The lease ended before the attempt did, and another worker goes on. Never leaves this package."""


class RefreshContext(Struct, frozen=True):
    """The surroundings of a refresh attempt, the same for every attempt of a manager.

    ``relatives`` are the keys of grants that this one may take the refresh token of (see ``moved_grants``).
    """

    store: TokenStore
    endpoint: TokenEndpoint
    grant: Grant
    grant_key: str
    fingerprints: Fingerprints
    options: ManagerOptions
    clock: Clock
    observer: Observer
    relatives: tuple[str, ...] = ()

    @property
    def conn_id(self) -> str:
        """The id of the connection, for logs and errors."""
        return self.endpoint.conn_id
