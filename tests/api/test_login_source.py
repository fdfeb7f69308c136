"""Logging in for a token."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from typing import Any

import pytest

from oauth_taskflow.api.login_source import Login, LoginTokenSource
from oauth_taskflow.errors import (
    InvalidTokenResponse,
    TokenEndpointUnavailable,
    TokenRequestRejected,
)
from tests.api.conftest import Connect, Serve
from tests.api.scripted import Asked, FakeClock, Reply, ScriptedApi

FIELDS = {"username": "ann", "password": "hush-hush"}


def numbered(**more: Any) -> Any:
    count = iter(range(1, 100))
    return lambda _: {"access_token": f"t{next(count)}", **more}


def source(api: ScriptedApi, clock: FakeClock, **options: Any) -> LoginTokenSource:
    return LoginTokenSource(Login(f"{api.url}/auth/token", FIELDS, **options), clock=clock)


def jwt(claims: object) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"head.{middle}.sig"


def test_the_fields_travel_as_json_or_form(serve: Serve, clock: FakeClock) -> None:
    api = serve(numbered())
    source(api, clock).token()
    source(api, clock, body="form", headers={"X-App": "a"}).token()
    assert [asked.body for asked in api.asked] == [
        b'{"username": "ann", "password": "hush-hush"}',
        b"username=ann&password=hush-hush",
    ]
    assert (api.asked[1].headers["X-App"], api.tokens()) == ("a", ["", ""])


def test_one_login_serves_until_shortly_before_the_end_of_its_lifetime(
    serve: Serve, clock: FakeClock
) -> None:
    login = source(serve(numbered(expires_in="1000")), clock)
    assert [login.token().access_token, login.token().access_token] == ["t1", "t1"]
    clock.sleep(939)
    assert login.token().access_token == "t1"
    clock.sleep(2)
    assert login.token().access_token == "t2"


@pytest.mark.parametrize(
    ("answer", "options", "lifetime"),
    [
        ({}, {}, None),
        ({"expires_in": 60}, {"lifetime": 5.0}, 5.0),
        ({"session": {"ttl": 90}}, {"expires_path": "session.ttl"}, 90.0),
        (
            {"until": "2100-01-01T00:00:00.000Z"},
            {"expires_path": "until"},
            4102444800.0 - FakeClock().now(),
        ),
        ({"expires_in": 0}, {}, None),
    ],
)
def test_the_lifetime_is_read_from_these_places(
    serve: Serve, clock: FakeClock, answer: Any, options: Any, lifetime: float | None
) -> None:
    token = source(serve(lambda _: {"access_token": "t", **answer}), clock, **options).token()
    assert token.expires_at == (None if lifetime is None else clock.now() + lifetime)


def test_a_jwt_names_its_own_end(serve: Serve, clock: FakeClock) -> None:
    api = serve(lambda _: {"data": {"jwt": jwt({"exp": 1_900_000_000})}})
    assert source(api, clock, token_path="data.jwt").token().expires_at == 1_900_000_000.0


@pytest.mark.parametrize(
    "token", ["opaque", "a.b.c", "a.%.c", jwt([]), jwt({"exp": True}), jwt({})]
)
def test_tokens_without_a_readable_end_have_none(
    serve: Serve, clock: FakeClock, token: str
) -> None:
    assert source(serve(lambda _: {"access_token": token}), clock).token().expires_at is None


def test_a_refused_token_causes_one_login_for_all_threads(serve: Serve, connect: Connect) -> None:
    def route(asked: Asked) -> Any:
        if asked.path == "/auth/token":
            return logins(asked)
        return Reply({}, 200 if asked.headers["Authorization"] == "Bearer t2" else 401)

    logins = numbered()
    api = serve(route)
    session = connect(api, auth=source(api, FakeClock()))
    session.get("/x")
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(session.get("/x").status_code))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (statuses, len([path for path in api.paths if path == "/auth/token"])) == ([200] * 8, 2)


def test_refused_credentials_are_named_and_not_tried_again_for_a_minute(
    serve: Serve, clock: FakeClock
) -> None:
    api = serve(lambda _: Reply({"detail": "no hush-hush for you"}, 401))
    login = source(api, clock)
    for _ in range(3):
        with pytest.raises(TokenRequestRejected) as caught:
            login.token()
    assert str(caught.value) == (
        'Token request refused (login_refused, HTTP 401): {"detail": "no *** for you"} '
        f"at {api.url}/auth/token. Check the login URL and the login fields of the connection."
    )
    assert len(api.asked) == 1
    clock.sleep(61)
    with pytest.raises(TokenRequestRejected):
        login.token()
    assert len(api.asked) == 2


def test_a_login_answer_that_inflates_is_given_up(serve: Serve, clock: FakeClock) -> None:
    body = gzip.compress(b'{"access_token": "' + b"t" * (2 << 20) + b'"}')
    api = serve(lambda _: Reply(body, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(InvalidTokenResponse, match="larger than 1 MiB"):
        source(api, clock).token()
    assert len(api.asked) == 1


def test_a_login_answer_that_broke_is_asked_for_again(serve: Serve, clock: FakeClock) -> None:
    whole = gzip.compress(b'{"access_token": "t"}')
    replies = [Reply(body, headers={"Content-Encoding": "gzip"}) for body in (whole[:-9], whole)]
    assert source(serve(lambda _: replies.pop(0)), clock).token().access_token == "t"


@pytest.mark.parametrize("broken", [b"", b" ", b'{"access_token": "secret-val', b'{"a": [1]'])
def test_a_login_answer_without_its_end_is_asked_for_again(
    serve: Serve, clock: FakeClock, broken: bytes
) -> None:
    """A proxy that cuts a body announces its shortened length."""
    replies = [Reply(broken, 201), {"access_token": "t"}]
    assert source(serve(lambda _: replies.pop(0)), clock).token().access_token == "t"
    with pytest.raises(TokenEndpointUnavailable, match="The login answer breaks off") as caught:
        source(serve(lambda _: Reply(broken)), clock).token()
    assert caught.value.retryable
    assert "secret-val" not in str(caught.value)


def test_transient_failures_are_tried_again(serve: Serve, clock: FakeClock) -> None:
    replies = [Reply(drop=True), Reply({}, 503, {"Retry-After": "4"}), {"access_token": "t"}]
    login = source(serve(lambda _: replies.pop(0)), clock)
    assert login.token().access_token == "t"
    assert clock.slept[1] == 4.0


def test_a_server_that_stays_down_is_a_retryable_error(serve: Serve, clock: FakeClock) -> None:
    down = source(serve(lambda _: Reply({}, 500)), clock)
    with pytest.raises(TokenEndpointUnavailable, match="Login answered HTTP 500") as caught:
        down.token()
    assert caught.value.retryable
    gone = LoginTokenSource(Login("http://127.0.0.1:9/login", FIELDS), clock=clock)
    with pytest.raises(TokenEndpointUnavailable, match=r"Login failed: .*Connection refused"):
        gone.token()


def stale(answer: Reply, serve: Serve, clock: FakeClock) -> tuple[LoginTokenSource, ScriptedApi]:
    """A source whose token ends in 55 seconds, and its server, which gives ``answer`` from the second login on."""
    api = serve(lambda _: answer if len(api.asked) > 1 else {"access_token": "t1"})
    login = source(api, clock, lifetime=3600.0)
    login.token()
    clock.sleep(3545.0)
    return login, api


@pytest.mark.parametrize("answer", [Reply({}, 503), Reply(drop=True), Reply(b"", 200)])
def test_a_token_is_used_to_its_end_while_the_login_server_is_away(
    serve: Serve, clock: FakeClock, caplog: pytest.LogCaptureFixture, answer: Reply
) -> None:
    login, api = stale(answer, serve, clock)
    assert [login.token().access_token for _ in range(5)] == ["t1"] * 5
    assert len(api.asked) == 1 + 3  # one login, of three attempts
    assert "the current token is used until it expires: " in caplog.text
    assert "hush-hush" not in caplog.text
    clock.sleep(6.0)
    assert login.token().access_token == "t1"
    assert len(api.asked) == 1 + 6
    with pytest.raises(TokenEndpointUnavailable):
        login.replace_refused("t1")
    clock.sleep(60.0)
    with pytest.raises(TokenEndpointUnavailable):
        login.token()


def test_a_stale_token_is_replaced_once_the_login_server_is_back(
    serve: Serve, clock: FakeClock
) -> None:
    login, api = stale(Reply({}, 429, {"Retry-After": "40"}), serve, clock)
    assert login.token().access_token == "t1"
    api.route = lambda _: {"access_token": "t2"}
    clock.sleep(39.0)
    assert login.token().access_token == "t1"
    clock.sleep(2.0)
    assert login.token().access_token == "t2"


def test_a_stale_token_hides_no_refusal_of_the_login(serve: Serve, clock: FakeClock) -> None:
    login, _ = stale(Reply({}, 401), serve, clock)
    with pytest.raises(TokenRequestRejected):
        login.token()


def test_a_long_wait_is_raised_not_slept(serve: Serve, clock: FakeClock) -> None:
    login = source(serve(lambda _: Reply({}, 429, {"Retry-After": "900"})), clock)
    with pytest.raises(TokenEndpointUnavailable) as caught:
        login.token()
    assert (caught.value.retry_after, clock.slept) == (900.0, [])


def test_redirects_are_not_followed_with_credentials(serve: Serve, clock: FakeClock) -> None:
    other = serve(numbered())
    login = source(serve(lambda _: Reply({}, 307, {"Location": other.url})), clock)
    with pytest.raises(TokenRequestRejected, match=f"HTTP 307.: redirects to {other.url}"):
        login.token()
    assert other.asked == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            {"jwt": "secret-value"},
            "holds no token at 'access_token' at .* It has: jwt. Correct token_path",
        ),
        (["secret-value"], "It has: no mapping"),
        ({"access_token": " "}, "It has: access_token. Correct token_path"),
        ({"a-secret-value-0123456789": 1, "b": 2}, r"It has: \*\*\*, b. Correct"),
        ({f"k{n}": n for n in range(5000)}, r"It has: k0, [k0-9, ]{,50}k11\. Correct"),
        (Reply(b"<html>secret-value"), "The login answer is not JSON"),
        (
            {"access_token": "secret-value", "expires_in": "soon"},
            "is neither a lifetime in seconds nor a future instant",
        ),
    ],
)
def test_answers_without_a_usable_token_are_explained_without_values(
    serve: Serve, clock: FakeClock, answer: Any, message: str
) -> None:
    with pytest.raises(InvalidTokenResponse, match=message) as caught:
        source(serve(lambda _: answer), clock).token()
    assert "secret-value" not in str(caught.value)


def test_repr_shows_no_fields(clock: FakeClock) -> None:
    login = Login("https://a.example.com/login?key=hush", FIELDS, headers={"X": "hush"})
    assert (
        repr(LoginTokenSource(login, clock=clock))
        == "LoginTokenSource('https://a.example.com/login?key=***')"
    )
    assert "hush-hush" not in repr(login)


def test_a_login_may_be_a_get_with_basic_and_parameters(serve: Serve, clock: FakeClock) -> None:
    api = serve(numbered())
    login = Login(
        f"{api.url}/access?v=1",
        {},
        method="GET",
        params={"key": "hush/hush+key"},
        basic=("ann", "hush-hush"),
    )
    assert LoginTokenSource(login, clock=clock).token().access_token == "t1"
    (asked,) = api.asked
    assert (asked.method, asked.body) == ("GET", b"")
    assert asked.query == {"v": "1", "key": "hush/hush+key"}
    assert asked.headers["Authorization"] == f"Basic {base64.b64encode(b'ann:hush-hush').decode()}"
    assert "hush" not in f"{login!r} {login.where}"


def test_a_login_may_be_nested_json_in_a_put(serve: Serve, clock: FakeClock) -> None:
    api = serve(numbered())
    fields = {"auth": {"password": "hush-hush", "days": 3, "scopes": ["a"]}, "app": "x"}
    LoginTokenSource(Login(f"{api.url}/in", fields, method="PUT"), clock=clock).token()
    assert (api.asked[0].method, api.asked[0].json) == ("PUT", fields)


@pytest.mark.parametrize("status", [401, 302, 200, 503])
def test_no_error_of_a_whole_login_shows_what_was_sent(
    serve: Serve, clock: FakeClock, status: int
) -> None:
    def route(asked: Asked) -> Any:
        reported = {"you": asked.target, "sent": asked.body.decode(), "deep-hush-hush": 1}
        return Reply(reported, status, {"Location": asked.target})

    api = serve(route)
    login = Login(
        f"{api.url}/bot-hush-hush/in",
        {"a": [{"b": "deep-hush-hush"}]},
        params={"key": "hush/hush+key"},
        basic=("ann", "hush-hush"),
        url_secrets=("bot-hush-hush",),
    )
    source = LoginTokenSource(login, clock=clock)
    with pytest.raises((TokenRequestRejected, TokenEndpointUnavailable, InvalidTokenResponse)) as e:
        source.token()
    assert "hush" not in f"{e.value} {e.value!r} {source!r}"


def test_a_login_that_cannot_be_reached_shows_no_secret_either(clock: FakeClock) -> None:
    login = Login(
        "http://127.0.0.1:9/bot-hush-hush",
        {},
        params={"k": "hush-key"},
        url_secrets=("bot-hush-hush",),
    )
    with pytest.raises(TokenEndpointUnavailable) as caught:
        LoginTokenSource(login, clock=clock).token()
    assert "hush" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
