"""Every way in which an answer can break below its status: read again, and in the end red and retryable."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from time import sleep
from typing import Any

import pytest

from oauth_taskflow.api.aio.session import AsyncOAuthSession
from oauth_taskflow.api.errors import ApiAnswerTooLarge, ApiTimeout
from oauth_taskflow.api.response_limits import AnswerLimits
from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.errors import ApiError, ApiRequestFailed, InvalidRecord
from tests.api.aio.twins import Asking, Twin, twin
from tests.api.conftest import Connect, Converse
from tests.api.wire import Wire, http, make_chunked, make_unbounded, on_the_wire

__all__ = ["twin"]  # a fixture

ROWS = json.dumps({"rows": [{"id": n, "name": "ä" * 20} for n in range(50)]}).encode()
WHOLE = http(ROWS)
GZIP, ZLIB = gzip.compress(ROWS), zlib.compress(ROWS)
CODED = "Content-Encoding: gzip"
HTML = b"<!DOCTYPE html><title>Back soon</title>"
Read = Callable[..., Any]

# Broken in a way that HTTP or the content coding shows: mended for session.get() too.
ON_THE_WIRE = {
    "nothing": b"",
    "cut within the status": WHOLE[:11],
    "cut within the headers": WHOLE[:40],
    "cut after a header": WHOLE[: WHOLE.index(b"\r\n\r\n") + 2],
    "cut within a body of known length": WHOLE[:-9],
    "length above the body's": http(ROWS, length=len(ROWS) + 1),
    "cut within a chunk": make_chunked(ROWS[:300], ROWS[300:])[:700],
    "cut within the size of a chunk": make_chunked(ROWS[:300], end=b"0"),
    "without the last chunk": make_chunked(ROWS, end=b""),
    "a chunk whose size is no number": make_chunked(ROWS[:300], end=b"zz\r\n"),
    "gzip that is none": http(ROWS, CODED),
    "gzip of one byte": http(b"\x1f", CODED),
    "gzip broken at the start": http(b"\x1f\x8b\x07" + GZIP[3:], CODED),
    "gzip broken in the middle": http(GZIP[:200] + b"\xff\xff\xff\xff" + GZIP[204:], CODED),
    "gzip cut in the middle": http(GZIP[:150], CODED),
    "gzip without its trailer": http(GZIP[:-8], CODED),
    "gzip with a wrong checksum": http(GZIP[:-8] + b"\0" * 8, CODED),
    "gzip whose second member is cut": http(GZIP + GZIP[:60], CODED),
    "deflate cut in the middle": http(ZLIB[:150], "Content-Encoding: deflate"),
    "one of two codings cut": http(gzip.compress(GZIP[:-9]), "Content-Encoding: gzip, gzip"),
}
# Broken as JSON alone.
IN_THE_TEXT = {
    "text cut, ended by the connection": make_unbounded(ROWS[:-30]),
    "length below the body's": http(ROWS, length=len(ROWS) - 30),
    "text cut within a character": http(ROWS[: ROWS.rindex(b"\\u") + 3]),
    "utf-8 cut within a character": http('{"rows": ["ä'.encode()[:-1]),
    "undeclared gzip, cut": http(GZIP[:-9]),
    "two values": http(ROWS + ROWS),
    "a page of HTML": http(HTML, kind="text/html"),
    "a page of HTML that claims to be JSON": http(HTML),
}
EITHER = {**ON_THE_WIRE, **IN_THE_TEXT}
# Whole, however unusual.
SOUND = {
    "gzip": http(GZIP, CODED),
    "x-gzip": http(GZIP, "Content-Encoding: x-gzip"),
    "gzip of two members": http(gzip.compress(ROWS[:99]) + gzip.compress(ROWS[99:]), CODED),
    "gzip of very many members": http(gzip.compress(b"") * 3000 + GZIP, CODED),
    "gzip with garbage behind it": http(GZIP + b"garbage", CODED),
    "gzip with one byte behind it": http(GZIP + b"\x1f", CODED),
    "deflate": http(ZLIB, "Content-Encoding: deflate"),
    "deflate with garbage behind it": http(ZLIB + b"garbage", "Content-Encoding: deflate"),
    "deflate without its header": http(ZLIB[2:-4], "Content-Encoding: deflate"),
    "gzip twice": http(gzip.compress(GZIP), "Content-Encoding: gzip, gzip"),
    "gzip twice, declared once": http(gzip.compress(GZIP), CODED),
    "gzip undeclared": http(GZIP),
    "a coding that is none": http(ROWS, "Content-Encoding: utf-8"),
    "chunks": make_chunked(
        ROWS[:300], ROWS[300:], headers=("Trailer: X",), end=b"0\r\nX: y\r\n\r\n"
    ),
    "gzip in chunks": make_chunked(GZIP[:50], GZIP[50:], headers=(CODED,)),
    "until the connection ends": make_unbounded(ROWS),
    "a mark of UTF-8": http(b"\xef\xbb\xbf" + ROWS),
    "UTF-16 with its mark": http(ROWS.decode().encode("utf-16")),
}


@pytest.fixture(params=["sync", "async"])
def read(request: pytest.FixtureRequest, connect: Connect, converse: Converse) -> Read:
    """``paginate`` of each session in turn."""

    def run(api: Wire, path: str = "/x", *, records: str | None = "rows", **options: Any) -> Any:
        if request.param == "sync":
            return list(connect(api.url, **options).paginate(path, records=records))

        async def talk(session: AsyncOAuthSession) -> list[Any]:
            return [record async for record in session.paginate(path, records=records)]

        return converse(api.url, talk, **options)

    return run


@pytest.fixture
def serve() -> Iterator[Callable[..., Wire]]:
    """A server for each list of answers, the last of which is repeated."""
    with ExitStack() as stack:
        yield lambda *answers: stack.enter_context(
            on_the_wire(lambda number, _: answers[min(number, len(answers) - 1)])
        )


@pytest.mark.parametrize("answer", SOUND.values(), ids=SOUND)
def test_unusual_but_complete_responses_are_read(
    serve: Callable[..., Wire], read: Read, answer: bytes
) -> None:
    wire = serve(answer)
    assert read(wire) == json.loads(ROWS)["rows"]
    assert len(wire.targets) == 1


@pytest.mark.parametrize("answer", EITHER.values(), ids=EITHER)
def test_a_page_that_is_broken_once_is_read_again(
    serve: Callable[..., Wire], read: Read, answer: bytes
) -> None:
    wire = serve(answer, WHOLE)
    assert read(wire) == json.loads(ROWS)["rows"]
    assert len(wire.targets) == 2


@pytest.mark.parametrize("answer", EITHER.values(), ids=EITHER)
def test_a_page_that_stays_broken_is_red_and_retryable(
    serve: Callable[..., Wire], read: Read, answer: bytes
) -> None:
    wire = serve(answer)
    with pytest.raises(ApiError) as caught:
        read(wire, retry=RetryPolicy(attempts=3))
    assert (caught.value.retryable, len(wire.targets)) == (True, 3)
    assert f"{wire.url}/x" in caught.value.where
    assert "broke off: " not in str(caught.value) or ": the " in str(caught.value)  # not a class


@pytest.mark.parametrize("answer", ON_THE_WIRE.values(), ids=ON_THE_WIRE)
def test_an_answer_that_is_broken_once_is_read_again_by_hand(
    serve: Callable[..., Wire], twin: Twin, answer: bytes
) -> None:
    wire = serve(answer, WHOLE)
    assert twin(wire.url, Asking()).body == ROWS
    assert len(wire.targets) == 2


@pytest.mark.parametrize("answer", IN_THE_TEXT.values(), ids=IN_THE_TEXT)
def test_broken_json_read_by_hand_is_a_retryable_error(
    serve: Callable[..., Wire], twin: Twin, answer: bytes
) -> None:
    wire = serve(answer)
    with pytest.raises(InvalidRecord) as caught:
        twin(wire.url, Asking(as_json=True))
    assert (caught.value.retryable, len(wire.targets)) == (True, 1)


def test_a_change_whose_answer_broke_is_not_sent_again(
    serve: Callable[..., Wire], twin: Twin
) -> None:
    wire = serve(http(GZIP[:-9], CODED), WHOLE)
    with pytest.raises(ApiRequestFailed) as caught:
        twin(wire.url, Asking(method="POST", body=b"x"))
    assert (caught.value.retryable, len(wire.targets)) == (True, 1)


PERMANENT = {
    "NaN": (b'{"rows": [NaN]}', "NaN, Infinity or bare control characters"),
    "a control character": (b'{"rows": ["\x01"]}', "NaN, Infinity or bare control characters"),
    "too deep": (b"[" * 300 + b"]" * 300, "nested more than 256 deep"),
    "far too deep": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested more than 256 deep"),
    "too deep behind brackets in a text": (
        b'[["' + b"]" * 99 + b'",' + b"[" * 300 + b"]" * 300 + b',"' + b"[" * 300 + b'"]]',
        "nested more than 256 deep",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("body", "reason"), PERMANENT.values(), ids=PERMANENT)
def test_a_body_that_no_retry_can_mend_fails_at_once(
    serve: Callable[..., Wire], read: Read, body: bytes, reason: str
) -> None:
    wire = serve(http(body))
    with pytest.raises(InvalidRecord, match=reason) as caught:
        read(wire)
    assert (caught.value.retryable, len(wire.targets)) == (False, 1)


def test_too_deep_json_by_hand_is_our_error(serve: Callable[..., Wire], twin: Twin) -> None:
    with pytest.raises(InvalidRecord, match="nested too deep") as caught:
        twin(serve(http(b"[" * 5000 + b"]" * 5000)).url, Asking(as_json=True))
    assert not caught.value.retryable


def test_the_depth_is_an_option(serve: Callable[..., Wire], read: Read) -> None:
    body = b'{"rows": ' + b"[" * 5 + b"]" * 5 + b"}"
    with pytest.raises(InvalidRecord, match="more than 5 deep"):
        read(serve(http(body)), limits=AnswerLimits(depth=5))


@pytest.mark.parametrize("stack", [1, 2, 3])
def test_a_small_body_that_inflates_is_given_up(
    serve: Callable[..., Wire], twin: Twin, stack: int
) -> None:
    body = b'"' + b"x" * 3_000_000 + b'"'
    for _ in range(stack):
        body = gzip.compress(body)
    wire = serve(http(body, f"Content-Encoding: {', '.join(['gzip'] * stack)}"))
    with pytest.raises(ApiAnswerTooLarge, match="larger than 2 MiB") as caught:
        twin(wire.url, Asking(), limits=AnswerLimits(bytes=2 << 20))
    assert (caught.value.retryable, len(wire.targets)) == (False, 1)
    assert isinstance(caught.value, getattr(twin.library, "RequestError", OSError))


def test_undeclared_gzip_is_given_up_too(serve: Callable[..., Wire], read: Read) -> None:
    wire = serve(http(gzip.compress(b"[" + b" " * 3_000_000 + b"]")))
    with pytest.raises(InvalidRecord, match="more than 2 MiB in gzip") as caught:
        read(wire, records=None, limits=AnswerLimits(bytes=2 << 20))
    assert (caught.value.retryable, len(wire.targets)) == (False, 1)


def test_more_codings_than_a_server_needs_are_refused(
    serve: Callable[..., Wire], twin: Twin
) -> None:
    wire = serve(http(ROWS, f"Content-Encoding: {', '.join(['gzip'] * 6)}"))
    with pytest.raises(ApiRequestFailed, match="6 codings on top of each other") as caught:
        twin(wire.url, Asking())
    assert (caught.value.retryable, len(wire.targets)) == (False, 1)


def dripping(head: bytes, body: bytes) -> Iterator[bytes]:
    """``head`` at once, and then a byte every 20 ms."""
    yield head
    for byte in body:
        sleep(0.02)
        yield bytes([byte])


DRIPS = {
    "headers": (WHOLE[:20], WHOLE[20:]),
    "body": (WHOLE[:-400], WHOLE[-400:]),
    "chunk": (make_chunked(ROWS)[:200], make_chunked(ROWS)[200:]),
    "body without length": (make_unbounded(ROWS)[:200], make_unbounded(ROWS)[200:]),
    "gzip": (http(GZIP, CODED)[:150], http(GZIP, CODED)[150:]),
}


@pytest.mark.slow
@pytest.mark.parametrize("drip", DRIPS.values(), ids=DRIPS)
def test_an_answer_that_drips_in_ends_in_time(twin: Twin, drip: tuple[bytes, bytes]) -> None:
    with on_the_wire(lambda *_: dripping(*drip)) as wire:
        with pytest.raises(ApiTimeout, match=r"not whole after 0\.2 s") as caught:
            twin(wire.url, Asking(), limits=AnswerLimits(seconds=0.2))
        assert caught.value.retryable
        assert len(wire.targets) <= 1  # a busy server has not read the request by then


def test_a_slow_answer_within_the_time_is_whole(twin: Twin) -> None:
    with on_the_wire(lambda *_: dripping(WHOLE[:-10], WHOLE[-10:])) as wire:
        assert twin(wire.url, Asking(), limits=AnswerLimits(seconds=30)).body == ROWS


def test_a_response_that_an_author_streams_has_no_limits(
    serve: Callable[..., Wire], twin: Twin
) -> None:
    wire = serve(http(GZIP, CODED))
    assert twin(wire.url, Asking(stream=True), limits=AnswerLimits(bytes=100)).body == ROWS


def test_a_response_that_an_author_streams_may_take_longer(twin: Twin) -> None:
    limits = AnswerLimits(seconds=0.15)
    with on_the_wire(lambda *_: dripping(WHOLE[:-15], WHOLE[-15:])) as wire:
        for _ in range(50):  # on a busy machine even the head may take longer
            with suppress(ApiTimeout):
                assert twin(wire.url, Asking(stream=True), limits=limits).body == ROWS
                return
    pytest.fail("no head came in time")


def test_a_streamed_answer_that_is_held_in_memory_has_them_again(
    serve: Callable[..., Wire], connect: Connect
) -> None:
    session = connect(serve(http(GZIP, CODED)).url, limits=AnswerLimits(bytes=100))
    with pytest.raises(ApiAnswerTooLarge), session.get("/x", stream=True) as answer:
        _ = answer.content


@pytest.mark.parametrize(
    ("coding", "package"), [("br", "brotli 1.2 or later"), ("zstd", "backports.zstd")]
)
def test_a_coding_whose_package_is_missing_is_named_and_not_asked_for_again(
    serve: Callable[..., Wire],
    twin: Twin,
    monkeypatch: pytest.MonkeyPatch,
    coding: str,
    package: str,
) -> None:
    for name in ("brotli", "brotlicffi", "backports.zstd", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    wire = serve(http(ROWS, f"Content-Encoding: {coding}"))
    with pytest.raises(ApiRequestFailed, match=f"{coding} needs the package {package}") as caught:
        twin(wire.url, Asking())
    assert (caught.value.retryable, len(wire.targets)) == (False, 1)
