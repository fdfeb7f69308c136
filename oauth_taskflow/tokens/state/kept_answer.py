"""The latest answer that may hold tokens, as it arrived: kept with its grant, and read again when the connection changes.

The connection may describe answers wrongly (a misspelled ``token_path``, or ``dpop`` for a server without DPoP). The
refresh token in such an answer still exists only once.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec
from msgspec.structs import asdict, replace

from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.secret_values import Hidden, SecretValue

_OK = 200
_MOST_READINGS = 8


class KeptAnswer(SecretValue, frozen=True):
    """An answer with status 2xx, before anything in it is judged. Instants are on the store's clock.

    ``body`` is in base64. ``read_as`` are fingerprints of the ways in which it was read so far. ``held`` says that it may
    hold a refresh token that these readings missed, so that the one before it is not sent again.
    """

    body: Hidden[str]
    content_type: str
    date: str
    sent_at: float
    received_at: float
    read_as: tuple[str, ...] = ()
    held: bool = False

    @classmethod
    def from_answer(cls, answer: TokenHttpResponse, offset: float) -> KeptAnswer:
        """The part of ``answer`` that is kept; ``offset`` is the store's clock minus ours."""
        return cls(
            base64.b64encode(answer.body).decode(),
            answer.headers.get("content-type", ""),
            answer.headers.get("date", ""),
            answer.sent_at + offset,
            answer.received_at + offset,
        )

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> KeptAnswer:
        """The answer that ``fields`` gave."""
        return cls(**{**fields, "read_as": tuple(fields["read_as"])})

    @property
    def fields(self) -> dict[str, Any]:
        """It as JSON values."""
        return asdict(self)

    def to_answer(self, offset: float) -> TokenHttpResponse:
        """The answer to be read again, on our clock."""
        named = {"content-type": self.content_type, "date": self.date}
        headers = {name: value for name, value in named.items() if value}
        body = base64.b64decode(self.body)
        return TokenHttpResponse(
            _OK, headers, body, self.sent_at - offset, self.received_at - offset
        )

    def add_reading(self, reading: str, *, held: bool) -> KeptAnswer:
        """It after it was read in the way of that fingerprint."""
        others = tuple(one for one in self.read_as if one != reading)
        return replace(self, read_as=(*others, reading)[-_MOST_READINGS:], held=held)

    def blocks_requests(self, reading: str) -> bool:
        """Whether requests are useless as long as answers are read in that way."""
        return self.held and reading in self.read_as


def response_fingerprint(endpoint: TokenEndpoint) -> str:
    """A fingerprint of how the connection says that answers are read."""
    said = msgspec.json.encode([endpoint.dialect.response, bool(endpoint.dpop)])
    return hashlib.sha256(said).hexdigest()[:32]
