"""Errors of a session that ``requests`` users know too, and what an error status means.

Each is our ``ApiRequestFailed`` and the matching ``requests`` exception at once: ``except requests.HTTPError`` in a
task keeps working, and Airflow's retry policy finds ``.retryable`` and ``.retry_after`` on it.
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
from oauth_taskflow.http_headers import find_refusal
from oauth_taskflow.oauth.endpoint.expiry import TOLERATED_SKEW, server_skew

_LIBRARIES = frozenset({"requests.exceptions", "httpx"})
_BODY_SHOWN = 300
_READ_AS_TEXT = re.compile(r"^(application/([\w.-]+\+)?(json|xml)|text/(?!html))")
# Parameters of a challenge that are parameters of an authorization request too (RFC 9470 §3, OIDC Core §5.5).
_DEMANDS = ("claims", "acr_values", "max_age")
_TOKEN_REFUSED = (
    "The API refuses the token. Check that the connection's scope and audience fit this API."
)
# By the scheme of what was sent with a request that is answered by 401.
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
    """Leaves request and response, which hold the token, out of the pickled form."""

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, (cls, state) = super().__reduce__()
        return rebuild, (picklable_class(cls), {**state, "request": None, "response": None})


Kind = type[ApiRequestFailed]
_made: dict[tuple[Kind, type], Kind] = {}


def add_library_class(kind: Kind, foreign: type[BaseException]) -> Kind:
    """``kind`` as an exception of the HTTP library too: the nearest public one of ``foreign``.

    Code that was written for that library goes on catching what it always caught, ``requests.ReadTimeout`` or
    ``httpx.ConnectError``.
    """
    return combine_classes(
        kind, next((cls for cls in foreign.__mro__ if cls.__module__ in _LIBRARIES), object)
    )


def combine_classes(kind: Kind, other: type) -> Kind:
    """``kind`` that is an ``other`` too; ``kind`` itself where it is one."""
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
    """What ``add_library_class`` or ``combine_classes`` made ``kind`` of; the form that pickles."""
    plain: Kind = getattr(kind, "_plain", kind)
    return plain


class ApiStatusError(_Unpickled, requests.HTTPError):
    """The API answered with an error status; ``response`` holds the answer."""


class ApiConsentRequired(ApiStatusError, ConsentRequired):  # type: ignore[misc]  # status: of both
    """The API wants a person to log in again, with more (RFC 9470 §3); no refresh helps.

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
    """The API could not be reached, or broke off its answer."""


class ApiTimeout(_Unpickled, requests.Timeout):
    """The API did not answer in time."""


class ApiCallFailed(_Unpickled, requests.RequestException):
    """The request failed, and neither the network nor the API's status is why."""


class ApiAnswerTooLarge(ApiCallFailed):
    """The answer's body is larger than the session's ``limits``; trying again cannot help."""


class ApiNotJson(InvalidRecord, requests.JSONDecodeError):
    """The answer is no JSON although the task asked for it; the ``JSONDecodeError`` of ``requests`` too."""

    def __init__(self, what: str, *, where: str, hint: str, retryable: bool) -> None:
        # Of the document, which requests keeps as ``doc``, nothing is kept: it may hold anything.
        requests.JSONDecodeError.__init__(self, what, "", 0)
        self.what, self.where, self.hint = printable(what), printable(where), printable(hint)
        self.retryable, self.retry_after = retryable, None


class NothingSent(requests.ConnectionError):
    """No connection came about, so that nothing of the request left; what an ``httpx.ConnectError`` means."""


class RetryVerdict(Struct, frozen=True):
    """What a session made of an answer: how it dates waits, and whether a rule says that another try may help.

    ``limited`` is for a rule that calls it a used-up rate limit, whatever the status. ``tries`` counts the requests
    that were sent, those with a renewed token left out. ``kept_until`` (seconds since the epoch) is how long a refused
    token stays although it was refused; see ``Token.kept_until``.
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
    """What to raise when ``response`` shall be read as JSON and ``cause`` says why it cannot be."""
    where = f"at {redact_request_url(response.request, response.url)}"
    size = f"HTTP {response.status_code}, {len(response.content)} bytes"
    if isinstance(cause, RecursionError):
        hint = "Raise max_answer_depth of the connection if the API nests its answers so deep."
        what = f"The answer's JSON is nested too deep ({size})"
        return ApiNotJson(what, where=where, hint=hint, retryable=False)
    kind = response.headers.get("Content-Type", "") or "of no content type"
    ends_early = "JSON that ends too early" if is_cut_off(response.content) else kind
    return ApiNotJson(
        f"The answer is no JSON but {ends_early} ({size})",
        where=where,
        hint="Check the path and the base URL; call raise_for_status() before json().",
        retryable=_may_be_json_later(response),
    )


def _may_be_json_later(response: requests.Response) -> bool:
    """Whether the same request may be answered with JSON: not where the answer shall be empty, or is whole."""
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
    """Note on ``request`` that its token stays ``until`` (seconds since the epoch), although the API refused it."""
    setattr(request, _KEPT, until)


def add_kept_until(verdict: RetryVerdict, request: requests.PreparedRequest) -> RetryVerdict:
    """``verdict`` with what ``note_kept_until`` noted on ``request``."""
    until: float | None = getattr(request, _KEPT, None)
    return verdict if until is None else replace(verdict, kept_until=until)


def challenge_error(response: requests.Response) -> str:
    """The ``error`` of ``WWW-Authenticate`` (RFC 6750 §3) for the scheme that was used, or an empty text."""
    return _challenge(response).get("error", "")


def _challenge(response: requests.Response) -> Mapping[str, str]:
    used = str(response.request.headers.get("Authorization", "")).partition(" ")[0]
    return find_refusal(response.headers.get("WWW-Authenticate", ""), used).params


def wants_consent(response: requests.Response) -> bool:
    """Whether the API answers only to a person who logs in anew: more authentication, or claims of a policy."""
    told = _challenge(response)
    login = told.get("error") == "insufficient_user_authentication" or bool(told.get("claims"))
    return response.status_code == 401 and login


def _demands(response: requests.Response) -> dict[str, str]:
    """What a new authorization request must carry; claims as JSON, which servers send in base64."""
    told = _challenge(response)
    found = {name: _shown(told[name], response) for name in _DEMANDS if told.get(name)}
    if "claims" in found:
        found["claims"] = _shown(_plain_json(told["claims"]), response)
    return found


def _plain_json(text: str) -> str:
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        json.loads(plain)
    except ValueError:
        return text
    return plain


def _shown(text: str, response: requests.Response) -> str:
    """Foreign ``text`` made fit to be shown: no secret of ours, printable, short."""
    return "".join(c for c in redact_request_text(response.request, text) if c.isprintable())[:500]


def _reason(response: requests.Response) -> str:
    """What the challenge says, and the scope that would have been enough (RFC 6750 §3), made fit to be shown."""
    told = _challenge(response)
    scope = f", it takes the scope {told['scope']}" if told.get("scope") else ""
    text = f"{told.get('error', '')}{scope}" if told.get("error") else ""
    shown = "".join(c for c in redact_request_text(response.request, text) if c.isprintable())[:200]
    return f" ({shown})" if shown else ""


def _excerpt(response: requests.Response) -> str:
    if not _READ_AS_TEXT.match(response.headers.get("Content-Type", "")):
        return ""
    # A streamed body is left alone: reading it here could take for ever.
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
        refused = f"{refused or _TOKEN_REFUSED} {_kept_hint(until)}"
    if refused and scheme == "dpop":
        return f"{refused} {_clock_hint(response, now)}"
    usual = {4: _CLIENT_HINT, 5: _SERVER_HINT}.get(status // 100, "")
    return refused or _HINTS.get(status, usual)


def attempts_text(tries: int) -> str:
    """How often a request was sent, for the end of a place in a message; empty for once."""
    return f" (tried {tries} times)" if tries > 1 else ""


def _kept_hint(until: float) -> str:
    moment = datetime.fromtimestamp(until, timezone.utc).isoformat(timespec="seconds")
    return (
        "The token is fresh by its own lifetime, and the one before it was refused as fresh too: until "
        f"{moment} no 401 forces another refresh of this grant. A new token now: airflow oauth refresh CONN."
    )


def _clock_hint(response: requests.Response, now: float) -> str:
    """A proof names the time of its request, so that a wrong clock makes it worthless (RFC 9449 §11.1)."""
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
    """The error that this answer means; a rate limit keeps the wait that the server asked for."""
    verdict = _verdict(response)
    policy = policy or verdict.policy
    now = time.time() if now is None else now
    status, headers = response.status_code, response.headers
    retryable = verdict.may_pass or policy.transient(status, headers)
    limited = verdict.limited
    named = policy.named_wait(status, headers, now, limited=limited) if retryable else None
    what = f"The API answered HTTP {status} {response.reason or ''}".rstrip() + _reason(response)
    what += _excerpt(response)
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
