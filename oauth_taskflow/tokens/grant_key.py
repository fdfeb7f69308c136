"""The key under which a grant is stored, and fingerprints of the secrets of its connection."""

from __future__ import annotations

import hashlib
import json

from msgspec import Struct
from msgspec.structs import asdict, replace

from oauth_taskflow.oauth.dialect import STANDARD
from oauth_taskflow.oauth.dpop import DPOP_ALGORITHMS
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import Grant, RefreshToken
from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.state.kept_answer import response_fingerprint


class GrantIdentity(Struct, frozen=True):
    """The facts that distinguish one token from another. Two equal identities share one stored token."""

    conn_id: str
    token_url: str
    client_id: str
    grant_type: str
    subject: str = ""
    scope: str = ""
    audience: str = ""
    resource: tuple[str, ...] = ()
    params: tuple[tuple[str, str], ...] = ()
    dpop: str = ""

    @classmethod
    def for_grant(cls, endpoint: TokenEndpoint, grant: Grant, subject: str = "") -> GrantIdentity:
        """The identity of ``grant`` requested at ``endpoint``; ``subject`` is the user that it acts for."""
        options = grant.options
        return cls(
            conn_id=endpoint.conn_id,
            token_url=endpoint.url,
            client_id=endpoint.client.client_id,
            grant_type=grant.grant_type,
            subject=subject,
            scope=" ".join(sorted(options.scope.split())),
            audience=options.audience,
            resource=tuple(sorted(options.resource)),
            params=tuple(sorted(options.params.items())),
            dpop=endpoint.dpop,
        )

    @property
    def key(self) -> str:
        """The grant key: 64 hexadecimal digits that reveal nothing of the identity."""
        # Without DPoP the keys are those that version 0.1 gave.
        parts = [value for name, value in asdict(self).items() if value or name != "dpop"]
        fields = json.dumps(parts, separators=(",", ":"))
        return hashlib.sha256(fields.encode()).hexdigest()

    @property
    def relatives(self) -> tuple[str, ...]:
        """The keys of the same grant with every other ``dpop``."""
        others = ("", *DPOP_ALGORITHMS)
        return tuple(replace(self, dpop=name).key for name in others if name != self.dpop)


class Fingerprints(Struct, frozen=True):
    """Keyed hashes that show *that* a secret of the connection changed, never what it is.

    Each is a tuple, one fingerprint per key of the ring, newest first.

    Attributes:
        seed: of the refresh token written in the connection; empty without one. An unseen one supersedes the stored one.
        client: of the client secret, how requests are made and how answers are read. A new one lifts an earlier refusal.
            It leaves the stored refresh token alone, because rotating a client secret does not revive an old refresh token.
        reading: how answers are read. A kept answer is read again in a new way.
    """

    seed: tuple[str, ...]
    client: tuple[str, ...]
    reading: str = ""

    @classmethod
    def for_grant(cls, endpoint: TokenEndpoint, grant: Grant, cipher: TokenCipher) -> Fingerprints:
        """The fingerprints of the connection as it is now."""
        seed = grant.refresh_token if isinstance(grant, RefreshToken) else ""
        return cls(
            cipher.fingerprints(seed) if seed else (),
            cipher.fingerprints(_describe_client(endpoint, grant)),
            response_fingerprint(endpoint),
        )


def _describe_client(endpoint: TokenEndpoint, grant: Grant) -> str:
    """Every setting outside the grant key that may be the reason for a refusal by the token endpoint."""
    transport, options = endpoint.transport, grant.options
    return json.dumps(
        [
            endpoint.client_auth,
            endpoint.client.client_secret,
            transport.verify,
            transport.cert,
            sorted(transport.proxies.items()),
            sorted(options.headers.items()),
            options.body,
            *_proofs(endpoint, grant),
            # The fingerprints of connections that keep to the RFC stay as they were.
            *(
                []
                if endpoint.dialect.response == STANDARD.response
                else [response_fingerprint(endpoint)]
            ),
        ]
    )


def _proofs(endpoint: TokenEndpoint, grant: Grant) -> tuple[str, ...]:
    """Fingerprints of signing keys, assertions and passwords. Empty for other grants: their fingerprints stay the same."""
    client, own = endpoint.client, grant.secret_fingerprints()
    signer = (client.signer.key.fingerprint, client.signer.audience) if client.signer else ()
    assertion = (client.assertion.fingerprint,) if client.assertion else ()
    # The order is stored: keys that sign come before the assertion of the client, a password behind it.
    signs = grant.with_skew(0.0) is not None
    return (*signer, *own, *assertion) if signs else (*signer, *assertion, *own)
