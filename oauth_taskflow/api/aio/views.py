"""Views of ``httpx`` requests, responses and errors as objects of ``requests``.

Credentials, response rules, paginators and the retry policy decide about requests and responses of the ``requests``
library. A view presents those of ``httpx`` in that form, so that both sessions share the code of every decision.
"""

from __future__ import annotations

import ssl

import httpx
import requests
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from oauth_taskflow.api.errors import NothingSent
from oauth_taskflow.api.request_secrets import Remembered, read_secrets, remember_more
from oauth_taskflow.api.response import ApiResponse
from oauth_taskflow.api.response_limits import DEFAULT_LIMITS, set_limits

# An extension that no transport of ``httpx`` reads. It stays on the request, and on the request of a redirect.
_SECRETS = "oauth_taskflow.secrets"


class _SpentStream:
    """A body that cannot be sent twice, because ``rewind`` finds no position in it."""


class _FileBody:
    """A body that is read from files when it is sent, and can be sent again."""

    def seek(self, position: int) -> None:
        """Do nothing: the body is built from its files at each attempt."""


def request_view(request: httpx.Request) -> requests.PreparedRequest:
    """A copy of ``request`` with the body if that is in memory; without it, whether the body can be sent again shows."""
    view = requests.PreparedRequest()
    view.method, view.url = request.method, str(request.url)
    view.headers = CaseInsensitiveDict(request.headers.items())
    known = request.extensions.get(_SECRETS, Remembered())
    remember_more(view, known.secrets, known.names)
    vars(view).update(body=_body_of(request), _body_position=0)
    return view


def _body_of(request: httpx.Request) -> object:
    """The body of ``request``: bytes if it is in memory, else what shows whether it can be sent again; None without one."""
    if isinstance(request.stream, httpx.ByteStream):
        return request.read() or None
    return _FileBody() if can_replay(request) else _SpentStream()


def can_replay(request: httpx.Request) -> bool:
    """Whether the body can be sent again, which holds for bytes, text, JSON, forms and seekable files."""
    stream: object = request.stream
    # Multipart bodies are built from their files at each attempt; a file that cannot be rewound would be sent empty.
    files = [getattr(part, "file", b"") for part in getattr(stream, "fields", ())]
    return isinstance(stream, httpx.SyncByteStream) and all(map(_is_seekable, files))


def _is_seekable(file: object) -> bool:
    if isinstance(file, str | bytes):
        return True
    seekable = getattr(file, "seekable", None)
    return bool(seekable()) if callable(seekable) else hasattr(file, "seek")


def copy_from_view(view: requests.PreparedRequest, request: httpx.Request) -> None:
    """Copy URL, headers and body that were set on ``view`` to ``request``, and remember which of them are secret."""
    request.extensions[_SECRETS] = read_secrets(view)
    for name, value in view.headers.items():
        if request.headers.get(name) != value:
            if not value.isascii():
                request.headers.encoding = "iso-8859-1"  # as requests sends it
            request.headers[name] = value
    if view.url != str(request.url):
        request.url = httpx.URL(view.url or "")
    body: object = view.body
    if isinstance(body, bytes) and body != _body_of(request):
        fresh = httpx.Request(request.method, request.url, content=body)
        request.stream, request._content = fresh.stream, body  # noqa: SLF001 - httpx has no way to replace a body


def response_view(response: httpx.Response) -> ApiResponse:
    """A view of ``response`` and its request; it has a body only if that was read already."""
    view = ApiResponse()
    view.status_code, view.reason = response.status_code, response.reason_phrase
    view.url, view.headers = str(response.url), CaseInsensitiveDict(response.headers.items())
    view.encoding = get_encoding_from_headers(view.headers)
    view.request = request_view(response.request)
    view.history = [_hop_view(hop) for hop in response.history]
    set_limits(view.request, getattr(response, "limits", DEFAULT_LIMITS))
    if response.is_stream_consumed:
        vars(view).update(_content=response.content, _content_consumed=True)
    return view


def _hop_view(hop: httpx.Response) -> requests.Response:
    """A view of a redirect: where it came from, and its status."""
    view = requests.Response()
    view.status_code, view.url = hop.status_code, str(hop.url)
    return view


def error_view(error: httpx.RequestError) -> requests.RequestException:
    """The exception of ``requests`` that corresponds to ``error``; its causes stay attached."""
    cause = error.__cause__ if isinstance(error, httpx.DecodingError) else None
    view = _kind(error)(cause or type(error).__name__)
    view.__cause__ = error
    return view


# The first match counts; TLS errors are recognised separately below.
_KINDS: tuple[tuple[type[httpx.RequestError], type[requests.RequestException]], ...] = (
    (httpx.ConnectTimeout, requests.ConnectTimeout),
    (httpx.PoolTimeout, requests.ConnectTimeout),
    (httpx.TimeoutException, requests.ReadTimeout),
    (httpx.ConnectError, NothingSent),
    (httpx.NetworkError, requests.ConnectionError),
    (httpx.RemoteProtocolError, requests.ConnectionError),
    (httpx.ProxyError, requests.exceptions.ProxyError),
    (httpx.DecodingError, requests.exceptions.ContentDecodingError),
    (httpx.RequestError, requests.RequestException),
)


def _kind(error: httpx.RequestError) -> type[requests.RequestException]:
    if isinstance(error, httpx.ConnectError) and _over_tls(error):
        return requests.exceptions.SSLError
    return next(ours for theirs, ours in _KINDS if isinstance(error, theirs))


def _over_tls(error: BaseException) -> bool:
    """Whether a TLS error caused ``error``."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
