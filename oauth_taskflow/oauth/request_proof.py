"""A proof, sent with the access token, that the sender knows the client's secret, such as Meta's ``appsecret_proof``.

https://developers.facebook.com/docs/graph-api/guides/secure-requests: a stolen token alone is useless then. The proof
belongs to one token, so a caller that may have the token may have its proof too.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec.structs import replace

from oauth_taskflow.oauth.token import Token, TokenSource
from oauth_taskflow.schema.types import Options, doc
from oauth_taskflow.secret_values import NeverPickled
from oauth_taskflow.urls import add_param, remove_param

if TYPE_CHECKING:
    import requests

_HASHES = {"hmac_sha256": "sha256", "hmac_sha512": "sha512"}


class RequestProof(Options, frozen=True, kw_only=True):
    """A proof sent with the access token: its HMAC with the client's secret, in hexadecimal digits."""

    name: Annotated[
        str,
        doc(
            "The query parameter or header that carries it.",
            "appsecret_proof",
            min_length=1,
        ),
    ]
    place: Annotated[
        Literal["query", "header"],
        doc(
            "Where it goes.",
            "header",
        ),
    ] = "query"
    algorithm: Annotated[
        Literal["hmac_sha256", "hmac_sha512"],
        doc(
            "How it is computed.",
            "hmac_sha512",
        ),
    ] = "hmac_sha256"

    def compute(self, access_token: str, secret: str) -> str:
        """Computes the proof of ``access_token`` with ``secret``."""
        digest = _HASHES[self.algorithm]
        return hmac.new(secret.encode(), access_token.encode(), digest).hexdigest()

    def put_on(self, request: requests.PreparedRequest, value: str) -> None:
        """Put ``value`` on ``request``, in the place of the proof of an earlier token."""
        if self.place == "header":
            request.headers[self.name] = value
            return
        request.url = add_param(self.remove_from(request.url or ""), self.name, value)

    def remove_from(self, url: str) -> str:
        """``url`` without a proof; every other byte of it stays."""
        return remove_param(url, self.name) if self.place == "query" else url


class ProofTokenSource(NeverPickled, TokenSource):
    """The tokens of ``source``, each with the proof that ``secret`` is known. Safe for threads."""

    __slots__ = ("_last", "_proof", "_secret", "_source")

    def __init__(self, source: TokenSource, proof: RequestProof, secret: str) -> None:
        self._source, self._proof, self._secret = source, proof, secret
        self._last: tuple[Token, Token] | None = None

    def __repr__(self) -> str:
        return f"ProofTokenSource({self._source!r})"

    def token(self) -> Token:
        """A usable token; see ``TokenSource.token``."""
        return self._add_proof(self._source.token())

    def replace_refused(self, access_token: str) -> Token:
        """A token other than the refused one; see ``TokenSource.replace_refused``."""
        return self._add_proof(self._source.replace_refused(access_token))

    def _add_proof(self, token: Token) -> Token:
        # Called for every request, mostly with the token of last time.
        last = self._last
        if last is None or last[0] is not token:
            proof = self._proof.compute(token.access_token, self._secret)
            self._last = last = token, replace(token, proof=proof)
        return last[1]
