"""The latest answer that may hold tokens, as it came: kept with its grant, and read again when the connection changes.

What the connection says of an answer may be wrong (a misspelled ``token_path``, ``dpop`` where the server knows none). The
refresh token in it exists once all the same.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec
from msgspec.structs import asdict, replace

from oauth_taskflow.oauth.endpoint.messages import Answer
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.secret_values import Hidden, SecretValue

_OK = 200
_MOST_READINGS = 8


class Arrived(SecretValue, frozen=True):
    """An answer with status 2xx, before anything in it is judged. Instants are on the store's clock.

    ``body`` is in base64. ``read_as`` are fingerprints of the ways in which it was read so far; ``held`` says that it may
    hold a refresh token that none of them found, so that the one before it is not sent again.
    """

    body: Hidden[str]
    content_type: str
    date: str
    sent_at: float
    received_at: float
    read_as: tuple[str, ...] = ()
    held: bool = False

    @classmethod
    def of(cls, answer: Answer, offset: float) -> Arrived:
        """What is kept of ``answer``; ``offset`` is the store's clock minus ours."""
        return cls(
            base64.b64encode(answer.body).decode(),
            answer.headers.get("content-type", ""),
            answer.headers.get("date", ""),
            answer.sent_at + offset,
            answer.received_at + offset,
        )

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Arrived:
        """The answer that ``fields`` gave."""
        return cls(**{**fields, "read_as": tuple(fields["read_as"])})

    @property
    def fields(self) -> dict[str, Any]:
        """It as JSON values."""
        return asdict(self)

    def answer(self, offset: float) -> Answer:
        """The answer to be read again, on our clock."""
        named = {"content-type": self.content_type, "date": self.date}
        headers = {name: value for name, value in named.items() if value}
        body = base64.b64decode(self.body)
        return Answer(_OK, headers, body, self.sent_at - offset, self.received_at - offset)

    def read(self, reading: str, *, held: bool) -> Arrived:
        """It after it was read in the way of that fingerprint."""
        others = tuple(one for one in self.read_as if one != reading)
        return replace(self, read_as=(*others, reading)[-_MOST_READINGS:], held=held)

    def holds_back(self, reading: str) -> bool:
        """Whether no request helps as long as answers are read so."""
        return self.held and reading in self.read_as


def reading_of(endpoint: TokenEndpoint) -> str:
    """A fingerprint of how the connection says that answers are read."""
    said = msgspec.json.encode([endpoint.dialect.response, bool(endpoint.dpop)])
    return hashlib.sha256(said).hexdigest()[:32]
