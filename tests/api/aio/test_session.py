"""The async session: what the session does, on an event loop that is never blocked."""

from __future__ import annotations

import asyncio
import copy
import io
import pickle
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import requests

from oauth_taskflow.api.aio.errors import AsyncStatusError, AsyncTimedOut, AsyncUnreachable
from oauth_taskflow.api.aio.session import AsyncOAuthSession
from oauth_taskflow.api.aio.transport import proxy_mounts, tls_context
from oauth_taskflow.api.aio.views import error_view
from oauth_taskflow.api.errors import ApiStatusError, ApiTimeout, ApiUnreachable
from oauth_taskflow.api.network_errors import is_unsent
from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.errors import (
    ApiRequestFailed,
    ConnectionConfigError,
    ForeignOriginRefused,
    ResultRefused,
)
from oauth_taskflow.oauth.token import Token
from tests.api.conftest import Converse, Serve
from tests.api.scripted import FakeClock, Reply, Sources
from tests.api.test_redirects import moved
from tests.api.test_session import in_turn, needs


@pytest.mark.parametrize(
    ("url", "target"), [("contacts", "/v3/contacts?a=1"), ("/x", "/v3/x?a=1"), ("", "/v3?a=1")]
)
def test_relative_urls_are_below_the_base_path(
    serve: Serve, converse: Converse, url: str, target: str
) -> None:
    api = serve(in_turn({}))
    converse(f"{api.url}/v3/", lambda s: s.get(url, params={"a": 1}))
    assert api.paths == [target]


def test_the_base_url_can_be_asked_for(converse: Converse) -> None:
    async def base(session: AsyncOAuthSession) -> str:
        return str(session.base_url)

    assert converse("https://api.example.com/v3", base) == "https://api.example.com/v3/"


@pytest.mark.parametrize(
    "url", ["https://evil.test/x", "//evil.test/x", "http://127.0.0.1@evil.test/x"]
)
def test_foreign_urls_are_refused_before_anything_is_sent(
    serve: Serve, converse: Converse, url: str
) -> None:
    api = serve(in_turn({}))
    with pytest.raises(ForeignOriginRefused):
        converse(api, lambda s: s.get(url))
    with pytest.raises(ForeignOriginRefused):
        converse(
            api, lambda s: s.send(httpx.Request("GET", f"http:{url.partition(':')[2] or url}"))
        )
    assert api.asked == []


def test_base_urls_that_are_none_are_refused() -> None:
    with pytest.raises(
        ConnectionConfigError, match="The base URL or an allowed origin is unusable"
    ):
        AsyncOAuthSession("api.example.com", conn_id="crm")


def test_a_401_refreshes_once_and_replays_method_and_body(
    serve: Serve, converse: Converse, source: Sources
) -> None:
    api = serve(needs("t2"))
    assert converse(api, lambda s: s.post("/x", json={"a": 1})).json() == {"ok": True}
    assert [(one.method, one.json) for one in api.asked] == [("POST", {"a": 1})] * 2
    assert api.tokens() == ["Bearer t1", "Bearer t2"]
    assert source.refusals == 1


def test_a_second_401_is_returned_and_asks_for_no_third_token(
    serve: Serve, converse: Converse, source: Sources
) -> None:
    answer = converse(serve(in_turn(Reply({}, 401))), lambda s: s.get("/x"))
    assert (answer.status_code, source.refusals) == (401, 1)


def test_a_session_without_credentials_sends_none(serve: Serve, converse: Converse) -> None:
    api = serve(in_turn({}))
    converse(api, lambda s: s.get("/x"), auth=None)
    assert api.tokens() == [""]


def test_credentials_of_one_call_replace_those_of_the_session(
    serve: Serve, converse: Converse
) -> None:
    api = serve(in_turn({}))
    converse(api, lambda s: s.get("/x", auth=("u", "p")))
    assert api.tokens() == ["Basic dTpw"]


def test_a_generator_body_is_sent_once_and_cannot_be_replayed(
    serve: Serve, converse: Converse
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"abc"

    with pytest.raises(AsyncStatusError, match="a stream that cannot be sent again"):
        converse(serve(needs("t2")), lambda s: s.put("/x", content=chunks()))
    busy = serve(in_turn(Reply({}, 503), {}))
    assert converse(busy, lambda s: s.put("/x", content=chunks())).status_code == 503
    with pytest.raises(ApiRequestFailed, match="a stream that cannot be rewound"):
        converse(serve(moved(307, "/new")), lambda s: s.put("/old", content=chunks()))


@pytest.mark.parametrize("file", [io.BytesIO(b"content"), b"content", ("name", "content")])
def test_files_are_sent_again(serve: Serve, converse: Converse, file: Any) -> None:
    api = serve(needs("t2"))
    converse(api, lambda s: s.post("/x", files={"f": file}))
    assert [b"content" in one.body for one in api.asked] == [True, True]


class Pipe:
    """A file that cannot go back."""

    def __init__(self) -> None:
        self._left = [b"", b"payload"]

    def read(self, _: int = -1) -> bytes:
        return self._left.pop()

    def seekable(self) -> bool:
        return False


def test_a_file_that_cannot_go_back_is_not_sent_again_empty(
    serve: Serve, converse: Converse, source: Sources
) -> None:
    api = serve(needs("t2"))
    with pytest.raises(ApiStatusError, match="cannot be sent again with a new token"):
        converse(api, lambda s: s.post("/x", files={"f": ("name", Pipe())}))
    assert (len(api.asked), source.refusals) == (1, 0)


def test_a_slow_token_blocks_no_other_call_and_occupies_few_threads(
    serve: Serve, converse: Converse
) -> None:
    waiting: list[threading.Thread] = []
    release = threading.Event()

    class Slow(Sources):
        def token(self) -> Token:
            if not release.is_set():
                waiting.append(threading.current_thread())
            release.wait(120)
            return super().token()

    async def talk(session: AsyncOAuthSession) -> int:
        calls = [asyncio.create_task(session.get("/x")) for _ in range(50)]
        while len(waiting) < 4:  # a blocked loop would not come back before the token does
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert len(waiting) == 4
        release.set()
        return len(await asyncio.gather(*calls))

    assert converse(serve(in_turn({})), talk, auth=Slow(), sleep=asyncio.sleep) == 50
    assert threading.current_thread() not in waiting


def test_coroutines_with_the_same_dead_token_need_one_new_token(
    serve: Serve, converse: Converse, source: Sources
) -> None:
    async def talk(session: AsyncOAuthSession) -> list[int]:
        answers = await asyncio.gather(*(session.get("/x") for _ in range(20)))
        return [answer.status_code for answer in answers]

    assert converse(serve(needs("t2")), talk) == [200] * 20
    assert source.number == 2


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_transient_statuses_are_tried_again(
    serve: Serve, converse: Converse, clock: FakeClock, status: int
) -> None:
    api = serve(in_turn(Reply({}, status), {"ok": 1}))
    assert converse(api, lambda s: s.get("/x")).json() == {"ok": 1}
    assert 0 < clock.slept[0] <= 0.5


def test_post_is_tried_again_only_when_declared_safe(serve: Serve, converse: Converse) -> None:
    api = serve(in_turn(Reply({}, 503), {}))
    assert converse(api, lambda s: s.post("/x")).status_code == 503
    api = serve(in_turn(Reply({}, 503), {}))
    safe = RetryPolicy(retry_post=True)
    assert converse(api, lambda s: s.post("/x"), retry=safe).status_code == 200


def test_post_is_tried_again_when_the_server_knows_it_by_its_key(
    serve: Serve, converse: Converse
) -> None:
    api = serve(in_turn(Reply({}, 503), Reply(drop=True), {}))
    key = {"Idempotency-Key": "7"}
    assert converse(api, lambda s: s.post("/x", headers=key)).status_code == 200


def test_retry_after_is_kept_to_and_a_long_one_raised(
    serve: Serve, converse: Converse, clock: FakeClock
) -> None:
    api = serve(in_turn(Reply({}, 429, {"Retry-After": "7"}), {}))
    converse(api, lambda s: s.get("/x"))
    assert clock.slept == [7.0]
    api = serve(in_turn(Reply({}, 429, {"Retry-After": "3600"})))
    with pytest.raises(AsyncStatusError) as caught:
        converse(api, lambda s: s.get("/x"))
    assert (caught.value.retryable, caught.value.retry_after) == (True, 3600.0)


def test_a_dropped_connection_is_tried_again_and_then_named(
    serve: Serve, converse: Converse, clock: FakeClock
) -> None:
    api = serve(in_turn(Reply(drop=True), {"ok": 1}))
    assert converse(api, lambda s: s.get("/x")).json() == {"ok": 1}
    with pytest.raises(AsyncUnreachable, match="could not be reached or broke off") as caught:
        converse(serve(in_turn(Reply(drop=True))), lambda s: s.get("/x?token=s3cret"))
    assert "s3cret" not in str(caught.value)
    assert caught.value.retryable
    assert len(clock.slept) == 5


def test_a_refused_connection_is_tried_again_even_for_post(
    converse: Converse, clock: FakeClock
) -> None:
    with pytest.raises(AsyncUnreachable):
        converse("http://127.0.0.1:9", lambda s: s.post("/x"), retry=RetryPolicy(attempts=3))
    assert len(clock.slept) == 2


def test_a_slow_api_times_out(serve: Serve, converse: Converse) -> None:
    api = serve(lambda _: Reply(silent=True))
    once = RetryPolicy(attempts=1)
    with pytest.raises(AsyncTimedOut, match="did not answer in time"):
        converse(api, lambda s: s.get("/x"), timeout=(60.0, 0.05), retry=once)


def test_an_answer_can_be_streamed(serve: Serve, converse: Converse) -> None:
    async def talk(session: AsyncOAuthSession) -> bytes:
        async with session.stream("GET", "/x") as response:
            assert not response.is_stream_consumed
            return b"".join([part async for part in response.aiter_bytes()])

    api = serve(in_turn(Reply({}, 503), Reply({}, 401), b"data"))
    assert converse(api, talk) == b"data"


def test_raise_for_status_is_both_errors_and_hides_secrets(
    serve: Serve, converse: Converse
) -> None:
    api = serve(in_turn({}, Reply({"msg": "no t1-token here"}, 404)))
    good = converse(api, lambda s: s.get("/x"))
    assert good.raise_for_status() is good
    with pytest.raises(AsyncStatusError, match="HTTP 404") as caught:
        converse(api, lambda s: s.get("/x?api_key=s3cret")).raise_for_status()
    error = caught.value
    assert (error.response.status_code, error.request.method) == (404, "GET")
    assert "s3cret" not in str(error)
    back = pickle.loads(pickle.dumps(error))
    assert (str(back), back.status, back.response) == (str(error), 404, None)
    assert b"Bearer" not in pickle.dumps(error)


@pytest.mark.parametrize("take_away", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_session_cannot_leave_its_process(take_away: Callable[[object], object]) -> None:
    session = AsyncOAuthSession("https://api.example.com/v3")
    with pytest.raises(ResultRefused, match=r"https://api\.example\.com"):
        take_away(session)
    assert repr(session) == "<AsyncOAuthSession for https://api.example.com>"


def test_default_headers_name_the_client_and_ask_for_json(serve: Serve, converse: Converse) -> None:
    api = serve(in_turn({}))
    converse(api, lambda s: s.get("/x"), headers={"X-Mine": "1"})
    sent = api.asked[0].headers
    assert sent["User-Agent"].startswith("oauth-taskflow/")
    assert (sent["Accept"], sent["X-Mine"]) == ("application/json", "1")


def tls_failure() -> httpx.ConnectError:
    error = httpx.ConnectError("no")
    error.__cause__ = ssl.SSLError("bad certificate")
    return error


@pytest.mark.parametrize(
    ("error", "kind", "unsent"),
    [
        (httpx.ConnectTimeout(""), requests.ConnectTimeout, True),
        (httpx.PoolTimeout(""), requests.ConnectTimeout, True),
        (httpx.ReadTimeout(""), requests.ReadTimeout, False),
        (httpx.ConnectError(""), requests.ConnectionError, True),
        (tls_failure(), requests.exceptions.SSLError, False),
        (httpx.ReadError(""), requests.ConnectionError, False),
        (httpx.RemoteProtocolError(""), requests.ConnectionError, False),
        (httpx.ProxyError(""), requests.exceptions.ProxyError, False),
        (httpx.DecodingError(""), requests.RequestException, False),
    ],
)
def test_every_network_failure_has_its_name_in_requests(
    error: httpx.RequestError, kind: type[requests.RequestException], unsent: bool
) -> None:
    view = error_view(error)
    assert isinstance(view, kind)
    assert is_unsent(view) is unsent


def test_certificates_and_proxies_are_taken_as_requests_takes_them(
    serve: Serve, converse: Converse
) -> None:
    assert tls_context(verify=False, cert=None).verify_mode is ssl.CERT_NONE
    assert tls_context(verify=True, cert=None).verify_mode is ssl.CERT_REQUIRED
    folder = ssl.get_default_verify_paths().openssl_capath
    assert tls_context(verify=str(folder), cert=None).verify_mode is ssl.CERT_REQUIRED
    context = tls_context(verify=False, cert=None)
    assert list(proxy_mounts({"https": "http://p:1", "all": ""}, context)) == ["https://"]
    proxy = serve(in_turn({"by": "proxy"}))
    answer = converse("http://api.test", lambda s: s.get("/x"), proxies={"http": proxy.url})
    assert answer.json() == {"by": "proxy"}
    assert proxy.asked[0].target == "http://api.test/x"


def test_two_event_loops_and_threads_share_one_token_source(serve: Serve, source: Sources) -> None:
    api = serve(needs("t2"))

    def run() -> None:
        async def main() -> None:
            async with AsyncOAuthSession(api.url, source) as session:
                await asyncio.gather(*(session.get("/x") for _ in range(5)))

        asyncio.run(main())

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert source.number == 2


def test_a_cancelled_call_leaves_the_session_usable(serve: Serve, converse: Converse) -> None:
    api = serve(lambda asked: Reply({"ok": True}, silent=asked.path == "/slow"))

    async def talk(session: AsyncOAuthSession) -> Any:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(session.get("/slow"), 0.05)
        return (await session.get("/x")).json()

    assert converse(api, talk) == {"ok": True}


@pytest.mark.parametrize(
    ("kind", "ours", "theirs"),
    [
        (AsyncStatusError, ApiStatusError, httpx.HTTPStatusError),
        (AsyncUnreachable, ApiUnreachable, httpx.TransportError),
        (AsyncTimedOut, ApiTimeout, httpx.TimeoutException),
    ],
)
def test_the_errors_are_ours_and_those_of_httpx(
    kind: type[Exception], ours: type[Exception], theirs: type[Exception]
) -> None:
    assert issubclass(kind, ours)
    assert issubclass(kind, theirs)


def test_an_answer_that_cannot_be_decoded_is_our_error_and_tried_again(
    serve: Serve, converse: Converse
) -> None:
    api = serve(in_turn(Reply(b"no gzip", headers={"Content-Encoding": "gzip"})))
    with pytest.raises(ApiRequestFailed, match="not in its Content-Encoding") as caught:
        converse(api, lambda s: s.get("/x"))
    assert isinstance(caught.value, httpx.DecodingError)
    assert (len(api.asked), caught.value.retryable) == (5, True)
