"""One HTTP request and one response, as the parts of the test server hand them to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import msgspec

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """A request as received. Header names are in Title-Case; repeated headers are joined by ``", "``.

    ``peer_certificate`` is the client's certificate in DER, empty without one.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    peer_certificate: bytes = field(default=b"", repr=False)

    @property
    def path(self) -> str:
        """The path, not percent-decoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> Pairs:
        """The query parameters in order, repeated ones included."""
        return pairs(self.target.partition("?")[2])

    @property
    def params(self) -> dict[str, str]:
        """The query parameters by name; of repeated ones the last."""
        return dict(self.query)

    @property
    def media_type(self) -> str:
        """The media type of the body, lower case and without parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class Response:
    """An answer; ``Content-Length`` and ``Date`` are added when it is sent."""

    status: int = 200
    body: bytes = field(default=b"", repr=False)
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)


def pairs(encoded: str) -> Pairs:
    """The parameters of a query or form body in order."""
    return tuple(parse_qsl(encoded, keep_blank_values=True))


def json_response(data: object, status: int = 200, **headers: str) -> Response:
    """``data`` as a JSON answer; keyword ``retry_after`` becomes the header ``Retry-After``."""
    extra = tuple((name.replace("_", "-").title(), value) for name, value in headers.items())
    return Response(
        status, msgspec.json.encode(data), (("Content-Type", "application/json"), *extra)
    )


def problem(status: int, detail: str, **headers: str) -> Response:
    """An error answer of the API: ``{"error": detail}``."""
    return json_response({"error": detail}, status, **headers)
