"""Errors of a session, and the meaning of error statuses.

Each error is both our ``ApiRequestFailed`` and the matching exception of ``requests``. ``except requests.HTTPError`` in a
task therefore keeps working, and Airflow's retry policy finds ``.retryable`` and ``.retry_after``.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import requests
from msgspec import Struct, field
from msgspec.structs import replace

from oauth_taskflow.api.decoders.json_outline import is_cut_off, reads_loosely
from oauth_taskflow.api.request_secrets import redact_request_text, redact_request_url
from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.errors import (
    ApiRequestFailed,
    ConsentRequired,
    InvalidRecord,
    OAuthTaskflowError,
    printable,
)
from oauth_taskflow.http_headers import TOLERATED_SKEW, find_refusal, server_skew

_LIBRARIES = frozenset({"requests.exceptions", "httpx"})
_BODY_SHOWN = 300
_READ_AS_TEXT = re.compile(r"^(application/([\w.-]+\+)?(json|xml)|text/(?!html))")
# Parameters of a challenge that an authorization request has too (RFC 9470 §3, OIDC Core §5.5).
_DEMANDS = ("claims", "acr_values", "max_age")
_TOKEN_REFUSED = "The API refuses the token. Check that it is one for this API: by the connection's scope and audience, if its grant has them."
# Hints for a 401, by the authentication scheme of the request.
_REFUSED = {
    "basic": "The API refuses user name and password. Check login and password of the connection.",
    "bearer": _TOKEN_REFUSED,
    "dpop": _TOKEN_REFUSED,
}
_HINTS = {
    401: "The API refuses the credentials. Check auth_type of the connection, and what it sends.",
    403: "The token is valid but lacks a permission or scope for this call.",
    404: "Check the path against the connection's base URL.",
    429: "The rate limit is used up; the task is retried when the API allows it.",
    400: "Compare parameters, headers and body of the request with the API's documentation.",
    405: "Check the method of the request against the API's documentation.",
    406: "Check the Accept header of the request, and api_headers of the connection.",
    410: "What was here is gone: check path and version against the API's documentation.",
    415: "Check the Content-Type header and the body of the request.",
    422: "Compare parameters and body of the request with the API's documentation.",
}
_CLIENT_HINT = "Look this status up in the API's documentation."
_SERVER_HINT = (
    "The API failed by itself: run the task again later, and look at its status page. If one request alone fails, show "
    "this message to those who run the API."
)


class _Unpickled(ApiRequestFailed):
    """Base class that keeps request and response, which contain the token, out of the pickled form."""

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, (cls, state) = super().__reduce__()
        return rebuild, (picklable_class(cls), {**state, "request": None, "response": None})


Kind = type[ApiRequestFailed]
_made: dict[tuple[Kind, type], Kind] = {}


def add_library_class(kind: Kind, foreign: type[BaseException]) -> Kind:
    """A class that is ``kind`` and also the nearest public exception among the bases of ``foreign``.

    Code that was written for the HTTP library keeps catching ``requests.ReadTimeout`` or ``httpx.ConnectError``.
    """
    return combine_classes(
        kind, next((cls for cls in foreign.__mro__ if cls.__module__ in _LIBRARIES), object)
    )


def combine_classes(kind: Kind, other: type) -> Kind:
    """A class that is both ``kind`` and ``other``; ``kind`` itself when it is a subclass of ``other``."""
    if issubclass(kind, other):
        return kind
    if (kind, other) not in _made:
        names = {
            "_plain": picklable_class(kind),
            "__module__": kind.__module__,
            "__doc__": kind.__doc__,
        }
        _made[kind, other] = type(kind.__name__, (kind, other), names)
    return _made[kind, other]


def picklable_class(kind: Kind) -> Kind:
    """The class from which ``add_library_class`` or ``combine_classes`` built ``kind``; only it can be pickled."""
    plain: Kind = getattr(kind, "_plain", kind)
    return plain


class ApiStatusError(_Unpickled, requests.HTTPError):
    """The API answered with an error status; ``response`` is the response."""


class ApiConsentRequired(ApiStatusError, ConsentRequired):  # type: ignore[misc]  # status: of both
    """The API requires a person to log in again with stronger authentication (RFC 9470 §3); a refresh cannot help.

    ``demands`` are the parameters that the authorization request must carry: ``claims``, ``acr_values``, ``max_age``.
    """

    def __init__(self, what: str, *, where: str, error: str, demands: Mapping[str, str]) -> None:
        hint = (
            f"Put {json.dumps(dict(demands))} into authorize_params of the connection, and let a person log in: "
            "airflow oauth login."
            if demands
            else "Let a person log in: airflow oauth login."
        )
        OAuthTaskflowError.__init__(self, what, where=where, hint=hint)
        self.error, self.description, self.status = error, "", 401
        self.demands = dict(demands)


class ApiUnreachable(_Unpickled, requests.ConnectionError):
    """The API could not be reached, or the connection broke during its response."""


class ApiTimeout(_Unpickled, requests.Timeout):
    """The API did not answer in time."""


class ApiCallFailed(_Unpickled, requests.RequestException):
    """The request failed for a reason other than the network or the API's status."""


class ApiAnswerTooLarge(ApiCallFailed):
    """The response body is larger than the session's ``limits``; another attempt cannot help."""


class ApiNotJson(InvalidRecord, requests.JSONDecodeError):
    """The task read a response as JSON that is not JSON; also the ``JSONDecodeError`` of ``requests``."""

    def __init__(self, what: str, *, where: str, hint: str, retryable: bool) -> None:
        # requests keeps the document as ``doc``; it is left out, because it may contain a secret.
        requests.JSONDecodeError.__init__(self, what, "", 0)
        self.what, self.where, self.hint = printable(what), printable(where), printable(hint)
        self.retryable, self.retry_after = retryable, None


class NothingSent(requests.ConnectionError):
    """The connection failed before any part of the request was sent; stands for ``httpx.ConnectError``."""


class RetryVerdict(Struct, frozen=True):
    """The facts about a response that its error needs.

    ``policy`` reads the waits that servers name. ``may_pass`` says that a rule expects another attempt to help, after
    ``wait`` seconds. ``limited`` is set when a rule calls the response a used-up rate limit, whatever its status.
    ``tries`` counts the requests sent, without those that only had a renewed token. ``kept_until`` (seconds since the
    epoch) is how long a token stays in use although the API refused it; see ``Token.kept_until``.
    """

    policy: RetryPolicy = field(default_factory=RetryPolicy)
    may_pass: bool = False
    wait: float | None = None
    limited: bool = False
    tries: int = 1
    kept_until: float | None = None


_NO_VERDICT = RetryVerdict()
_KEPT = "_oauth_taskflow_kept_until"


def json_error(response: requests.Response, cause: BaseException) -> ApiNotJson:
    """The error of a ``response`` that cannot be read as JSON because of ``cause``."""
    where = f"at {redact_request_url(response.request, response.url)}"
    size = f"HTTP {response.status_code}, {len(response.content)} bytes"
    if isinstance(cause, RecursionError):
        hint = "Raise max_answer_depth of the connection if the API nests its answers so deep."
        what = f"The answer's JSON is nested too deep ({size})"
        return ApiNotJson(what, where=where, hint=hint, retryable=False)
    kind = response.headers.get("Content-Type", "") or "of no content type"
    ends_early = "JSON that ends too early" if is_cut_off(response.content) else kind
    return ApiNotJson(
        f"The answer is not JSON but {ends_early} ({size})",
        where=where,
        hint="Check the path and the base URL; call raise_for_status() before json().",
        retryable=_may_be_json_later(response),
    )


def _may_be_json_later(response: requests.Response) -> bool:
    """Whether the same request may bring JSON later: not where a body is forbidden, or complete already."""
    status = response.status_code
    if status in {204, 205, 304} or response.request.method == "HEAD":
        return False
    if status >= 400 and not _verdict(response).policy.transient(status, response.headers):
        return False
    return not reads_loosely(response.content)


def _verdict(response: requests.Response) -> RetryVerdict:
    verdict: RetryVerdict = getattr(response, "verdict", _NO_VERDICT)
    return verdict


def note_kept_until(request: requests.PreparedRequest, until: float | None) -> None:
    """Note on ``request`` that its token stays in use ``until`` (seconds since the epoch), although the API refused it."""
    setattr(request, _KEPT, until)


def add_kept_until(verdict: RetryVerdict, request: requests.PreparedRequest) -> RetryVerdict:
    """``verdict`` with the time that ``note_kept_until`` noted on ``request``."""
    until: float | None = getattr(request, _KEPT, None)
    return verdict if until is None else replace(verdict, kept_until=until)


def challenge_error(response: requests.Response) -> str:
    """The ``error`` of ``WWW-Authenticate`` (RFC 6750 §3) for the scheme of the request, or an empty text."""
    return _challenge(response).get("error", "")


def _challenge(response: requests.Response) -> Mapping[str, str]:
    used = str(response.request.headers.get("Authorization", "")).partition(" ")[0]
    return find_refusal(response.headers.get("WWW-Authenticate", ""), used).params


def wants_consent(response: requests.Response) -> bool:
    """Whether the API requires a person to log in again, with more authentication or claims of a policy."""
    challenge = _challenge(response)
    login = challenge.get("error") == "insufficient_user_authentication" or bool(
        challenge.get("claims")
    )
    return response.status_code == 401 and login


def _demands(response: requests.Response) -> dict[str, str]:
    """The parameters that a new authorization request must carry; claims as JSON, which servers send in base64."""
    challenge = _challenge(response)
    found = {name: _redact(challenge[name], response) for name in _DEMANDS if challenge.get(name)}
    if "claims" in found:
        found["claims"] = _redact(_plain_json(challenge["claims"]), response)
    return found


def _plain_json(text: str) -> str:
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        json.loads(plain)
    except ValueError:
        return text
    return plain


def _redact(text: str, response: requests.Response) -> str:
    """Server ``text`` for a message: without our secrets, printable and short."""
    return "".join(c for c in redact_request_text(response.request, text) if c.isprintable())[:500]


def _reason(response: requests.Response) -> str:
    """The challenge's error and the scope that it requires (RFC 6750 §3), redacted for a message."""
    challenge = _challenge(response)
    scope = f", it takes the scope {challenge['scope']}" if challenge.get("scope") else ""
    text = f"{challenge.get('error', '')}{scope}" if challenge.get("error") else ""
    shown = "".join(c for c in redact_request_text(response.request, text) if c.isprintable())[:200]
    return f" ({shown})" if shown else ""


def excerpt_body(response: requests.Response) -> str:
    """Returns a colon and the beginning of the body, without our secrets; empty for pages of HTML and binary bodies."""
    if not _READ_AS_TEXT.match(response.headers.get("Content-Type", "")):
        return ""
    # A streamed body is not read here, because that could take forever.
    body = response.content if getattr(response, "_content", False) else b""
    text = redact_request_text(response.request, body[: _BODY_SHOWN * 4].decode("utf-8", "replace"))
    text = " ".join(text.split())
    return f": {text[:_BODY_SHOWN]}{'…' if len(text) > _BODY_SHOWN else ''}" if text else ""


def _hint(response: requests.Response, now: float) -> str:
    status = response.status_code
    scheme = str(response.request.headers.get("Authorization", "")).partition(" ")[0].lower()
    refused = _REFUSED.get(scheme) if status == 401 else None
    until = _verdict(response).kept_until
    if status == 401 and until is not None and until > now:
        refused = f"{refused or _TOKEN_REFUSED} {_refresh_hint(until)}"
    if refused and scheme == "dpop":
        return f"{refused} {_clock_hint(response, now)}"
    usual = {4: _CLIENT_HINT, 5: _SERVER_HINT}.get(status // 100, "")
    return refused or _HINTS.get(status, usual)


def attempts_text(tries: int) -> str:
    """The number of attempts, for the end of ``where`` in a message; empty after one attempt."""
    return f" (tried {tries} times)" if tries > 1 else ""


def _refresh_hint(until: float) -> str:
    moment = datetime.fromtimestamp(until, timezone.utc).isoformat(timespec="seconds")
    return (
        "The token is fresh by its own lifetime, and the one before it was refused as fresh too: until "
        f"{moment} no 401 forces another refresh of this grant. A new token now: airflow oauth refresh CONN."
    )


def _clock_hint(response: requests.Response, now: float) -> str:
    """The hint about clocks: a proof names the time of its request, so a wrong clock makes it invalid (RFC 9449 §11.1)."""
    skew = server_skew({"date": response.headers.get("Date", "")}, now)
    if skew is None:
        return "A DPoP proof is refused when this machine's clock is wrong: check it."
    if abs(skew) <= TOLERATED_SKEW:
        return "This machine's clock agrees with the API's."
    side = "behind" if skew > 0 else "ahead of"
    return (
        f"This machine's clock is {abs(skew):.0f} s {side} the API's, and a DPoP proof with a wrong time is refused: "
        "correct the clock."
    )


def status_error(
    response: requests.Response,
    *,
    hint: str = "",
    policy: RetryPolicy | None = None,
    now: float | None = None,
) -> ApiStatusError:
    """The error for this response; after a rate limit it keeps the wait that the server asked for."""
    verdict = _verdict(response)
    policy = policy or verdict.policy
    now = time.time() if now is None else now
    status, headers = response.status_code, response.headers
    retryable = verdict.may_pass or policy.transient(status, headers)
    limited = verdict.limited
    named = policy.server_wait(status, headers, now, limited=limited) if retryable else None
    what = f"The API answered HTTP {status} {response.reason or ''}".rstrip() + _reason(response)
    what += excerpt_body(response)
    place = f"at {response.request.method} {redact_request_url(response.request, response.url)}"
    where = f"{place}{attempts_text(verdict.tries)}"
    error: ApiStatusError
    if wants_consent(response):
        code = challenge_error(response)
        error = ApiConsentRequired(what, where=where, error=code, demands=_demands(response))
    else:
        error = ApiStatusError(
            what,
            where=where,
            status=status,
            hint=hint or _hint(response, now),
            retryable=retryable,
            retry_after=verdict.wait if named is None else named,
        )
    error.response = response
    error.request = response.request
    return error
