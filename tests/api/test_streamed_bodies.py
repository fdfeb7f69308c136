"""Bodies of ``requests`` that an author streams, reads twice, or whose connection breaks below HTTP."""

from __future__ import annotations

import gzip
import pickle
import socket
from pathlib import Path

import pytest
import requests
from requests.exceptions import StreamConsumedError

from oauth_taskflow.api.response import ApiResponse
from oauth_taskflow.errors import ApiRequestFailed
from tests.api.aio.twins import Asking, Twin, twin
from tests.api.conftest import Connect
from tests.api.wire import http, on_the_wire
from tests.oauth.raw_server import Behaviour, raw_server, read_request, self_signed

__all__ = ["twin"]  # a fixture

TEXT = "Grüße, " * 9
GZIP = gzip.compress(TEXT.encode())
KIND = "text/plain; charset=utf-8"
CODED = "Content-Encoding: gzip"
PLAIN = {"gzip": http(GZIP, CODED, kind=KIND), "plain": http(TEXT.encode(), kind=KIND)}


@pytest.mark.parametrize("answer", PLAIN.values(), ids=PLAIN)
def test_text_is_streamed_without_half_characters(connect: Connect, answer: bytes) -> None:
    with on_the_wire(lambda *_: answer) as wire:
        response = connect(wire.url).get("/x", stream=True)
        pieces = list(response.iter_content(3, decode_unicode=True))
    assert len(pieces) > 5
    assert "".join(pieces) == TEXT


def test_a_body_in_memory_is_read_again_in_pieces(connect: Connect) -> None:
    with on_the_wire(lambda *_: PLAIN["gzip"]) as wire:
        response = connect(wire.url).get("/x")
    assert [b"".join(response.iter_content(7)) for _ in range(2)] == [TEXT.encode()] * 2


def test_a_streamed_body_is_not_read_twice(connect: Connect) -> None:
    with on_the_wire(lambda *_: PLAIN["gzip"]) as wire:
        response = connect(wire.url).get("/x", stream=True)
        assert b"".join(response.iter_content(7)) == TEXT.encode()
        with pytest.raises(StreamConsumedError):
            response.iter_content(7)


def test_a_response_without_request_and_body_is_pickled_as_requests_does() -> None:
    made = pickle.loads(pickle.dumps(ApiResponse()))
    assert (made.request, made.content) == (None, requests.Response().content)


def breaking_off(after: bytes) -> Behaviour:
    """Sends ``after`` over TLS, and then bytes that are not TLS."""

    def behaviour(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(after)
        with socket.socket(fileno=connection.detach()) as raw:
            raw.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")

    return behaviour


ANSWER = http(b'{"id": 1}', length=500)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("after", [ANSWER, ANSWER[:20]], ids=["body", "headers"])
def test_tls_that_breaks_within_an_answer_is_an_error_of_the_api_and_the_library(
    twin: Twin, tmp_path: Path, after: bytes, stream: bool
) -> None:
    context, certificate = self_signed(tmp_path)
    asking = Asking(method="POST", body=b"x", stream=stream)
    with (
        raw_server(breaking_off(after), context) as place,
        pytest.raises(ApiRequestFailed) as caught,
    ):
        twin(f"https://{place}", asking, verify=str(certificate))
    assert isinstance(caught.value, getattr(twin.library, "NetworkError", requests.ConnectionError))
    assert f"at POST https://{place}/x" in caught.value.where
    assert "broke off" in caught.value.what
    assert caught.value.retryable
