"""Answers that break off: what came of them is kept, because a rotated refresh token exists once."""

from __future__ import annotations

import requests
from urllib3.exceptions import HTTPError

from oauth_taskflow.oauth.endpoint import response_fields
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse

_CHUNK = 1 << 14


class CutOff(Exception):
    """The connection ended within ``answer``, because of ``cause``."""

    def __init__(self, answer: TokenHttpResponse, cause: Exception) -> None:
        super().__init__()
        self.answer = answer
        self.cause = cause


def read_body(response: requests.Response, most: int) -> tuple[bytes, Exception | None]:
    """The body, or what came of it before it broke, and why it did; no more than ``most`` bytes and a chunk."""
    content = bytearray()
    # Anything but read1 (urllib3 2) waits for whole chunks, and drops the beginning of one that breaks.
    read = getattr(response.raw, "read1", response.raw.read)
    try:
        while len(content) <= most and (chunk := read(_CHUNK, decode_content=True)):
            content += chunk
    except (HTTPError, OSError) as failure:
        return bytes(content), failure
    return bytes(content), None


def brings_refresh_token(answer: TokenHttpResponse) -> bool:
    """Whether a new refresh token arrived with ``answer``, although that did not arrive whole."""
    return answer.is_success and response_fields.refresh_token_in_text(answer.body) is not None
