"""Reads an answer of the token endpoint: any bytes become an outcome, never a traceback. No I/O.

The table is RFC 6749 §5 and what real servers do beside it: errors with status 200, numbers as text, form-encoded
answers, HTML from a proxy in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oauth_taskflow.challenges import refusal_in
from oauth_taskflow.errors import (
    ConnectionConfigError,
    ConsentRequired,
    InvalidClient,
    InvalidGrant,
    InvalidTokenResponse,
    TokenEndpointUnavailable,
    TokenRequestRejected,
)
from oauth_taskflow.oauth import reading, timing
from oauth_taskflow.oauth.bodies import UNNAMED, ErrorBody, is_html, parse_body, said, shape
from oauth_taskflow.oauth.delegated import JWT_BEARER, SAML2_BEARER, TOKEN_EXCHANGE
from oauth_taskflow.oauth.dialect import STANDARD, ResponseForm
from oauth_taskflow.oauth.dpop import PROOF_REFUSED
from oauth_taskflow.oauth.outcomes import (
    Granted,
    NotProcessed,
    Outcome,
    OutcomeUnknown,
    Rejected,
)
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.redaction import (
    Hidden,
    SecretValue,
    redact_text,
    redact_url,
    shown_place,
    without,
)

_ERRORS: dict[str, type[TokenRequestRejected]] = {
    "invalid_client": InvalidClient,
    "invalid_grant": InvalidGrant,
    "access_denied": ConsentRequired,
    "consent_required": ConsentRequired,
    "interaction_required": ConsentRequired,
    "login_required": ConsentRequired,
}
_ASSERTION_HINT = (
    "Check subject, audience and key of the connection, and that the server knows them; this machine's clock was "
    "checked against the server's."
)
_WRONG_PLACE = "Check that token_url is the token endpoint and not a login page."
_OTHER_NAME = "Check that token_url is the token endpoint; if the token stands elsewhere in its answer, set token_path."
_NOT_THERE = "Check token_url: no token endpoint answers there."
_PROOF_HINT = (
    "This machine's clock was checked against the server's: see whether the server takes the algorithm in dpop, and "
    "whether it is reached under the address in token_url."
)
_REFUSED_CREDENTIAL = {
    JWT_BEARER: _ASSERTION_HINT,
    SAML2_BEARER: "Check the assertion of the connection: its lifetime, audience and subject.",
    TOKEN_EXCHANGE: "Check subject_token and actor_token of the connection: they are expired, or not accepted here.",
    "password": "Check username and user_password of the connection.",
    "client_credentials": "Check what the server knows of this client.",
}
_DEAD_GRANT = {
    "refresh_token": (
        "A person must authorize it again: airflow oauth login {}. The old refresh token cannot come back."
    ),
    "authorization_code": "The code was used or has run out. Start again: airflow oauth login {}",
}
# Of a person who refuses there is nothing to ask here (Auth0: the API was never opened to this client).
_CLIENT_DENIED = ("access_denied", "client_credentials")
_BEARER_TYPES = frozenset({"", "bearer", "bearertoken"})
# The request was refused before anything was done with it (RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4).
_REFUSED_UNREAD = frozenset({408, 425, 429})
_DEFAULT_429_WAIT = 30.0
_MOST_READ = 4096  # characters of a text of which some hundred are shown


class Question(SecretValue, frozen=True):
    """What was asked: enough to judge an answer and to word an error, and the secrets to keep out of it."""

    conn_id: str
    url: str
    grant_type: str
    scope: str = ""
    targets: tuple[str, ...] = ()
    secrets: Hidden[tuple[str, ...]] = ()
    form: ResponseForm = STANDARD.response
    dpop_key: Hidden[str] = ""

    @property
    def where(self) -> str:
        """The place for error messages: connection, host and path."""
        return f"for connection {self.conn_id!r} at {shown_place(self.url)}"

    @property
    def endpoint(self) -> str:
        """What was asked, in words. Without a grant it is another endpoint of the server, and the URL says which."""
        return "token endpoint" if self.grant_type else "endpoint"

    @property
    def repeated(self) -> str:
        """What becomes of a request that met a server that is away, as the beginning of a hint."""
        if self.grant_type == "authorization_code":  # a code is sent once
            return f"Start the login again: airflow oauth login {self.conn_id}"
        return "Tasks try again by themselves" if self.grant_type else "Try again later"

    def clean(self, text: str, limit: int = 200) -> str:
        """Foreign ``text`` made fit to be shown: no secret of ours, printable, one line, short."""
        # Named secrets go first, because a cut one would no longer be recognised.
        short = without(text, self.secrets)[:_MOST_READ]
        shown = "".join(c if c.isprintable() else " " for c in redact_text(short))
        return " ".join(shown.split())[:limit].rstrip(". ")


class Answer(SecretValue, frozen=True):
    """One HTTP answer. Header names are lower case; times are seconds since the epoch on our clock.

    ``parameters`` are the names of those that were sent.
    """

    status: int
    headers: Hidden[Mapping[str, str]]
    body: Hidden[bytes]
    sent_at: float
    received_at: float
    parameters: tuple[str, ...] = ()

    @property
    def content_type(self) -> str:
        """The media type without parameters, lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def interpret(answer: Answer, question: Question) -> Outcome:
    """The outcome that ``answer`` means for ``question``."""
    if 300 <= answer.status < 400:
        return Rejected(_redirected(answer, question))
    body = parse_body(answer.body, answer.content_type)
    if answer.status in _REFUSED_UNREAD:
        return NotProcessed(_unavailable(answer, question))
    problem = reading.problem_in(body, question.form) if body is not None else None
    if problem is not None:
        return _refusal(_with_status(problem, answer.status), answer, question)
    if answer.status >= 500:
        return _server_failure(answer, question)
    if 200 <= answer.status < 300:
        return _token(body, answer, question)
    return Rejected(_rejected(_challenged(answer, body), answer, question))


def _challenged(answer: Answer, body: dict[str, Any] | None) -> ErrorBody:
    """The error of an answer whose body names none: the one in ``WWW-Authenticate`` (RFC 6749 §5.2), else the status."""
    told = refusal_in(answer.headers.get("www-authenticate", "")).params
    return ErrorBody(
        told.get("error") or f"http_{answer.status}",
        told.get("error_description") or said(answer.body, body),
    )


def _with_status(problem: ErrorBody, status: int) -> ErrorBody:
    """``problem`` under the status of its answer, if it has no code of its own: more than nothing for who acts on it."""
    if problem.code != UNNAMED or status < 400:
        return problem
    return ErrorBody(f"http_{status}", problem.description)


def _refusal(problem: ErrorBody, answer: Answer, question: Question) -> Outcome:
    if problem.code == "temporarily_unavailable":
        return NotProcessed(_unavailable(answer, question, problem))
    if problem.code == "server_error" or (answer.status >= 500 and problem.code not in _ERRORS):
        return _server_failure(answer, question, problem)
    return Rejected(_rejected(problem, answer, question))


def _server_failure(
    answer: Answer, question: Question, problem: ErrorBody | None = None
) -> Outcome:
    error = _unavailable(answer, question, problem)
    announced = answer.status == 503 and error.retry_after is not None
    return NotProcessed(error) if announced else OutcomeUnknown(error)


def _rejected(problem: ErrorBody, answer: Answer, question: Question) -> TokenRequestRejected:
    code = "invalid_client" if problem.code == "http_401" else problem.code
    # Without a consent behind the grant, nobody is to be sent to consent again.
    own = code == "invalid_grant" or (code, question.grant_type) == _CLIENT_DENIED
    hint = _REFUSED_CREDENTIAL.get(question.grant_type, "") if own else ""
    kind = TokenRequestRejected if hint else _ERRORS.get(code, TokenRequestRejected)
    return kind(
        error=question.clean(problem.code, 64),
        status=answer.status,
        where=question.where,
        description=question.clean(problem.description),
        grant=question.grant_type,
        hint=hint or _hint(code, answer, question),
    )


def _hint(code: str, answer: Answer, question: Question) -> str:
    """What to look at; empty where the error's own hint says all. Values may be secret, names are not."""
    if code == "invalid_request" and answer.parameters:
        names = ", ".join(answer.parameters)
        return f"Sent were {names}: compare them with what the server's documentation asks for."
    if code == "invalid_scope" and question.scope:
        return f"Asked for was {question.scope!r}: take out of scope what this client may not have."
    if code == "invalid_target" and question.targets:
        names = ", ".join(map(redact_url, question.targets))
        return f"Asked for was {names}: correct audience or resource of the connection."
    if code == "invalid_grant" and question.grant_type in _DEAD_GRANT:
        return _DEAD_GRANT[question.grant_type].format(question.conn_id)
    if _ERRORS.get(code) is ConsentRequired and question.grant_type == "refresh_token":
        return f"A person must agree again: airflow oauth login {question.conn_id}"
    absent = _NOT_THERE if question.grant_type else ""
    return {PROOF_REFUSED: _PROOF_HINT, "http_404": absent, "http_405": absent}.get(code, "")


def _unavailable(
    answer: Answer, question: Question, problem: ErrorBody | None = None
) -> TokenEndpointUnavailable:
    code = f"{question.clean(problem.code, 64)}, " if problem else ""
    wait = timing.retry_after(answer.headers, answer.received_at)
    if wait is None and answer.status == 429:
        wait = _DEFAULT_429_WAIT
    return TokenEndpointUnavailable(
        f"{question.endpoint.capitalize()} unavailable ({code}HTTP {answer.status})",
        where=question.where,
        hint=f"{question.repeated}; if this lasts, look at the authorization server's status page.",
        retry_after=wait,
    )


def _redirected(answer: Answer, question: Question) -> ConnectionConfigError:
    target = redact_url(answer.headers.get("location", "")) or "nowhere"
    if target.startswith(question.url):  # the part that is masked is all that the two differ in
        target = shown_place(target)
    field = "token_url" if question.grant_type else ""
    return ConnectionConfigError(
        f"The {question.endpoint} {shown_place(question.url)} redirects (HTTP {answer.status}) "
        f"to {question.clean(target)}",
        conn_id=question.conn_id,
        field=field,
        hint=f"Credentials are never sent after a redirect: set {field or 'it'} to the final address.",
    )


def _token(body: dict[str, Any] | None, answer: Answer, question: Question) -> Outcome:
    access_token = reading.at(question.form.access_token, body) if body else None
    if body is None or not _sendable(access_token):
        # A page may be a proxy's or a maintenance page; a second one is a wrong address.
        return OutcomeUnknown(_no_token(answer, question, body), again=int(is_html(answer.body)))
    token_type = str(body.get("token_type") or "").strip()
    if not _is_wanted(token_type, question):
        kind = question.clean(token_type, 40)
        return OutcomeUnknown(_wrong_type(kind, answer, question), again=0)
    refresh_token = reading.at(question.form.refresh_token, body)
    return _granted(
        body,
        str(access_token),
        refresh_token if _sendable(refresh_token) else None,
        answer,
        question,
    )


def _granted(
    body: dict[str, Any],
    access_token: str,
    refresh_token: str | None,
    answer: Answer,
    question: Question,
) -> Granted:
    skew = timing.server_skew(answer.headers, answer.received_at)
    expires_at = reading.expiry(
        body,
        access_token,
        question.form.expiry,
        sent_at=answer.sent_at,
        skew=skew or 0.0,
    )
    scope = _scope_text(body.get("scope"))
    token = Token(
        access_token,
        obtained_at=answer.sent_at,
        expires_at=expires_at,
        scope=scope or question.scope or None,
        token_type="DPoP" if question.dpop_key else "Bearer",
        extras=reading.extras(body, (access_token, refresh_token)),
        dpop_key=question.dpop_key,
    )
    asked, given = _scopes(question.scope), _scopes(scope) if scope else _scopes(question.scope)
    extra = given - asked if asked else set()  # nothing asked for is "what you think fit"
    return Granted(token, refresh_token, skew, tuple(sorted(asked - given)), tuple(sorted(extra)))


def _is_wanted(token_type: str, question: Question) -> bool:
    """Whether the token is of the kind that was asked for; one not bound to the key is discarded (RFC 9449 §5)."""
    if question.dpop_key:
        return token_type.lower() == "dpop"
    return token_type.lower() in _BEARER_TYPES or token_type in question.form.token_types


def _scope_text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    return value if isinstance(value, str) else ""


def _scopes(text: str) -> set[str]:
    return set(text.replace(",", " ").split())


def _sendable(value: object) -> bool:
    """Whether ``value`` is text that fits into a header or form: visible ASCII, not blank."""
    return (
        isinstance(value, str) and bool(value.strip()) and value.isascii() and value.isprintable()
    )


def _no_token(
    answer: Answer, question: Question, body: dict[str, Any] | None
) -> InvalidTokenResponse:
    found = question.clean(shape(answer.body, body), 80)
    text = question.clean(said(answer.body, body)) if body else ""
    found += f", which say: {text}" if text else ""
    kind = question.clean(answer.content_type, 60) or "no content type"
    return InvalidTokenResponse(
        f"No access token in the answer (HTTP {answer.status}, {kind}: {found})",
        where=question.where,
        hint=_OTHER_NAME if body else _WRONG_PLACE,
    )


def _wrong_type(kind: str, answer: Answer, question: Question) -> InvalidTokenResponse:
    if question.dpop_key:
        return InvalidTokenResponse(
            f"The token of type {kind!r} is not bound to the DPoP key (HTTP {answer.status})",
            where=question.where,
            hint="Switch DPoP on for this client at the authorization server, or remove dpop from the connection.",
        )
    return InvalidTokenResponse(
        f"Tokens of type {kind!r} cannot be sent as bearer tokens (HTTP {answer.status})",
        where=question.where,
        hint="Ask for bearer tokens (RFC 6750), or set dpop if the server issues DPoP tokens.",
    )
