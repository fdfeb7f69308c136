"""``OAuthSession`` and its async twin: one behaviour each, shown for both, where plain libraries differ or leak."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pprint import pformat
from typing import Any

import pytest
import requests

from oauth_taskflow.api.auth import ApiKeyAuth, BasicAuth, Credentials, OAuth2Auth
from oauth_taskflow.api.errors import ApiCallFailed, ApiNotJson, ApiTimeout, ApiUnreachable
from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.errors import (
    ApiError,
    ApiRequestFailed,
    ConnectionConfigError,
    ForeignOriginRefused,
)
from oauth_taskflow.oauth.token import Token
from tests.api.aio.twins import Asking, Twin, log_text_of, twin
from tests.api.conftest import Connect, Converse, Serve
from tests.api.scripted import Asked, FakeClock, Reply, Route, Sources
from tests.api.test_session import in_turn, needs
from tests.support.auth import bearer_auth

__all__ = ["twin"]  # a fixture

SECRET = "hush-9f27c1"
ONCE = RetryPolicy(attempts=1)
KEY = ApiKeyAuth("k", SECRET, placement="query")
MONTH = 31 * 86400


def strict(answer: Any) -> None:
    """The hook that the manuals of both libraries recommend."""
    answer.raise_for_status()


@pytest.mark.parametrize("status", [401, 503])
def test_a_hook_that_raises_for_errors_does_not_prevent_other_attempts(
    serve: Serve, twin: Twin, status: int
) -> None:
    api = serve(in_turn(Reply({}, status), {"ok": True}))
    assert twin(api, Asking(hook=strict)).status == 200
    assert len(api.asked) == 2


def test_a_hook_that_raises_for_errors_raises_ours(serve: Serve, twin: Twin) -> None:
    api = serve(in_turn(Reply({}, 404)))
    with pytest.raises(ApiRequestFailed) as caught:
        twin(api, Asking(hook=strict), auth=KEY)
    assert caught.value.status == 404
    assert SECRET not in log_text_of(caught.value)


def test_hooks_see_redirects_and_the_final_response(serve: Serve, twin: Twin) -> None:
    seen: list[int] = []
    away = Reply({}, 302, {"Location": "/y"})
    api = serve(in_turn(Reply({}, 401), Reply({}, 503), away, {"ok": True}))
    twin(api, Asking(hook=lambda answer: seen.append(answer.status_code)))
    assert (len(api.asked), seen) == (4, [302, 200])


@pytest.mark.parametrize(
    ("method", "status", "then"),
    [
        ("POST", 301, "GET"),
        ("PUT", 301, "PUT"),
        ("DELETE", 301, "DELETE"),
        ("PUT", 302, "GET"),
        ("PATCH", 303, "GET"),
        ("PATCH", 307, "PATCH"),
        ("POST", 308, "POST"),
    ],
)
def test_a_redirect_drops_the_body_only_where_it_changes_the_method(
    serve: Serve, twin: Twin, method: str, status: int, then: str
) -> None:
    api = serve(in_turn(Reply({}, status, {"Location": "/y"}), {"ok": True}))
    assert twin(api, Asking(method, body=b"payload")).hops == [status]
    kept = b"payload" if then == method else b""
    assert (api.asked[1].method, api.asked[1].body) == (then, kept)


@pytest.mark.parametrize(
    "target",
    ["http://[bad", "http://127.0.0.1:99999/x", "ftp://h/x", "javascript:alert(1)", "https:evil"],
)
def test_a_redirect_to_an_invalid_address_is_refused(serve: Serve, twin: Twin, target: str) -> None:
    api = serve(in_turn(Reply({}, 302, {"Location": target})))
    with pytest.raises(ForeignOriginRefused):
        twin(api, Asking())
    assert len(api.asked) == 1


def test_a_redirect_without_a_target_is_the_answer(serve: Serve, twin: Twin) -> None:
    assert twin(serve(in_turn(Reply({}, 302, {"Location": ""}))), Asking()).status == 302


def test_as_many_redirects_are_followed_as_the_session_says(serve: Serve, twin: Twin) -> None:
    api = serve(in_turn(Reply({}, 302, {"Location": "/again"})))
    with pytest.raises(ApiRequestFailed, match="redirects without end") as caught:
        twin(api, Asking(prepare=lambda session: setattr(session, "max_redirects", 2)))
    assert isinstance(caught.value, twin.library.TooManyRedirects)
    assert len(api.asked) == 3


def test_credentials_of_one_call_are_not_sent_where_a_download_leads(
    serve: Serve, twin: Twin
) -> None:
    away = serve(in_turn({}))
    api = serve(in_turn(Reply({}, 302, {"Location": f"{away.url}/file"})))
    twin(api, Asking(auth=("user", SECRET)), foreign_redirects="bare")
    assert api.tokens()[0].startswith("Basic ")
    assert away.tokens() == [""]


def test_credentials_set_on_the_session_replace_its_own(serve: Serve, twin: Twin) -> None:
    api = serve(in_turn({}))
    twin(api, Asking(prepare=lambda session: setattr(session, "auth", ("user", "pass"))))
    assert api.tokens() == ["Basic dXNlcjpwYXNz"]


@pytest.mark.parametrize("auth", [bearer_auth(SECRET), KEY], ids=["header", "query"])
@pytest.mark.parametrize("take_away", [pickle.dumps, copy.copy, copy.deepcopy])
def test_an_answer_that_leaves_its_process_leaves_the_credentials_there(
    serve: Serve, twin: Twin, auth: Credentials, take_away: Callable[[object], object]
) -> None:
    answers: list[Any] = []
    api = serve(in_turn(Reply({}, 302, {"Location": "/y?page=2"}), {"ok": True}))
    twin(api, Asking(hook=answers.append), auth=auth)
    answer = answers[-1]
    assert SECRET in f"{dict(answer.request.headers)} {answer.url}"
    taken: Any = take_away(answer)
    gone = pickle.loads(taken) if isinstance(taken, bytes) else taken
    assert SECRET not in f"{pickle.dumps(gone)!r} {gone.url} {gone.request.headers}"
    assert (gone.request.method, gone.json(), len(gone.history)) == ("GET", {"ok": True}, 1)
    assert str(gone.url).startswith(f"{api.url}/y?page=2")


@pytest.mark.parametrize("auth", [bearer_auth(SECRET), KEY], ids=["header", "query"])
def test_a_request_shows_its_credentials_where_they_are_sent_and_nowhere_else(
    serve: Serve, twin: Twin, auth: Credentials
) -> None:
    answers: list[Any] = []
    twin(serve(in_turn({})), Asking(hook=answers.append), auth=auth)
    inside = vars(answers[0].request)
    assert SECRET in f"{dict(inside['headers'])} {inside['url']}"
    others = {name: value for name, value in inside.items() if name not in {"headers", "url"}}
    assert SECRET not in pformat(others)


def dropped(_: Asked) -> Reply:
    return Reply(drop=True)


def silent(_: Asked) -> Reply:
    return Reply(silent=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "route",
    [
        dropped,
        silent,
        in_turn(Reply({"echo": f"no such key: {SECRET}"}, 403)),
        in_turn(Reply(b"<html>", headers={"Content-Type": "text/html"})),
        in_turn(Reply(b"no gzip", headers={"Content-Encoding": "gzip"})),
        in_turn(Reply({}, 302, {"Location": f"https://evil.test/?k={SECRET}"})),
        in_turn(Reply({}, 302, {"Location": f"/x?k={SECRET}"})),
        in_turn(Reply({}, 429, {"Retry-After": "9000"})),
    ],
)
@pytest.mark.parametrize("auth", [KEY, ApiKeyAuth("X-Odd", SECRET), BasicAuth("me", SECRET)])
def test_no_failure_shows_the_key(
    serve: Serve, twin: Twin, route: Route, auth: Credentials, caplog: pytest.LogCaptureFixture
) -> None:
    api = serve(route)
    asking = Asking(as_json=True, hook=strict)
    with caplog.at_level("INFO", "oauth_taskflow"), pytest.raises(ApiError) as caught:
        twin(api, asking, auth=auth, timeout=(1.0, 0.1), retry=RetryPolicy(attempts=2))
    assert SECRET not in log_text_of(caught.value) + caplog.text


def test_no_refused_connection_shows_the_key(twin: Twin) -> None:
    with pytest.raises(ApiUnreachable, match=r"refused|Connect call failed") as caught:
        twin("http://127.0.0.1:9", Asking(), auth=KEY, retry=ONCE)
    assert SECRET not in log_text_of(caught.value)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


class Odd(Sources):
    """Hands out a token that came with more than a token."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def token(self) -> Token:
        return Token(self._token, obtained_at=0.0)


@pytest.mark.parametrize("end", ["\n", "\r\nX-Injected: 1", "\x00", "€"])
@pytest.mark.parametrize(
    "credentials",
    [bearer_auth, lambda text: ApiKeyAuth("X-Key", text), lambda text: OAuth2Auth(Odd(text))],
)
def test_a_secret_that_no_header_can_carry_is_named_and_not_shown(
    serve: Serve, twin: Twin, credentials: Callable[[str], Credentials], end: str
) -> None:
    api = serve(in_turn({}))
    with pytest.raises(ApiRequestFailed, match="The credentials cannot be sent") as caught:
        twin(api, Asking(), auth=credentials(f"{SECRET}{end}"))
    assert not caught.value.retryable
    assert SECRET not in log_text_of(caught.value)
    assert api.asked == []


def test_a_header_may_hold_latin_1(serve: Serve, twin: Twin) -> None:
    api = serve(in_turn({}))
    twin(api, Asking(), auth=ApiKeyAuth("X-Key", "schlüssel"))
    assert api.asked[0].headers["X-Key"] == "schlüssel"


def test_the_error_of_a_broken_stream_is_ours_and_the_librarys(serve: Serve, twin: Twin) -> None:
    api = serve(in_turn(Reply(b"12345678", cut=5)))
    with pytest.raises(ApiUnreachable) as caught:
        twin(api, Asking(stream=True), auth=KEY)
    names = ("ChunkedEncodingError", "RemoteProtocolError")
    assert any(cls.__name__ in names for cls in type(caught.value).__mro__)
    assert caught.value.retryable
    assert SECRET not in log_text_of(caught.value)


def test_the_error_of_a_stream_in_a_false_encoding_is_ours(serve: Serve, twin: Twin) -> None:
    api = serve(in_turn(Reply(b"no gzip", headers={"Content-Encoding": "gzip"})))
    with pytest.raises(ApiCallFailed) as caught:
        twin(api, Asking(stream=True))
    assert caught.value.retryable


def test_a_time_out_is_what_the_library_raises_and_pickles(serve: Serve, twin: Twin) -> None:
    with pytest.raises(twin.library.ReadTimeout) as caught:
        twin(serve(silent), Asking(), timeout=(60.0, 0.05), retry=ONCE)
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, ApiTimeout)
    assert str(again) == str(caught.value)


def test_a_page_where_json_is_expected_is_a_decode_error(serve: Serve, twin: Twin) -> None:
    page = f"<html>{SECRET}".encode()
    api = serve(in_turn(Reply(page, headers={"Content-Type": "text/html"})))
    with pytest.raises(ApiNotJson, match="not JSON but text/html") as caught:
        twin(api, Asking(as_json=True))
    assert isinstance(caught.value, requests.JSONDecodeError)
    assert isinstance(caught.value, json.JSONDecodeError)
    assert SECRET not in str(vars(caught.value))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize("wait", ["9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT", "999999999999"])
def test_a_wait_for_ever_is_a_month(serve: Serve, twin: Twin, wait: str, clock: FakeClock) -> None:
    api = serve(in_turn(Reply({}, 429, {"Retry-After": wait})))
    with pytest.raises(ApiRequestFailed) as caught:
        twin(api, Asking())
    assert (caught.value.retry_after, clock.slept) == (MONTH, [])


@pytest.mark.parametrize("wait", ["-5", "soon", "inf", "nan", "1e3", "120, 130", ""])
def test_without_a_usable_wait_the_session_backs_off(
    serve: Serve, twin: Twin, wait: str, clock: FakeClock
) -> None:
    api = serve(in_turn(Reply({}, 503, {"Retry-After": wait}), {}))
    assert twin(api, Asking()).status == 200
    assert 0.25 <= clock.slept[0] <= 0.5


def test_requests_are_prepared_below_the_base_url(serve: Serve, connect: Connect) -> None:
    api = serve(in_turn({}))
    session = connect(f"{api.url}/v3")
    asked = requests.Request("GET", "/x", params={"a": 1})
    assert session.send(session.prepare_request(asked)).status_code == 200
    assert (api.paths, api.tokens(), asked.url) == (["/v3/x?a=1"], ["Bearer t1"], "/x")


def test_a_refused_streamed_answer_gives_its_connection_back(
    serve: Serve, connect: Connect
) -> None:
    session = connect(serve(needs("t2")))
    alone = requests.adapters.HTTPAdapter(pool_maxsize=1, pool_block=True)
    session.mount("http://", alone)
    with session.get("/x", stream=True) as answer:
        assert answer.json() == {"ok": True}


def test_a_hook_of_one_call_may_replace_the_answer(serve: Serve, connect: Connect) -> None:
    other = requests.Response()
    session = connect(serve(in_turn({})))
    session.hooks["response"].append(lambda *_, **__: pytest.fail("requests leaves these out"))
    assert session.get("/x", hooks={"response": lambda *_, **__: other}) is other


def test_a_next_request_is_known_where_redirects_are_not_followed(
    serve: Serve, connect: Connect
) -> None:
    session = connect(serve(in_turn(Reply({}, 302, {"Location": "/y"}))))
    answer = session.get("/x", allow_redirects=False)
    assert answer.next is not None
    assert str(answer.next.url).endswith("/y")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("verify", f"/no/{SECRET}.pem"),
        ("cert", f"/no/{SECRET}.pem"),
        ("cert", (__file__, f"/no/{SECRET}.pem")),
    ],
)
def test_a_missing_certificate_file_is_named_by_its_field_before_any_call(
    twin: Twin, field: str, value: Any
) -> None:
    with pytest.raises(ConnectionConfigError) as caught:
        twin("https://127.0.0.1:1", Asking(), conn_id="crm", **{field: value})
    assert caught.value.field == field
    assert SECRET not in log_text_of(caught.value)
    if not isinstance(value, tuple):
        assert str(caught.value) == (
            f"A certificate file cannot be used: No such file or directory in connection 'crm', field '{field}'. "
            "It must be on every worker, readable for Airflow, and PEM."
        )


def test_a_proxy_without_a_scheme_is_an_http_one(serve: Serve, twin: Twin) -> None:
    proxy = serve(in_turn({"by": "proxy"}))
    place = proxy.url.removeprefix("http://")
    assert twin("http://api.test", Asking(), proxies={"http": place}).status == 200
    assert proxy.asked[0].target == "http://api.test/x"


@pytest.mark.parametrize("proxy", [f"ftp://me:{SECRET}@p:1", f"http://me:{SECRET}@p:port"])
def test_an_invalid_async_proxy_is_named_by_its_field(converse: Converse, proxy: str) -> None:
    with pytest.raises(ConnectionConfigError) as caught:
        converse("http://api.test", lambda s: s.get("/x"), conn_id="crm", proxies={"http": proxy})
    assert caught.value.field == "proxies"
    assert SECRET not in log_text_of(caught.value)
