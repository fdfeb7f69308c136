"""Translates network failures of the HTTP library into our errors, without the secrets that they quote."""

from __future__ import annotations

import requests
from urllib3.exceptions import ReadTimeoutError

from oauth_taskflow.api.errors import (
    ApiAnswerTooLarge,
    ApiCallFailed,
    ApiTimeout,
    ApiUnreachable,
    NothingSent,
    add_library_class,
    attempts_text,
)
from oauth_taskflow.api.request_secrets import redact_request_url
from oauth_taskflow.api.response_limits import AnswerLimits, format_bytes
from oauth_taskflow.content_coding import BadCoding
from oauth_taskflow.errors import ApiRequestFailed

_ABOUT_HOST = "Check host of the connection, DNS, proxy and firewall."
_ABOUT_TIME = (
    "Raise timeout of the connection (seconds to connect, to read), or ask for smaller pages."
)
_ABOUT_BREAK = (
    "Run the task again; if it lasts, look at proxies in between and at the API's status page."
)
_ABOUT_REQUEST = "Check URL, headers and body of the request, and what the API sends."
_ABOUT_CODING = "Install it, or let the API answer without compression."
_TRANSIENT = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)
# OpenSSL's reasons when the server answers in plain text.
_CLEAR_TEXT = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"})

# By class name, because the libraries keep some of these classes to themselves.
_WORDS = {
    "BadStatusLine": "the answer is not HTTP",
    "IncompleteRead": "the answer ended before its announced length",
    "InvalidChunkLength": "the answer ended within a chunk",
    "ProtocolError": "the answer ended early, or is not HTTP",
    "RemoteDisconnected": "the server closed the connection without an answer",
    "RemoteProtocolError": "the answer ended early, or is not HTTP",
}


def is_transient(error: requests.RequestException) -> bool:
    """Whether the same request may succeed a moment later."""
    if isinstance(error, requests.exceptions.SSLError) or not isinstance(error, _TRANSIENT):
        return False
    coding = _bad_coding(error)
    return coding is None or coding.may_pass


def _bad_coding(error: BaseException) -> BadCoding | None:
    cause = error.args[0] if error.args else None
    return cause if isinstance(cause, BadCoding) else None


def network_error(
    error: requests.RequestException,
    request: requests.PreparedRequest,
    *,
    retryable: bool,
    tries: int = 1,
) -> ApiRequestFailed:
    """Our error for ``error`` of the HTTP library, without the URL and headers that its text may quote."""
    kind, what, hint = _classify(error)
    where = f"at {request.method} {redact_request_url(request)}{attempts_text(tries)}"
    made = add_library_class(kind, type(error))(what, where=where, hint=hint)
    made.retryable = retryable and is_transient(error)
    return made


def _classify(error: requests.RequestException) -> tuple[type[ApiRequestFailed], str, str]:
    """Our error class for ``error``, its message and its hint."""
    if isinstance(error, requests.ConnectTimeout):
        return ApiTimeout, "The API did not connect in time", _ABOUT_HOST
    if isinstance(error, requests.Timeout) or _has_stalled(error):
        return ApiTimeout, "The API did not answer in time", _ABOUT_TIME
    if isinstance(error, requests.exceptions.SSLError):
        what = f"The API's TLS certificate or handshake was refused: {_root(error)}"
        return ApiUnreachable, what, _about_tls(_innermost(error))
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        hint = _ABOUT_HOST if is_unsent(error) else _ABOUT_BREAK
        return ApiUnreachable, f"The API could not be reached or broke off: {_root(error)}", hint
    if (coding := _bad_coding(error)) is not None:
        hint = _ABOUT_BREAK if coding.may_pass else _ABOUT_CODING
        return ApiCallFailed, f"The answer is not in its Content-Encoding: {coding}", hint
    return ApiCallFailed, f"The request failed: {_root(error)}", _ABOUT_REQUEST


def too_large_error(request: requests.PreparedRequest, limits: AnswerLimits) -> ApiAnswerTooLarge:
    """The error of a response to ``request`` that is too large; the next response would be as large."""
    return ApiAnswerTooLarge(
        f"The answer is larger than {format_bytes(limits.bytes)}",
        where=f"at {request.method} {redact_request_url(request)}",
        hint="Ask for smaller pages, or raise limits.bytes of the endpoint or max_answer_bytes of the connection.",
    )


def too_slow_error(request: requests.PreparedRequest, limits: AnswerLimits) -> ApiTimeout:
    """The error of a response to ``request`` that arrives too slowly."""
    return ApiTimeout(
        f"The answer was not whole after {limits.seconds:g} s",
        where=f"at {request.method} {redact_request_url(request)}",
        hint="Ask for smaller pages, or raise limits.time of the endpoint or max_answer_seconds of the connection.",
        retryable=True,
    )


def _about_tls(cause: BaseException) -> str:
    if getattr(cause, "reason", "") in _CLEAR_TEXT:
        return "Nothing speaks TLS there: check scheme and port in host of the connection."
    return "Set the connection's verify to the CA bundle that signed it."


def _has_stalled(error: requests.RequestException) -> bool:
    """Whether the body stopped arriving, which ``requests`` reports as a connection error."""
    return bool(error.args) and isinstance(error.args[0], ReadTimeoutError)


def _root(error: BaseException) -> str:
    """The reason in words: of the innermost cause the system text; else what broke in the answer; else its class."""
    chain = _causes(error)
    cause = chain[-1]
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    names = [type(each).__name__ for each in reversed(chain)]
    return next((_WORDS[name] for name in names if name in _WORDS), names[0])


def public_cause(error: BaseException) -> OSError | None:
    """The innermost cause of ``error`` that a traceback may show: an error of the operating system, else None.

    Texts of the HTTP libraries quote URLs and headers together with the secrets in them, and tracebacks reach logs.
    """
    cause = _innermost(error)
    return cause if isinstance(cause, OSError) and cause.strerror else None


def _innermost(error: BaseException) -> BaseException:
    return _causes(error)[-1]


def _causes(error: BaseException) -> list[BaseException]:
    """``error`` and its causes, the innermost last."""
    causes = [error]
    seen = {id(error)}
    while True:
        cause = causes[-1]
        deeper = getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
        if not isinstance(deeper, BaseException) and cause.args:
            deeper = cause.args[-1]
        if not isinstance(deeper, BaseException) or id(deeper) in seen:
            return causes
        seen.add(id(deeper))
        causes.append(deeper)


def is_unsent(error: requests.RequestException) -> bool:
    """Whether the connection failed before the request left, so that even a POST may be repeated."""
    if isinstance(error, requests.ConnectTimeout | NothingSent):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(reason).__name__ in {"NewConnectionError", "NameResolutionError"}
