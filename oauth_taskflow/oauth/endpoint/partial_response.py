"""Answers that break off: what came of them is kept, because a rotated refresh token exists once."""

from __future__ import annotations

import io
from collections.abc import Mapping

import requests
from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError

from oauth_taskflow.oauth.endpoint import response_fields
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse, TokenRequestInfo

_CHUNK = 1 << 14


class CutOff(Exception):
    """The connection ended within ``answer``, because of ``cause``."""

    def __init__(self, answer: TokenHttpResponse, cause: Exception) -> None:
        super().__init__()
        self.answer = answer
        self.cause = cause


def read_body(response: requests.Response, most: int) -> tuple[bytes, Exception | None]:
    """The body, or the part that came before it broke, and why it did; little more than ``most`` bytes."""
    content = bytearray()
    # Anything but read1 (urllib3 2) waits for whole chunks, and drops the beginning of one that breaks.
    read = getattr(response.raw, "read1", response.raw.read)
    try:
        while len(content) <= most and (chunk := read(_CHUNK, decode_content=False)):
            content += chunk
    except (HTTPError, OSError) as failure:
        return _unpack(bytes(content), response.headers, most), failure
    return _unpack(bytes(content), response.headers, most), None


def _unpack(content: bytes, headers: Mapping[str, str], most: int) -> bytes:
    """``content`` without its ``Content-Encoding``; one that is not encoded so stays as it came."""
    named = headers.get("content-encoding", "")
    if not named or not content:
        return content
    packed, whole = io.BytesIO(content), bytearray()
    reader = HTTPResponse(packed, {"content-encoding": named}, preload_content=False)
    try:
        while len(whole) <= most and (chunk := reader.read(_CHUNK, decode_content=True)):
            whole += chunk
    except HTTPError:
        return bytes(whole) or content
    return bytes(whole)


def brings_refresh_token(answer: TokenHttpResponse, info: TokenRequestInfo) -> bool:
    """Whether a refresh token arrived with ``answer`` to the request of ``info``, although that did not arrive whole."""
    found = response_fields.refresh_tokens_in_text(answer.read().text, info.dialect, info.secrets)
    return answer.is_success and found.first is not None
