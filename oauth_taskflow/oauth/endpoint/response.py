"""Reads an answer of the token endpoint: any bytes become an outcome, never a traceback. No I/O.

The table is RFC 6749 §5 and the deviations of real servers: errors with status 200, numbers as text, form-encoded
answers, HTML from a proxy in between.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from oauth_taskflow.errors import (
    ConnectionConfigError,
    InvalidTokenResponse,
    TokenEndpointUnavailable,
)
from oauth_taskflow.http_headers import find_refusal, retry_after, server_skew
from oauth_taskflow.oauth.endpoint import response_fields
from oauth_taskflow.oauth.endpoint.error_codes import UNNAMED
from oauth_taskflow.oauth.endpoint.messages import ReadBody, TokenHttpResponse, TokenRequestInfo
from oauth_taskflow.oauth.endpoint.outcomes import (
    Granted,
    NotProcessed,
    Outcome,
    OutcomeUnknown,
    Rejected,
    Unusable,
)
from oauth_taskflow.oauth.endpoint.refusals import ERRORS, refusal_error
from oauth_taskflow.oauth.endpoint.response_body import (
    ErrorBody,
    describe_broken,
    describe_refusal,
    describe_shape,
    is_cut_off,
    is_html,
    may_hold_token,
)
from oauth_taskflow.oauth.endpoint.response_fields import FoundRefreshTokens
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.redaction import redact_address, redact_url

_WRONG_PLACE = "Check that token_url is the token endpoint and not a login page."
_OTHER_NAME = "Check that token_url is the token endpoint; if the token is elsewhere in its answer, set token_path."
_UNSENDABLE = "Look at the authorization server and the proxies before it; if the token is elsewhere in the answer, set token_path."
_BROKEN = "The authorization server, or a proxy before it, writes answers that are not JSON: look at their logs."
_BEARER_TYPES = frozenset({"", "bearer", "bearertoken"})
# The request was refused before anything was done with it (RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4).
_REFUSED_UNREAD = frozenset({408, 425, 429})
_DEFAULT_429_WAIT = 30.0
_LONGEST_PLACE = 80


def interpret(answer: TokenHttpResponse, info: TokenRequestInfo) -> Outcome:
    """The outcome that ``answer`` means for ``info``."""
    if 300 <= answer.status < 400:
        return Rejected(_redirect_error(answer, info))
    body = answer.read()
    if answer.status in _REFUSED_UNREAD:
        return NotProcessed(_unavailable(answer, info))
    problem = _problem(body, answer, info)
    if problem is not None:
        return _refusal(problem, body, answer, info)
    if answer.status >= 500:
        return _server_failure(answer, info)
    return _token(body, answer, info)


def _problem(body: ReadBody, answer: TokenHttpResponse, info: TokenRequestInfo) -> ErrorBody | None:
    """The error in ``answer``, in words of RFC 6749 as far as the server's dialect translates it; None without any."""
    fields = body.fields
    problem = None if fields is None else response_fields.problem_in(fields, info.dialect)
    if problem is None and (answer.is_success or answer.status >= 500):
        return None
    if problem is None:
        problem = _read_challenge(answer, body)
    elif problem.code == UNNAMED and answer.status >= 400:  # more than nothing for who acts on it
        problem = ErrorBody(f"http_{answer.status}", problem.description)
    if not problem.code.startswith("http_"):
        return problem
    return ErrorBody(info.dialect.errors.get(problem.code, problem.code), problem.description)


def _read_challenge(answer: TokenHttpResponse, body: ReadBody) -> ErrorBody:
    """The error of an answer whose body names none: the one in ``WWW-Authenticate`` (RFC 6749 §5.2), else the status."""
    challenge = find_refusal(answer.headers.get("www-authenticate", "")).params
    return ErrorBody(
        challenge.get("error") or f"http_{answer.status}",
        challenge.get("error_description") or describe_refusal(body.text, body.fields),
    )


def _refusal(
    problem: ErrorBody, body: ReadBody, answer: TokenHttpResponse, info: TokenRequestInfo
) -> Outcome:
    if problem.code == "temporarily_unavailable":
        return NotProcessed(_unavailable(answer, info, problem))
    if answer.is_success and _contradicts_itself(problem, body, info):
        return Unusable(refusal_error(problem, answer, info), 0, opaque=True)
    if problem.code == "server_error" or (answer.status >= 500 and problem.code not in ERRORS):
        return _server_failure(answer, info, problem)
    return Rejected(refusal_error(problem, answer, info))


def _contradicts_itself(problem: ErrorBody, body: ReadBody, info: TokenRequestInfo) -> bool:
    """Whether only the dialect's ``success`` calls an answer an error that names none and holds a new refresh token."""
    if info.dialect.success is None or problem.code != UNNAMED:
        return False
    found = response_fields.refresh_tokens_in(
        body.fields or {}, body.text, info.dialect, info.secrets
    )
    return found.first is not None and found.first not in info.secrets


def _server_failure(
    answer: TokenHttpResponse, info: TokenRequestInfo, problem: ErrorBody | None = None
) -> Outcome:
    error = _unavailable(answer, info, problem)
    announced = answer.status == 503 and error.retry_after is not None
    return NotProcessed(error) if announced else OutcomeUnknown(error)


def _unavailable(
    answer: TokenHttpResponse, info: TokenRequestInfo, problem: ErrorBody | None = None
) -> TokenEndpointUnavailable:
    code = f"{info.clean(problem.code, 64)}, " if problem else ""
    wait = retry_after(answer.headers, answer.received_at)
    wait = None if wait is None else max(wait, 0.0)
    if wait is None and answer.status == 429:
        wait = _DEFAULT_429_WAIT
    return TokenEndpointUnavailable(
        f"{info.endpoint.capitalize()} unavailable ({code}HTTP {answer.status})",
        where=info.where,
        hint=f"{info.repeated}; if this lasts, look at the authorization server's status page.",
        retry_after=wait,
    )


def _redirect_error(answer: TokenHttpResponse, info: TokenRequestInfo) -> ConnectionConfigError:
    target = redact_url(answer.headers.get("location", "")) or "nowhere"
    if target.startswith(info.url):  # the part that is masked is all that the two differ in
        target = redact_address(target)
    field = "token_url" if info.grant_type else ""
    return ConnectionConfigError(
        f"The {info.endpoint} {redact_address(info.url)} redirects (HTTP {answer.status}) "
        f"to {info.clean(target)}",
        conn_id=info.conn_id,
        field=field,
        hint=f"Credentials are never sent after a redirect: set {field or 'it'} to the final address.",
    )


def _token(body: ReadBody, answer: TokenHttpResponse, info: TokenRequestInfo) -> Outcome:
    fields, text, dialect = body.fields, body.text, info.dialect
    if fields is None:
        return _no_mapping(body, answer, info)
    access_token = response_fields.find_value(dialect.access_token, fields)
    found = response_fields.refresh_tokens_in(fields, text, dialect, info.secrets)
    place = info.clean(found.place, _LONGEST_PLACE)  # names of fields are the server's words too
    if not response_fields.is_sendable(access_token):
        if (
            place and found.others
        ):  # neither place is certain, and the answer waits for the right paths
            found, place = FoundRefreshTokens(), ""
        opaque = found.first is None and may_hold_token(text, fields)
        error = _no_token(body, answer, info)
        return Unusable(error, 0, found.first, place, opaque, others=found.others)
    token_type = str(fields.get("token_type") or "").strip()
    if not _is_wanted(token_type, info):
        error = _wrong_type(info.clean(token_type, 40), answer, info)
        return Unusable(error, 0, found.first, place, others=found.others)
    granted = _read_granted(fields, access_token, found, answer, info)
    unread = "" if found.first else response_fields.describe_unread(dialect.refresh_token, fields)
    return replace(granted, found_at=place, unread=unread) if place or unread else granted


def _no_mapping(body: ReadBody, answer: TokenHttpResponse, info: TokenRequestInfo) -> Outcome:
    """A page may be a proxy's or a maintenance page, and a second one is a wrong address; what else came is kept.

    JSON without its end is a lost answer, as if the connection had broken: no other setting could read it.
    """
    text = body.text
    found = response_fields.refresh_tokens_in_text(text, info.dialect, info.secrets)
    if is_cut_off(text):
        cut = _cut_off(answer, info, lost=found.first is None)
        if found.first is None:
            return OutcomeUnknown(cut)
        return Unusable(cut, 0, found.first, cut=True, others=found.others)
    error = _no_token(body, answer, info, holds=found.first is not None)
    if found.first is not None:
        return Unusable(error, 0, found.first, others=found.others)
    if may_hold_token(text, None):
        return Unusable(error, 0, opaque=True, broken=True)
    return OutcomeUnknown(error, again=int(is_html(text)))


def _read_granted(
    fields: dict[str, Any],
    access_token: str,
    found: FoundRefreshTokens,
    answer: TokenHttpResponse,
    info: TokenRequestInfo,
) -> Granted:
    skew = server_skew(answer.headers, answer.received_at)
    expires_at = response_fields.find_expiry(
        fields,
        access_token,
        info.dialect.expiry,
        sent_at=answer.sent_at,
        skew=skew or 0.0,
    )
    scope = _scope_text(fields.get("scope"))
    token = Token(
        access_token,
        obtained_at=answer.sent_at,
        expires_at=expires_at,
        scope=scope or info.scope or None,
        token_type="DPoP" if info.dpop_key else "Bearer",
        extras=response_fields.extras(fields, (access_token, *found.values)),
        dpop_key=info.dpop_key,
    )
    asked, given = _scopes(info.scope), _scopes(scope) if scope else _scopes(info.scope)
    extra = given - asked if asked else set()  # nothing asked for is "what you think fit"
    missing = tuple(sorted(asked - given - _shown_by_refresh_token(found, info)))
    return Granted(token, found.first, skew, missing, tuple(sorted(extra)), others=found.others)


def _shown_by_refresh_token(found: FoundRefreshTokens, info: TokenRequestInfo) -> set[str]:
    """The scope that a refresh token proves granted (OpenID Connect Core §11): some servers never list it (LemonLDAP::NG)."""
    holds_one = found.first is not None or info.grant_type == "refresh_token"
    return {"offline_access"} if holds_one else set()


def _is_wanted(token_type: str, info: TokenRequestInfo) -> bool:
    """Whether the token is of the kind that was asked for; one not bound to the key is discarded (RFC 9449 §5)."""
    if info.dpop_key:
        return token_type.lower() == "dpop"
    return token_type.lower() in _BEARER_TYPES or token_type in info.dialect.token_types


def _scope_text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    return value if isinstance(value, str) else ""


def _scopes(text: str) -> set[str]:
    return set(text.replace(",", " ").split())


def _no_token(
    body: ReadBody,
    answer: TokenHttpResponse,
    info: TokenRequestInfo,
    *,
    holds: bool = False,
) -> InvalidTokenResponse:
    """The error of an answer without an access token in its place; ``holds``: there is a refresh token all the same."""
    text, fields = body.text, body.fields
    broken = describe_broken(text) if fields is None else ""
    found = broken or info.clean(describe_shape(text, fields), 80)
    said = info.clean(describe_refusal(text, fields)) if fields else ""
    found += f", which say: {said}" if said else ""
    kind = info.clean(answer.content_type, 60) or "no content type"
    there = response_fields.describe_unsendable(info.dialect.access_token, fields or {})
    what = (
        f"The access token in the answer is {there}" if there else "No access token in the answer"
    )
    hint = _OTHER_NAME if fields else _BROKEN if broken or holds else _WRONG_PLACE
    return InvalidTokenResponse(
        f"{what} (HTTP {answer.status}, {kind}: {found})",
        where=info.where,
        hint=_UNSENDABLE if there else hint,
    )


def _cut_off(
    answer: TokenHttpResponse, info: TokenRequestInfo, *, lost: bool
) -> TokenEndpointUnavailable:
    """The error of JSON without its end; ``lost``: no refresh token arrived with it."""
    again = f"{info.repeated}; if" if lost else "If"
    return TokenEndpointUnavailable(
        f"The answer breaks off (HTTP {answer.status}, {len(answer.body)} bytes of JSON without its end)",
        where=info.where,
        hint=f"{again} this lasts, look at the authorization server and the proxies before it.",
    )


def _wrong_type(
    kind: str, answer: TokenHttpResponse, info: TokenRequestInfo
) -> InvalidTokenResponse:
    if info.dpop_key:
        return InvalidTokenResponse(
            f"The token of type {kind!r} is not bound to the DPoP key (HTTP {answer.status})",
            where=info.where,
            hint="Switch DPoP on for this client at the authorization server, or remove dpop from the connection.",
        )
    return InvalidTokenResponse(
        f"Tokens of type {kind!r} cannot be sent as bearer tokens (HTTP {answer.status})",
        where=info.where,
        hint="Ask for bearer tokens (RFC 6750), or set dpop if the server issues DPoP tokens.",
    )
