"""The session: base URL, credentials, tries, refreshes, refusals."""

from __future__ import annotations

import copy
import io
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter

from oauth_taskflow.api.errors import ApiStatusError, ApiTimeout, ApiUnreachable
from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.errors import (
    ApiRequestFailed,
    ConnectionConfigError,
    ForeignOriginRefused,
    ResultRefused,
)
from tests.api.conftest import Connect, Serve
from tests.api.scripted import Asked, FakeClock, Reply, Route, Sources


def in_turn(*replies: object) -> Route:
    """Answers one after the other; the last for ever."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def needs(token: str) -> Route:
    """An API that takes one token only."""

    def route(asked: Asked) -> Reply:
        good = asked.headers.get("Authorization") == f"Bearer {token}"
        return Reply({"ok": True}) if good else Reply({"error": "expired"}, 401)

    return route


@pytest.mark.parametrize("url", ["contacts", "/contacts"])
def test_relative_urls_are_below_the_base_path(serve: Serve, connect: Connect, url: str) -> None:
    api = serve(in_turn({}))
    connect(f"{api.url}/api/v3/").get(url, params={"a": 1})
    assert api.paths == ["/api/v3/contacts?a=1"]


@pytest.mark.parametrize(
    ("url", "target"), [("", "/v3"), ("?a=1", "/v3?a=1"), ("x?u=http://y", "/v3/x?u=http://y")]
)
def test_odd_relative_urls_stay_on_the_base(
    serve: Serve, connect: Connect, url: str, target: str
) -> None:
    api = serve(in_turn({}))
    connect(f"{api.url}/v3").get(url)
    assert api.paths == [target]


def test_whole_urls_of_allowed_origins_are_called_with_the_token(
    serve: Serve, connect: Connect
) -> None:
    base, other = serve(in_turn({})), serve(in_turn({}))
    session = connect(base, allowed_origins=[other.url])
    session.get(f"{base.url}/a")
    session.get(f"{other.url}/b")
    assert base.tokens() == other.tokens() == ["Bearer t1"]


@pytest.mark.parametrize("form", ["{url}/x", "//{host}/x", "{url}/x?next=http://127.0.0.1"])
def test_foreign_urls_are_refused_before_anything_is_sent(
    serve: Serve, connect: Connect, form: str
) -> None:
    base, foreign = serve(in_turn({})), serve(in_turn({}))
    url = form.format(url=foreign.url, host=foreign.url.removeprefix("http://"))
    with pytest.raises(ForeignOriginRefused, match="list it in the connection's allowed_origins"):
        connect(base).get(url)
    assert foreign.asked == base.asked == []


def test_a_prepared_request_to_a_foreign_origin_is_refused(serve: Serve, connect: Connect) -> None:
    base, foreign = serve(in_turn({})), serve(in_turn({}))
    prepared = requests.Request("GET", foreign.url).prepare()
    with pytest.raises(ForeignOriginRefused):
        connect(base).send(prepared)
    assert foreign.asked == []


def test_base_urls_that_are_none_are_refused() -> None:
    with pytest.raises(ConnectionConfigError) as caught:
        OAuthSession("api.example.com", conn_id="crm")
    assert str(caught.value) == (
        "The base URL or an allowed origin is unusable: not an absolute http or https URL in connection 'crm', "
        "field 'host'. Give it as https://host[:port][/path]."
    )


def test_a_401_refreshes_once_and_replays_method_and_body(
    serve: Serve, connect: Connect, source: Sources
) -> None:
    api = serve(needs("t2"))
    response = connect(api).post("/x", json={"a": 1})
    assert response.json() == {"ok": True}
    assert [(asked.method, asked.json) for asked in api.asked] == [("POST", {"a": 1})] * 2
    assert (api.tokens(), source.refusals) == (["Bearer t1", "Bearer t2"], 1)


def test_a_session_without_credentials_sends_none(serve: Serve, connect: Connect) -> None:
    api = serve(in_turn({}))
    connect(api, auth=None).get("/x")
    assert api.tokens() == [""]


def test_a_second_401_is_returned_and_asks_for_no_third_token(
    serve: Serve, connect: Connect, source: Sources
) -> None:
    api = serve(needs("never"))
    response = connect(api).get("/x")
    assert (response.status_code, len(api.asked), source.refusals) == (401, 2, 1)
    with pytest.raises(ApiStatusError) as caught:
        response.raise_for_status()
    assert str(caught.value) == (
        f'The API answered HTTP 401 Unauthorized: {{"error": "expired"}} at GET {api.url}/x. The API refuses the '
        "token. Check that it is one for this API: by the connection's scope and audience, if its grant has them."
    )


def test_a_seekable_body_is_rewound_for_the_replay(serve: Serve, connect: Connect) -> None:
    api = serve(needs("t2"))
    file = io.BytesIO(b"skipped:payload")
    file.seek(8)
    connect(api).put("/x", data=file)
    assert [asked.body for asked in api.asked] == [b"payload", b"payload"]


def test_a_generator_body_cannot_be_replayed_and_the_error_says_so(
    serve: Serve, connect: Connect, source: Sources
) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"abc"

    api = serve(needs("t2"))
    with pytest.raises(ApiStatusError, match="cannot be sent again with a new token") as caught:
        connect(api).post("/x", data=chunks())
    assert (caught.value.status, source.refusals, len(api.asked)) == (401, 0, 1)


def test_ten_threads_with_the_same_dead_token_need_one_new_token(
    serve: Serve, connect: Connect, source: Sources
) -> None:
    session = connect(serve(needs("t2")))
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(session.get("/x").status_code))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (statuses, source.number) == ([200] * 10, 2)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_transient_statuses_are_tried_again(
    serve: Serve, connect: Connect, clock: FakeClock, status: int
) -> None:
    api = serve(in_turn(Reply({}, status), Reply({}, status), {"ok": 1}))
    assert connect(api).get("/x").json() == {"ok": 1}
    assert [0.25 <= clock.slept[0] <= 0.5, 0.5 <= clock.slept[1] <= 1.0] == [True, True]


def test_a_persistent_error_status_comes_back_as_the_last_response(
    serve: Serve, connect: Connect
) -> None:
    api = serve(in_turn(Reply({}, 503, {"Retry-After": "2.5"})))
    response = connect(api, retry=RetryPolicy(attempts=3)).get("/x")
    assert (response.status_code, len(api.asked)) == (503, 3)
    with pytest.raises(requests.HTTPError) as caught:
        response.raise_for_status()
    error = caught.value
    assert isinstance(error, ApiRequestFailed)
    assert (error.retryable, error.retry_after, error.response) == (True, 2.5, response)


@pytest.mark.parametrize("status", [403, 404])
def test_permanent_statuses_are_not_tried_again(
    serve: Serve, connect: Connect, source: Sources, status: int
) -> None:
    api = serve(in_turn(Reply({}, status)))
    with pytest.raises(ApiStatusError) as caught:
        connect(api).get("/x").raise_for_status()
    assert (len(api.asked), caught.value.retryable, caught.value.status) == (1, False, status)
    assert source.refusals == 0


@pytest.mark.parametrize(("retry_post", "tries"), [(False, 1), (True, 2)])
def test_post_is_tried_again_only_when_declared_safe(
    serve: Serve, connect: Connect, retry_post: bool, tries: int
) -> None:
    api = serve(in_turn(Reply({}, 503), {}))
    connect(api, retry=RetryPolicy(retry_post=retry_post)).post("/x", json={})
    assert len(api.asked) == tries


@pytest.mark.parametrize("busy", [Reply({}, 503), Reply(drop=True)])
def test_post_is_tried_again_when_the_server_knows_it_by_its_key(
    serve: Serve, connect: Connect, busy: Reply
) -> None:
    api = serve(in_turn(busy, {}))
    session = connect(api)
    assert session.post("/x", headers={"idempotency-key": "7"}).status_code == 200
    assert [asked.headers["Idempotency-Key"] for asked in api.asked] == ["7", "7"]


@pytest.mark.parametrize("status", [429, 503, 403])
def test_retry_after_is_kept_to(
    serve: Serve, connect: Connect, clock: FakeClock, status: int
) -> None:
    api = serve(in_turn(Reply({}, status, {"Retry-After": "7"}), {}))
    connect(api).get("/x")
    assert clock.slept == [7.0]


def test_a_retry_after_of_zero_does_not_hammer(
    serve: Serve, connect: Connect, clock: FakeClock
) -> None:
    api = serve(in_turn(Reply({}, 429, {"Retry-After": "0"}), {}))
    connect(api).get("/x")
    assert clock.slept[0] >= 0.25


def test_a_long_retry_after_is_raised_instead_of_slept(
    serve: Serve, connect: Connect, clock: FakeClock
) -> None:
    api = serve(in_turn(Reply({}, 429, {"Retry-After": "3600"})))
    with pytest.raises(ApiRequestFailed, match="asks to wait 3600 s") as caught:
        connect(api).get("/x")
    assert (caught.value.retryable, caught.value.retry_after, clock.slept) == (True, 3600.0, [])


def test_a_dropped_connection_is_tried_again_and_then_named(serve: Serve, connect: Connect) -> None:
    api = serve(in_turn(Reply(drop=True)))
    with pytest.raises(ApiUnreachable) as caught:
        connect(api, retry=RetryPolicy(attempts=2)).get("/x?api_key=hush")
    assert isinstance(caught.value, requests.ConnectionError)
    assert str(caught.value) == (
        "The API could not be reached or broke off: the server closed the connection without an answer at GET "
        f"{api.url}/x?api_key=*** (tried 2 times). Run the task again; if it lasts, look at proxies in between and at the API's status page."
    )
    assert (len(api.asked), caught.value.retryable, caught.value.status) == (2, True, None)


def test_an_answer_cut_short_is_tried_again(serve: Serve, connect: Connect) -> None:
    api = serve(in_turn(Reply({"a": 1}, cut=5), {"a": 2}))
    assert connect(api).get("/x").json() == {"a": 2}


def test_a_refused_connection_is_tried_again_even_for_post(
    connect: Connect, clock: FakeClock
) -> None:
    session = connect("http://127.0.0.1:9", retry=RetryPolicy(attempts=3))
    with pytest.raises(ApiUnreachable, match="Connection refused"):
        session.post("/x")
    assert len(clock.slept) == 2


def test_a_slow_api_times_out_by_default(serve: Serve, connect: Connect) -> None:
    api = serve(lambda _: Reply(silent=True))
    session = connect(api, timeout=(1, 0.05), retry=RetryPolicy(attempts=1))
    with pytest.raises(ApiTimeout, match="did not answer in time") as caught:
        session.get("/x")
    assert isinstance(caught.value, requests.Timeout)


def test_a_failed_token_request_raises_the_error_of_the_source(connect: Connect) -> None:
    class Broken(Sources):
        def token(self) -> None:  # type: ignore[override]  # it only raises
            raise ApiRequestFailed("no token", where="here")

    with pytest.raises(ApiRequestFailed, match="no token"):
        connect("http://127.0.0.1:9", auth=Broken()).get("/x")


def test_each_retry_carries_the_token_that_is_current_then(
    serve: Serve, connect: Connect, source: Sources
) -> None:
    def route(asked: Asked) -> Reply:
        source.number += 1
        return Reply({}, 503 if len(api.asked) == 1 else 200)

    api = serve(route)
    connect(api).get("/x")
    assert api.tokens() == ["Bearer t1", "Bearer t2"]


def test_netrc_never_replaces_the_token(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w") as file:  # noqa: PTH123 - tmp_path is a plain text here
        file.write("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", netrc)
    api = serve(in_turn({}))
    connect(api).get("/x")
    assert api.tokens() == ["Bearer t1"]


def test_repr_shows_the_origin_alone(connect: Connect) -> None:
    assert repr(connect("http://127.0.0.1:80/secret/path")) == "<OAuthSession for http://127.0.0.1>"


@pytest.mark.parametrize("take_away", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_session_cannot_leave_its_process(connect: Connect, take_away: object) -> None:
    session = connect("http://127.0.0.1:1")
    with pytest.raises(ResultRefused, match="Return the data you read with it instead"):
        take_away(session)  # type: ignore[operator]  # three callables of different types


def test_errors_pickle_without_the_token(serve: Serve, connect: Connect) -> None:
    api = serve(in_turn(Reply({}, 404)))
    with pytest.raises(ApiStatusError) as caught:
        connect(api).get("/x").raise_for_status()
    pickled = pickle.dumps(caught.value)
    again = pickle.loads(pickled)
    assert b"Bearer" not in pickled
    assert (str(again), again.status, again.response) == (str(caught.value), 404, None)


def test_default_headers_name_the_client_and_ask_for_json(serve: Serve, connect: Connect) -> None:
    api = serve(in_turn({}))
    connect(api, headers={"X-Tenant": "a"}).get("/x")
    headers = api.asked[0].headers
    assert headers["User-Agent"].startswith("oauth-taskflow/")
    assert (headers["Accept"], headers["X-Tenant"]) == ("application/json", "a")


def test_repr_of_the_auth_shows_nothing(connect: Connect) -> None:
    assert repr(connect("http://127.0.0.1:1").auth) == "OAuth2Auth('Authorization')"


class Fixed(BaseAdapter):
    """Answers everything with one response."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__()
        self.response = response

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        self.response.request = request
        self.response.raw = io.BytesIO()
        return self.response

    def close(self) -> None:
        return


def test_answers_of_other_response_classes_are_left_as_they_are(connect: Connect) -> None:
    class Special(requests.Response):
        pass

    session = connect("http://127.0.0.1:1")
    special = Special()
    special.status_code, special.url = 200, session.base_url
    special._content = b""
    session.mount("http://127.0.0.1:1", Fixed(special))
    assert session.get("/x") is special


def test_an_unprepared_session_request_carries_no_token(serve: Serve, connect: Connect) -> None:
    api = serve(in_turn({}))
    connect(api).send(requests.Request("GET", f"{api.url}/x").prepare())
    assert api.tokens() == [""]
