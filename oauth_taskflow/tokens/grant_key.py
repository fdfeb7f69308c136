"""Which stored token belongs to whom: the grant key, and marks of the secrets a connection was set up with."""

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
from oauth_taskflow.tokens.state.kept_answer import reading_of


class GrantIdentity(Struct, frozen=True):
    """Everything that makes one token different from another. Two equal identities share one stored token."""

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
    def of(cls, endpoint: TokenEndpoint, grant: Grant, subject: str = "") -> GrantIdentity:
        """The identity of ``grant`` asked for at ``endpoint``; ``subject`` is whom it acts for."""
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
        """The grant key: 64 hexadecimal digits that tell nothing about what went in."""
        # Without DPoP the keys are those that version 0.1 gave.
        parts = [value for name, value in asdict(self).items() if value or name != "dpop"]
        fields = json.dumps(parts, separators=(",", ":"))
        return hashlib.sha256(fields.encode()).hexdigest()

    @property
    def relatives(self) -> tuple[str, ...]:
        """The keys of the same grant with every other ``dpop``."""
        others = ("", *DPOP_ALGORITHMS)
        return tuple(replace(self, dpop=name).key for name in others if name != self.dpop)


class Marks(Struct, frozen=True):
    """Keyed hashes that show *that* a secret of the connection changed, never what it is.

    Each is a tuple, one mark per key of the ring, newest first. ``seed`` marks the refresh token written in the
    connection (empty without one): an unseen one supersedes what is
    stored. ``client`` marks the client secret, how requests are made and how answers are read: a new one lifts an earlier
    refusal, and leaves the stored refresh token alone, because rotating a client secret does not bring an old refresh
    token back to life. ``reading`` is how answers are read: an answer that was kept is read again in a new way.
    """

    seed: tuple[str, ...]
    client: tuple[str, ...]
    reading: str = ""

    @classmethod
    def of(cls, endpoint: TokenEndpoint, grant: Grant, cipher: TokenCipher) -> Marks:
        """The marks of what the connection holds now."""
        seed = grant.refresh_token if isinstance(grant, RefreshToken) else ""
        return cls(
            cipher.marks(seed) if seed else (),
            cipher.marks(_set_up(endpoint, grant)),
            reading_of(endpoint),
        )


def _set_up(endpoint: TokenEndpoint, grant: Grant) -> str:
    """Everything outside the grant key that may be why the token endpoint refused."""
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
            # The marks of all who keep to the RFC stay what they were.
            *([] if endpoint.dialect.response == STANDARD.response else [reading_of(endpoint)]),
        ]
    )


def _proofs(endpoint: TokenEndpoint, grant: Grant) -> tuple[str, ...]:
    """Fingerprints of signing keys, assertions and passwords. Empty for other grants: their fingerprints stay the same."""
    client = endpoint.client
    signer = (client.signer.key.mark, client.signer.audience) if client.signer else ()
    assertion = (client.assertion.mark,) if client.assertion else ()
    return (*signer, *grant.secret_fingerprints(), *assertion)
