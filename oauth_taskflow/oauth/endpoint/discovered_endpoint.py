"""A token endpoint known by its issuer: address and client authentication come from the server's metadata."""

from __future__ import annotations

from msgspec.structs import replace

from oauth_taskflow.errors import ConnectionConfigError, TokenEndpointUnavailable
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.client_auth import methods_that_need
from oauth_taskflow.oauth.endpoint.discovery import find_endpoint, server_metadata
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse
from oauth_taskflow.oauth.endpoint.outcomes import Failure, NotProcessed, Outcome, Rejected
from oauth_taskflow.oauth.endpoint.server_metadata import ServerMetadata
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import Grant
from oauth_taskflow.oauth.signing import Signer, UnusableKey, shared_key


class DiscoveredEndpoint(TokenEndpoint, frozen=True):
    """A token endpoint whose ``url`` is its issuer; nothing is asked before the first exchange.

    With ``choose_auth`` the client authentication is the first that the server supports and the client can do.
    """

    choose_auth: bool = False

    def exchange(self, grant: Grant, *, budget: float | None = None) -> Outcome:
        """Trade ``grant`` for a token; see ``TokenEndpoint.exchange``. Metadata that are missing are a failure like others."""
        there = self._try_resolve()
        if not isinstance(there, TokenEndpoint):
            return there
        return there.exchange(grant.with_audience(there.url), budget=budget)

    def ask(self, grant: Grant, *, budget: float | None = None) -> TokenHttpResponse | Failure:
        """Post the form of ``grant`` once; see ``TokenEndpoint.ask``."""
        there = self._try_resolve()
        if not isinstance(there, TokenEndpoint):
            return there
        return there.ask(grant.with_audience(there.url), budget=budget)

    def _try_resolve(self) -> TokenEndpoint | Failure:
        try:
            return self.resolve()
        except TokenEndpointUnavailable as away:
            return NotProcessed(away)
        except ConnectionConfigError as wrong:
            return Rejected(wrong)

    def resolve(self) -> TokenEndpoint:
        """The endpoint itself.

        Raises:
            ConnectionConfigError: the metadata are missing, wrong, or name no token endpoint.
            TokenEndpointUnavailable: the server cannot be asked now.
        """
        metadata = server_metadata(
            self.url, conn_id=self.conn_id, transport=self.transport, clock=self.clock
        )
        url = find_endpoint(
            metadata,
            "token_endpoint",
            conn_id=self.conn_id,
            field="token_url",
            mtls=self.transport.cert is not None,
        )
        if url is None:
            raise ConnectionConfigError(
                "The server's metadata name no token endpoint",
                conn_id=self.conn_id,
                field="issuer",
                hint="Write token_url instead.",
            )
        return _as_client(TokenEndpoint.from_endpoint(self, url=url), self._method(metadata))

    def _method(self, metadata: ServerMetadata) -> str:
        supported = metadata.find_list("token_endpoint_auth_methods_supported")
        if not self.choose_auth or supported is None:
            return self.client_auth
        able = _able(self.client, certificate=self.transport.cert is not None)
        return next((name for name in able if name in supported), self.client_auth)


def _able(client: Client, *, certificate: bool) -> tuple[str, ...]:
    """The methods that the client has the means for, by its strongest means."""
    if client.signer:
        return methods_that_need("private_key")
    if client.client_secret:
        return methods_that_need("secret")
    return methods_that_need("certificate") if certificate else ("none",)


def _as_client(endpoint: TokenEndpoint, method: str) -> TokenEndpoint:
    """``endpoint`` asked by ``method``, with what it signs addressed to it."""
    client = endpoint.client
    signer = client.signer
    if method == "client_secret_jwt" and signer is None:
        try:
            signer = Signer(shared_key(client.client_secret), clock=endpoint.clock)
        except UnusableKey as problem:
            raise ConnectionConfigError(
                str(problem), conn_id=endpoint.conn_id, field="client_auth", hint="Set client_auth."
            ) from None
    if signer is not None:
        client = replace(client, signer=signer.with_audience(endpoint.url))
    return replace(endpoint, client=client, client_auth=method)
