"""The request to a token endpoint and its response, as values. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oauth_taskflow.oauth.dialect import STANDARD, ResponseDialect
from oauth_taskflow.oauth.endpoint.response_body import parse_body
from oauth_taskflow.oauth.endpoint.response_text import decode
from oauth_taskflow.redaction import redact_address, redact_text, remove_secrets
from oauth_taskflow.secret_values import Hidden, SecretValue

_MOST_READ = 4096  # characters of a text of which some hundred are shown


class TokenRequestInfo(SecretValue, frozen=True):
    """Facts about a token request: enough to judge the response and to word an error, and the secrets to keep out of it."""

    conn_id: str
    url: str
    grant_type: str
    scope: str = ""
    targets: tuple[str, ...] = ()
    secrets: Hidden[tuple[str, ...]] = ()
    refusal_hint: str = ""
    by_consent: bool = False
    dialect: ResponseDialect = STANDARD.response
    dpop_key: Hidden[str] = ""
    client_auth: str = ""

    @property
    def where(self) -> str:
        """The place for error messages: connection, host and path."""
        return f"for connection {self.conn_id!r} at {redact_address(self.url)}"

    @property
    def endpoint(self) -> str:
        """Names the kind of endpoint. Without a grant it is another endpoint of the server, and the URL says which."""
        return "token endpoint" if self.grant_type else "endpoint"

    @property
    def repeated(self) -> str:
        """The beginning of a hint: who repeats the request when the server is unreachable."""
        if self.grant_type == "authorization_code":  # a code is sent once
            return f"Start the login again: airflow oauth login {self.conn_id}"
        return "Tasks try again by themselves" if self.grant_type else "Try again later"

    def clean(self, text: str, limit: int = 200) -> str:
        """Foreign ``text`` in a form that may be shown: without our secrets, printable, one line, short."""
        # Named secrets go first, because a cut one would no longer be recognised.
        short = remove_secrets(text, self.secrets)[:_MOST_READ]
        shown = "".join(c if c.isprintable() else " " for c in redact_text(short))
        return " ".join(shown.split())[:limit].rstrip(". ")


class ReadBody(SecretValue, frozen=True):
    """The body of an answer: as text, see ``decode``, and the ``fields`` of the mapping in it; None without one."""

    text: Hidden[str]
    fields: Hidden[dict[str, Any] | None]


class TokenHttpResponse(SecretValue, frozen=True):
    """One HTTP answer. Header names are lower case; times are seconds since the epoch on our clock.

    ``parameters`` are the names of those that were sent.
    """

    status: int
    headers: Hidden[Mapping[str, str]]
    body: Hidden[bytes]
    sent_at: float
    received_at: float
    parameters: tuple[str, ...] = ()

    def read(self) -> ReadBody:
        """The body, decoded and parsed: the answer keeps no copy, so read it once."""
        text = decode(self.body, self.headers.get("content-type", ""))
        return ReadBody(text, parse_body(text, self.content_type))

    @property
    def content_type(self) -> str:
        """The media type without parameters, lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_success(self) -> bool:
        """Whether the status is a 2xx."""
        return 200 <= self.status < 300
