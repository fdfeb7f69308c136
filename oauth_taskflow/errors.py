"""Every error of this package, in one tree.

    OAuthTaskflowError            .where  .hint  .retryable  .retry_after (seconds or None)
    ├─ ConnectionConfigError      a Connection is missing or contradicts itself
    ├─ TokenRequestError          no token could be obtained
    │  ├─ TokenRequestRejected    the authorization server refused: .error is the RFC 6749 §5.2 code
    │  │  ├─ InvalidClient        client id, secret or client authentication refused
    │  │  ├─ InvalidGrant         the refresh token (or other grant) is dead: a person must consent again
    │  │  └─ ConsentRequired      a person must act at the authorization server
    │  ├─ AuthorizationFailed     a login by a person ended without a grant
    │  ├─ RefreshResponseLost     the refresh token was spent and no whole response arrived
    │  ├─ TokenEndpointUnavailable  network, 429, 5xx: retryable
    │  └─ InvalidTokenResponse    2xx that is not a token response
    ├─ TokenStoreError            the token store cannot be read or written
    │  ├─ TokenUndecryptable      no key of the ring opens the stored token
    │  └─ LeaseTimeout            another worker held the right to refresh for too long: retryable
    ├─ ApiError
    │  ├─ ApiRequestFailed        the API answered with an error, or not at all
    │  ├─ BudgetWait              the next request may start in a long while only: retryable
    │  ├─ ForeignOriginRefused    a URL outside the connection's allowed origins
    │  ├─ RecordsNotFound         the record selector found nothing where records must be
    │  ├─ InvalidRecord           a body, record or field cannot be read as its required type
    │  ├─ NotAPage                a response without a page: empty, null, not ready
    │  ├─ PagesCutShort           the pages end before all announced records arrived
    │  ├─ PaginationLoop          the API sends the same page again
    │  ├─ PaginationLimit         more pages or records than the spec allows
    │  │  └─ CapReached           more rows than the API shows of one request
    │  └─ DestinationError        records could not be written
    ├─ ResultRefused              a task tried to return a session or a token
    ├─ TemplateFailed             a template in a spec cannot be rendered
    ├─ WatermarkError             a stored watermark cannot be used or kept
    └─ SpecError                  .problems, all of them, not the first

Each leaf builds its message from its fields: what happened, where, what to do. No message holds a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
    "ApiError",
    "ApiRequestFailed",
    "AuthorizationFailed",
    "BudgetWait",
    "CapReached",
    "ConnectionConfigError",
    "ConsentRequired",
    "DestinationError",
    "ForeignOriginRefused",
    "InvalidClient",
    "InvalidGrant",
    "InvalidRecord",
    "InvalidTokenResponse",
    "LeaseTimeout",
    "NotAPage",
    "OAuthTaskflowError",
    "PagesCutShort",
    "PaginationLimit",
    "PaginationLoop",
    "RecordsNotFound",
    "RefreshResponseLost",
    "ResultRefused",
    "SpecError",
    "TemplateFailed",
    "TokenEndpointUnavailable",
    "TokenRequestError",
    "TokenRequestRejected",
    "TokenStoreError",
    "TokenUndecryptable",
    "WatermarkError",
]


# The statuses without the error code that RFC 6749 §5.2 requires, and a code that some servers use for a dead refresh token.
_UNEXPLAINED = frozenset({"http_400", "http_401", "http_403", "invalid_request"})


def printable(text: str) -> str:
    """``text`` without the characters that a terminal or log viewer executes; line breaks stay.

    Messages quote text of servers: control characters, which start ANSI and OSC sequences, and direction marks are removed.
    """
    if text.isprintable():
        return text
    spaced = text.replace("\t", " ")
    return "".join(char for char in spaced if char == "\n" or char.isprintable())


def _rebuild(cls: type[OAuthTaskflowError], state: dict[str, Any]) -> OAuthTaskflowError:
    error = cls.__new__(cls)
    Exception.__init__(error, state["what"])
    error.__dict__.update(state)
    return error


class OAuthTaskflowError(Exception):
    """The root: what happened, where it happened and what to do about it.

    ``retryable`` says whether the same call may succeed later without a person's help. ``retry_after`` is the wait in
    seconds that the server asked for, or None. Errors can be pickled, so they reach other processes complete.
    """

    retryable = False

    def __init__(
        self, what: str, *, where: str = "", hint: str = "", retry_after: float | None = None
    ) -> None:
        self.what, self.where, self.hint = printable(what), printable(where), printable(hint)
        super().__init__(self.what)
        self.retry_after = retry_after

    def __str__(self) -> str:
        place = f" {self.where}" if self.where else ""
        hint = f" {self.hint}" if self.hint else ""
        return f"{self.what}{place}.{hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), dict(self.__dict__))


class ConnectionConfigError(OAuthTaskflowError):
    """A Connection is missing, incomplete or contradicts itself; ``field`` names the part at fault.

    ``where`` replaces the usual place in the message, for a ``what`` that names the connection itself. ``problems``
    lists every problem of the connection: this alone, or those that ``all_of`` joined. ``may_pass``: others said so, for now.
    """

    # The defaults also serve an error that was rebuilt from a trigger's event.
    joined: tuple[ConnectionConfigError, ...] = ()
    may_pass = False

    def __init__(
        self, what: str, *, conn_id: str, field: str = "", hint: str = "", where: str | None = None
    ) -> None:
        part = f", field {field!r}" if field else ""
        place = f"in connection {conn_id!r}{part}" if where is None else where
        super().__init__(what, where=place, hint=hint)
        self.conn_id = conn_id
        self.field = field

    @property
    def problems(self) -> tuple[ConnectionConfigError, ...]:
        """Every problem of the connection, in the order in which it was found."""
        return self.joined or (self,)

    @classmethod
    def all_of(cls, problems: Sequence[ConnectionConfigError]) -> ConnectionConfigError:
        """One error for all ``problems`` of a connection, at least one; a single one is returned as it is."""
        first = problems[0]
        if len(problems) == 1:
            return first
        error = cls(
            f"Connection {first.conn_id!r} has {len(problems)} problems",
            conn_id=first.conn_id,
            field=first.field,
            where="",
        )
        error.joined = tuple(problems)
        return error

    def __str__(self) -> str:
        if not self.joined:
            return super().__str__()
        lines = [f"- {problem.line}" for problem in self.joined]
        return "\n".join([f"{self.what}:", *lines])

    @property
    def line(self) -> str:
        """The problem as one of several, without the connection that they share."""
        hint = f" {self.hint}" if self.hint else ""
        what = self.what.removeprefix(f"Connection {self.conn_id!r}: ")
        named = self.field and self.where
        return f"field {self.field!r}: {what}.{hint}" if named else f"{what}.{hint}"


class TokenRequestError(OAuthTaskflowError):
    """No token could be obtained from the token endpoint."""


class TokenRequestRejected(TokenRequestError):
    """The authorization server refused the request; ``error`` is its code (RFC 6749 §5.2).

    Code compares ``error``. Messages use ``shown``, the same code without a client secret that the server put into it.
    ``grant`` is the grant type of the request.
    """

    shown = ""
    grant = ""

    def __init__(
        self,
        *,
        error: str,
        status: int,
        where: str,
        description: str = "",
        grant: str = "",
        hint: str = "",
        retry_after: float | None = None,
        shown: str = "",
    ) -> None:
        subject = "Refresh token" if grant == "refresh_token" else "Token request"
        detail = f": {description}" if description else ""
        self.shown = shown or error
        super().__init__(
            f"{subject} refused ({self.shown}, HTTP {status}){detail}",
            where=where,
            hint=hint or self.default_hint,
            retry_after=retry_after,
        )
        self.error = error
        self.status = status
        self.description = description
        self.grant = grant

    @property
    def is_unexplained(self) -> bool:
        """Whether a refresh was refused with 400, 401 or 403 and no error code, or with ``invalid_request``.

        A few servers use that for a refresh token that has ended (idpy-oidc). Either the refresh token is spent or the client is wrong, so this alone does not end a grant.
        """
        return self.grant == "refresh_token" and self.error in _UNEXPLAINED

    default_hint = "Check the grant, scope and client registration in the connection."


class InvalidClient(TokenRequestRejected):
    """``invalid_client``: the client id, its secret or the client authentication method is wrong."""

    default_hint = (
        "Check client id (login), client secret (password) and client_auth of the connection."
    )


class InvalidGrant(TokenRequestRejected):
    """``invalid_grant``: the refresh token is expired, revoked or already used."""

    default_hint = "Authorize the connection again; the old refresh token cannot come back."


class ConsentRequired(TokenRequestRejected):
    """``consent_required``, ``interaction_required``, ``login_required`` or ``access_denied``."""

    default_hint = "A person must authorize the connection again at the authorization server."


class AuthorizationFailed(TokenRequestError):
    """A login by a person ended without a grant: refused, timed out, or answered by another user."""


class RefreshResponseLost(TokenRequestError):
    """The refresh token was sent, its answer never stored, and the server now refuses the token.

    It differs from ``InvalidGrant``, so that an operator does not look for a person who revoked the token.
    """


class TokenEndpointUnavailable(TokenRequestError):
    """Network failure, HTTP 429 or 5xx at the token endpoint; a later attempt may succeed."""

    retryable = True


class InvalidTokenResponse(TokenRequestError):
    """A 2xx response of the token endpoint without a usable token (RFC 6749 §5.1)."""


class TokenStoreError(OAuthTaskflowError):
    """The token store cannot be reached, read or written."""


class TokenUndecryptable(TokenStoreError):
    """No key of the Fernet key ring opens the stored token, or its row was tampered with."""


class LeaseTimeout(TokenStoreError):
    """Another worker held the right to refresh longer than a refresh may take."""

    retryable = True


class ApiError(OAuthTaskflowError):
    """A call to the API, or reading its response, failed.

    ``retryable`` is set where the same request may succeed a moment later, as after a truncated body.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        hint: str = "",
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(what, where=where, hint=hint, retry_after=retry_after)
        self.retryable = retryable


class ApiRequestFailed(ApiError):
    """The API answered with an error status, or could not be reached (``status`` None)."""

    def __init__(
        self,
        what: str,
        *,
        where: str,
        status: int | None = None,
        hint: str = "",
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(what, where=where, hint=hint, retryable=retryable, retry_after=retry_after)
        self.status = status


class BudgetWait(ApiError):
    """The request budget is used up for longer than the caller wants to wait; nothing was sent.

    ``until`` is when the next request may start, in seconds since the epoch on this machine's clock.
    """

    until: float = 0.0


class ForeignOriginRefused(ApiError):
    """A redirect, next link or URL leads outside the connection's allowed origins."""


class RecordsNotFound(ApiError):
    """The record selector found no records where the spec says they must be."""


class InvalidRecord(ApiError):
    """A page or record cannot be read: not JSON, not a record, or a key or incremental field missing or of mixed type.

    ``path`` names the field at fault, where there is one.
    """

    path = ""


class NotAPage(ApiError):
    """A successful response without a page: an empty body, ``null``, 202, or 304 to a request without a condition."""


class PagesCutShort(ApiError):
    """The pages end, although a total, page count or flag says that more records follow."""


class PaginationLoop(ApiError):
    """The API repeats the same pages, page cursors or empty pages, so that paging would never end."""


class PaginationLimit(ApiError):
    """More pages or records arrived than ``max_pages`` or ``max_records`` allow, so the result would be incomplete."""


class CapReached(PaginationLimit):
    """The API has more rows than it shows of one request, so that the request must be narrowed."""


class DestinationError(ApiError):
    """Records could not be written to their destination; nothing was committed."""


class WatermarkError(OAuthTaskflowError):
    """A stored watermark cannot be used, or this deployment cannot keep one."""


class ResultRefused(OAuthTaskflowError):
    """A task tried to return or push an authenticated session or a token."""


class TemplateFailed(OAuthTaskflowError):
    """A template names something undefined, gives null, or cannot be evaluated."""

    def __init__(self, template: str, reason: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(
            f"Template {template!r} failed: {reason}",
            where=where,
            hint=hint
            or "Use a name the spec reference lists, or the filter default(…) for values that may be missing.",
        )


class SpecError(OAuthTaskflowError):
    """Specs have problems; ``problems`` holds all of them, and the message one line for each."""

    def __init__(self, problems: Sequence[Any]) -> None:
        count = len(problems)
        lines = "\n".join(str(problem) for problem in problems)
        super().__init__(f"{count} spec problem{'s' if count != 1 else ''}:\n{lines}")
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return self.what
