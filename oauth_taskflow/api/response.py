"""The response of a session: a ``requests.Response`` with our errors and a bounded body."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests
from requests.exceptions import ChunkedEncodingError, ContentDecodingError
from requests.utils import stream_decode_response_unicode
from urllib3.exceptions import ProtocolError, ReadTimeoutError, SSLError

from oauth_taskflow.api.decoders.json_outline import check_depth
from oauth_taskflow.api.errors import RetryVerdict, json_error, status_error
from oauth_taskflow.api.network_errors import (
    is_transient,
    network_error,
    public_cause,
    too_large_error,
    too_slow_error,
)
from oauth_taskflow.api.request_secrets import strip_credentials, strip_url
from oauth_taskflow.api.response_limits import AnswerLimits, Deadline, get_limits
from oauth_taskflow.content_coding import BadCoding, decode_pieces, parse_codings
from oauth_taskflow.errors import ApiRequestFailed

_CHUNK = 1 << 16


class ApiResponse(requests.Response):
    """A ``requests.Response`` whose errors hide secrets and say whether a retry may help.

    ``content``, ``text`` and ``json()`` keep the body in memory, and raise when it exceeds the session's ``limits``.
    """

    verdict = RetryVerdict()
    deadline: Deadline | None = None

    @property
    def limits(self) -> AnswerLimits:
        """The largest size, depth and duration of this response."""
        return get_limits(self.request)

    def __getstate__(self) -> dict[str, Any]:
        """The state that ``requests`` pickles; of the request, which contains the token, only method and URL."""
        state: Any = super().__getstate__()
        sent: requests.PreparedRequest | None = self.request  # None after a trigger's call
        if sent is not None:
            state.update(url=strip_url(sent, self.url), request=strip_credentials(sent))
        return dict(state)

    def raise_for_status(self) -> None:
        """Raise the error of a status of 400 and above.

        Raises:
            ApiStatusError: the response is an error; also a ``requests.HTTPError``.
        """
        if self.status_code >= 400:
            raise status_error(self)

    def json(self, **kwargs: Any) -> Any:
        """The body read as JSON; ``kwargs`` are those of ``json.loads``.

        Raises:
            ApiNotJson: it is not JSON, often a login or maintenance page, or nested too deep.
        """
        try:
            check_depth(self.content, self.limits.depth)
            return super().json(**kwargs)
        except (requests.JSONDecodeError, RecursionError) as error:
            raise json_error(self, error) from error

    @property
    def content(self) -> bytes:
        """The whole body.

        Raises:
            ApiAnswerTooLarge: it is larger than ``limits.bytes``.
            ApiTimeout: it was incomplete after ``limits.seconds``, or stopped arriving.
            ApiUnreachable: the connection broke.
            ApiCallFailed: it does not match its ``Content-Encoding``.
        """
        try:
            self.load()
        except requests.RequestException as error:
            raise self._translate(error) from public_cause(error)
        return super().content

    def load(self) -> None:
        """Read the body into memory; raises as ``requests`` does, and where a limit is exceeded."""
        state = vars(self)  # the types of requests do not say that the body may be missing
        if state["_content"] is not False or state["_content_consumed"]:
            return
        if self.raw is None or self.status_code == 0:
            return
        if self.deadline is not None and self.deadline.seconds_left() is None:
            self.deadline.restart()  # the response was meant to be streamed
        state["_content"] = b"".join(self._enforce_limits(self._pieces(_CHUNK)))
        state["_content_consumed"] = True

    def iter_content(
        self,
        chunk_size: int | None = 1,
        decode_unicode: bool = False,  # noqa: FBT001, FBT002 - the signature of requests
    ) -> Iterator[Any]:
        """Yields the body in pieces, as they arrive when the response is streamed; without limits.

        Raises:
            ApiUnreachable: the connection broke.
            ApiTimeout: nothing arrived within the time-out.
            ApiCallFailed: the body does not match its ``Content-Encoding``.
        """
        if vars(self)["_content_consumed"] or not hasattr(self.raw, "stream"):
            return self._translate_errors(super().iter_content(chunk_size, decode_unicode))
        pieces = self._pieces(chunk_size)
        if decode_unicode:
            pieces = stream_decode_response_unicode(pieces, self)  # type: ignore[no-untyped-call]  # of requests
        return self._translate_errors(pieces)

    def _pieces(self, size: int | None) -> Iterator[Any]:
        """Yields the decoded body in pieces of at most ``size`` bytes."""
        coding = self.headers.get("Content-Encoding", "")
        if not hasattr(self.raw, "stream"):
            yield from super().iter_content(size)
        elif not parse_codings(coding):
            yield from self._raw_pieces(size)
        else:
            try:
                for piece in decode_pieces(self._raw_pieces(size or _CHUNK), coding):
                    yield from _slice(piece, size)
            except BadCoding as error:
                raise ContentDecodingError(error) from error
        vars(self)["_content_consumed"] = True

    def _raw_pieces(self, size: int | None) -> Iterator[bytes]:
        try:
            yield from self.raw.stream(size, decode_content=False)
        except ProtocolError as error:
            raise ChunkedEncodingError(error) from error
        except (ReadTimeoutError, SSLError) as error:  # the certificate was accepted long before
            raise requests.ConnectionError(error) from error

    def _enforce_limits(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        left = self.limits.bytes
        try:
            for piece in pieces:
                left -= len(piece)
                if left < 0 or self._is_late:
                    break
                yield piece
        except requests.RequestException:
            if not self._is_late:
                raise
        if self._is_late:
            self.close()
            raise too_slow_error(self.request, self.limits)
        if left < 0:
            self.close()
            raise too_large_error(self.request, self.limits)

    @property
    def _is_late(self) -> bool:
        return self.deadline is not None and self.deadline.is_over

    def _translate_errors(self, pieces: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from pieces
        except requests.RequestException as error:
            raise self._translate(error) from public_cause(error)

    def _translate(self, error: requests.RequestException) -> ApiRequestFailed:
        if isinstance(error, ApiRequestFailed):
            return error
        return network_error(error, self.request, retryable=is_transient(error))


def _slice(piece: bytes, size: int | None) -> Iterator[bytes]:
    step = size or len(piece)
    for start in range(0, len(piece), step):
        yield piece[start : start + step]
