"""Bodies that an author reads from a streamed response: in which pieces they come, and how they fail."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from oauth_taskflow.api.aio.errors import AsyncAnswerTooLarge, AsyncApiResponse
from oauth_taskflow.api.response_limits import AnswerLimits
from oauth_taskflow.errors import ApiRequestFailed
from tests.api.conftest import Converse
from tests.api.wire import http, on_the_wire

BODY = b"0123456789" * 5
GZIP = gzip.compress(BODY)
CODED = "Content-Encoding: gzip"


def read_streamed(
    converse: Converse,
    answer: bytes,
    read: Callable[[AsyncApiResponse], Awaitable[Any]],
    **options: Any,
) -> Any:
    """What ``read`` returns for the streamed response to one request, which the server answers with ``answer``."""

    async def talk(session: Any) -> Any:
        async with session.stream("GET", "/x") as response:
            return await read(response)

    with on_the_wire(lambda *_: answer) as wire:
        made = converse(wire.url, talk, **options)
        assert len(wire.targets) == 1
        return made


def test_a_body_in_memory_is_read_again_in_pieces(converse: Converse) -> None:
    async def read(response: AsyncApiResponse) -> Any:
        whole = [await response.aread(), await response.aread()]
        return whole, [piece async for piece in response.aiter_bytes(20)]

    whole, pieces = read_streamed(converse, http(GZIP, CODED), read)
    assert whole == [BODY, BODY]
    assert pieces == [BODY[:20], BODY[20:40], BODY[40:]]


def test_a_streamed_body_comes_in_pieces_of_the_wanted_size(converse: Converse) -> None:
    async def read(response: AsyncApiResponse) -> list[bytes]:
        return [piece async for piece in response.aiter_bytes(20)]

    assert read_streamed(converse, http(GZIP, CODED), read) == [BODY[:20], BODY[20:40], BODY[40:]]


def test_raw_pieces_are_those_that_were_sent(converse: Converse) -> None:
    async def read(response: AsyncApiResponse) -> bytes:
        return b"".join([piece async for piece in response.aiter_raw()])

    assert read_streamed(converse, http(GZIP, CODED), read) == GZIP


def test_a_streamed_body_that_is_read_into_memory_has_the_limits_again(converse: Converse) -> None:
    with pytest.raises(AsyncAnswerTooLarge) as caught:
        read_streamed(
            converse, http(GZIP, CODED), AsyncApiResponse.aread, limits=AnswerLimits(bytes=20)
        )
    assert not caught.value.retryable


async def read_raw(response: AsyncApiResponse) -> None:
    async for _ in response.aiter_raw():
        pass


@pytest.mark.parametrize("read", [AsyncApiResponse.aread, read_raw])
def test_a_streamed_body_that_is_cut_is_an_error_of_both_libraries(
    converse: Converse, read: Callable[[AsyncApiResponse], Awaitable[Any]]
) -> None:
    with pytest.raises(ApiRequestFailed) as caught:
        read_streamed(converse, http(BODY)[:-9], read)
    assert issubclass(caught.type, httpx.RequestError)
    assert caught.value.retryable
