"""Parameters and members that a connection adds to requests: always there, never twice, never elsewhere, never shown."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.additions import AddingAuth, Additions, add_members
from oauth_taskflow.api.auth import ApiKeyAuth, BasicAuth, Credentials, NoAuth, OAuth2Auth
from oauth_taskflow.api.options import CursorPaginator, NextUrlPaginator
from oauth_taskflow.errors import ApiRequestFailed, ForeignOriginRefused
from tests.api.conftest import Connect, Converse, Serve
from tests.api.scripted import Asked, Reply, ScriptedApi, Sources

HUSH = "Hu5h/hush+hush=of&the?api"
ADDED = Additions({"auth": HUSH, "v": "2"}, {"token": HUSH, "deep": {"n": 1}})
Call = Callable[..., tuple[int, Any]]


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, connect: Connect, converse: Converse) -> Call:
    """``call(api, auth, method, path, …)`` sends one request with either session; returns status and text."""

    def run(api: ScriptedApi | str, auth: Credentials, *args: Any, **options: Any) -> Any:
        more = {
            name: options.pop(name)
            for name in ("allowed_origins", "foreign_redirects")
            if name in options
        }
        if request.param == "sync":
            response = connect(api, auth=auth, **more).request(*args, **options)
            return response.status_code, response.text

        async def talk(session: Any) -> Any:
            answer = await session.request(*args, **options)
            return answer.status_code, answer.text

        return converse(api, talk, auth=auth, **more)

    return run


def adding(inner: Credentials | None = None, added: Additions = ADDED) -> AddingAuth:
    return AddingAuth(inner or NoAuth(), added)


def test_parameters_and_members_go_with_credentials(
    serve: Serve, call: Call, source: Sources
) -> None:
    api = serve(lambda _: {})
    call(api, adding(OAuth2Auth(source)), "POST", "/a?x=1", json={"q": 1.10, "token": "mine"})
    (asked,) = api.asked
    assert asked.query == {"x": "1", "auth": HUSH, "v": "2"}
    assert asked.json == {"q": 1.1, "token": HUSH, "deep": {"n": 1}}
    assert asked.headers["Authorization"] == "Bearer t1"
    assert int(asked.headers["Content-Length"]) == len(asked.body)


def test_a_form_gets_the_added_members_and_keeps_its_own(serve: Serve, call: Call) -> None:
    api = serve(lambda _: {})
    call(api, adding(), "POST", "/a", data={"q": "ä &", "token": "mine", "empty": ""})
    pairs = parse_qsl(api.asked[0].body.decode(), keep_blank_values=True)
    assert pairs == [("q", "ä &"), ("empty", ""), ("token", HUSH), ("deep", '{"n":1}')]


def test_a_get_stays_without_a_body_and_a_post_gets_one(serve: Serve, call: Call) -> None:
    api = serve(lambda _: {})
    call(api, adding(), "GET", "/a")
    call(api, adding(), "POST", "/a")
    assert [asked.body for asked in api.asked] == [
        b"",
        json.dumps(dict(ADDED.body), separators=(",", ":")).encode(),
    ]
    assert api.asked[1].headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "options",
    [{"json": [1, 2]}, {"content": b"plain"}, {"files": {"f": io.BytesIO(b"x")}}],
    ids=["list", "text", "multipart"],
)
def test_what_takes_no_members_is_refused_before_it_is_sent(
    serve: Serve, call: Call, options: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    api = serve(lambda _: {})
    if "sync" in request.node.callspec.id.split("-") and "content" in options:
        options = {"data": options["content"]}
    with pytest.raises(ApiRequestFailed, match="adds members to each body") as caught:
        call(api, adding(), "POST", "/a", **options)
    assert api.asked == []
    assert "hush" not in str(caught.value)


def test_a_stream_takes_no_members() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"{}"

    request = requests.Request("POST", "https://x.example/", data=chunks()).prepare()
    with pytest.raises(ApiRequestFailed, match="this body is a stream"):
        add_members(request, {"a": "b"})


def test_a_repeated_attempt_adds_nothing_twice(serve: Serve, call: Call, source: Sources) -> None:
    answers = iter([Reply({}, 503), Reply({}, 401), Reply({})])
    api = serve(lambda _: next(answers))
    call(api, adding(OAuth2Auth(source)), "PUT", "/a", json={"q": 1})
    assert len({(asked.target, asked.body) for asked in api.asked}) == 1
    assert api.tokens() == ["Bearer t1", "Bearer t1", "Bearer t2"]


def test_next_links_that_repeat_a_parameter_stay_as_they_are(
    serve: Serve, connect: Connect
) -> None:
    def route(asked: Asked) -> Any:
        page = asked.query.get("page", "1")
        link = f"{api.url}/a?page=2&auth={asked.query['auth'].replace('&', '%26').replace('+', '%2B')}&v=2"
        return {"rows": [page], "next": link if page == "1" else None}

    api = serve(route)
    paging = NextUrlPaginator(next="next")
    assert list(connect(api, auth=adding()).paginate("/a", records="rows", paginate=paging)) == [
        "1",
        "2",
    ]
    assert [urlsplit(target).query.count("auth=") for target in api.paths] == [1, 1]
    assert api.asked[1].query == {"page": "2", "auth": HUSH, "v": "2"}


def test_a_secret_that_was_removed_from_a_next_link_is_put_back(
    serve: Serve, call: Call, source: Sources
) -> None:
    api = serve(lambda _: {})
    path = "/a?auth=***&v=3&k=%2A%2A%2A&page=2"
    for inner in (ApiKeyAuth("k", "a-key", placement="query"), OAuth2Auth(source, param="k")):
        call(api, adding(inner), "GET", path)
    assert [asked.query for asked in api.asked] == [
        {"auth": HUSH, "v": "3", "k": key, "page": "2"} for key in ("a-key", "t1")
    ]


def test_paging_in_the_body_keeps_the_members(serve: Serve, connect: Connect) -> None:
    pages = iter([{"rows": [1], "next": "c2"}, {"rows": [2], "next": None}])
    api = serve(lambda _: next(pages))
    paging = CursorPaginator(next="next", body="after")
    found = list(
        connect(api, auth=adding()).paginate(
            "/a", method="POST", json={"q": 1}, records="rows", paginate=paging
        )
    )
    assert found == [1, 2]
    assert [asked.json.get("after") for asked in api.asked] == [None, "c2"]
    assert [asked.json["token"] for asked in api.asked] == [HUSH, HUSH]


def test_a_redirect_to_an_allowed_origin_carries_them_and_keeps_a_307_body(
    serve: Serve, call: Call
) -> None:
    other = serve(lambda _: {})
    api = serve(lambda _: Reply({}, 307, {"Location": f"{other.url}/b"}))
    call(api, adding(), "POST", "/a", json={"q": 1}, allowed_origins=[other.url])
    assert other.asked[0].query == {"auth": HUSH, "v": "2"}
    assert other.asked[0].json == {"q": 1, **ADDED.body}


def test_a_303_drops_the_body_and_its_members(serve: Serve, call: Call) -> None:
    def route(asked: Asked) -> Any:
        return {} if asked.path == "/b" else Reply({}, 303, {"Location": "/b"})

    api = serve(route)
    call(api, adding(), "POST", "/a", json={"q": 1})
    assert (api.asked[1].method, api.asked[1].body) == ("GET", b"")


@pytest.mark.parametrize(
    "auth",
    [
        adding(),
        adding(ApiKeyAuth("auth", HUSH, placement="query"), Additions({"v": HUSH})),
        ApiKeyAuth("auth", HUSH, placement="query"),
    ],
    ids=["added", "both", "key"],
)
def test_a_foreign_origin_gets_nothing_even_if_the_redirect_repeats_it(
    serve: Serve, call: Call, auth: Credentials
) -> None:
    foreign = serve(lambda _: {})
    api = serve(
        lambda asked: Reply(
            {}, 302, {"Location": f"{foreign.url}/f?{urlsplit(asked.target).query}&x=1"}
        )
    )
    with pytest.raises(ForeignOriginRefused) as caught:
        call(api, auth, "GET", "/a")
    assert "hush" not in str(caught.value).lower()
    assert foreign.asked == []
    call(api, auth, "GET", "/a", foreign_redirects="bare")
    assert foreign.asked[0].query == {"x": "1"}


@pytest.mark.parametrize("status", [400, 401, 500])
def test_no_error_or_log_shows_an_added_value(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(logging.DEBUG, "oauth_taskflow")
    added = Additions({"auth": HUSH, "pin": "42"}, {"token": HUSH})
    api = serve(lambda asked: Reply({"echo": asked.target, "body": asked.body.decode()}, status))
    session = connect(api, auth=adding(added=added))
    with pytest.raises(ApiRequestFailed) as caught:
        session.post("/a?page=42", json={}).raise_for_status()
    shown = f"{caught.value} {caught.value!r} {caplog.text} {session!r} {session.auth!r}"
    assert "hush" not in shown.lower()
    assert "pin=***" in shown
    assert "page=42" in shown or status == 500


def test_a_request_with_its_own_credentials_gets_none_of_it(serve: Serve, connect: Connect) -> None:
    api = serve(lambda _: {})
    connect(api, auth=adding()).get("/a", auth=BasicAuth("ann", "pw"))
    assert api.asked[0].query == {}
    assert api.asked[0].headers["Authorization"].startswith("Basic ")


def test_secrets_in_the_base_url_are_in_no_message_whoever_signs(
    serve: Serve, connect: Connect, converse: Converse
) -> None:
    hidden = Additions(url_secrets=("B0t-of-hush", "B0t%2Dof%2Dhush"))
    api = serve(lambda asked: Reply({"path": asked.path}, 404))
    base = f"{api.url}/botB0t-of-hush"
    session = connect(base, auth=adding(added=hidden))
    for auth in (None, BasicAuth("ann", "pw")):
        with pytest.raises(ApiRequestFailed) as caught:
            session.get("/me", auth=auth).raise_for_status()
        assert "hush" not in str(caught.value)
        assert "/bot***/me" in str(caught.value)
    with pytest.raises(ForeignOriginRefused) as refused:
        session.get("https://evil.example/B0t-of-hush")
    assert "hush" not in str(refused.value)

    async def talk(session: Any) -> str:
        with pytest.raises(httpx.HTTPStatusError) as caught:
            (await session.get("/me")).raise_for_status()
        return f"{caught.value} {session!r}"

    assert "hush" not in converse(base, talk, auth=adding(added=hidden))


def test_a_secret_host_name_is_in_no_message(connect: Connect) -> None:
    session = connect(
        "https://hush-hush.x.invalid", auth=adding(added=Additions(url_secrets=("hush-hush",)))
    )
    with pytest.raises(ForeignOriginRefused) as caught:
        session.get("https://evil.example/")
    assert "hush" not in f"{caught.value} {session!r}"


@pytest.mark.parametrize(
    "auth",
    [
        adding(),
        ApiKeyAuth("auth", HUSH, placement="query"),
        adding(ApiKeyAuth("auth", HUSH, placement="query"), Additions({"v": "2"})),
        OAuth2Auth(Sources(), param="auth"),
    ],
    ids=["added", "key", "both", "token"],
)
def test_a_foreign_next_link_that_repeats_a_secret_is_refused_without_it(
    serve: Serve, connect: Connect, auth: Credentials
) -> None:
    link = "https://internal.example/a?auth=Hu5h%2Fhush%2Bhush%3Dof%26the%3Fapi&page=2"
    api = serve(lambda _: {"rows": [1], "next": link})
    pages = connect(api, auth=auth).paginate(
        "/a", records="rows", paginate=NextUrlPaginator(next="next")
    )
    with pytest.raises(ForeignOriginRefused) as caught:
        list(pages)
    assert "hush" not in str(caught.value)
    assert "auth=***&page=2" in str(caught.value)


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)


@given(
    own=st.dictionaries(NAMES, VALUES, max_size=4), added=st.dictionaries(NAMES, VALUES, max_size=3)
)
def test_added_members_replace_their_names_and_nothing_else(
    own: dict[str, Any], added: dict[str, Any]
) -> None:
    request = requests.Request("POST", "https://x.example/", json=own).prepare()
    for _ in range(2):  # each attempt adds them again
        add_members(request, added)
        body: Any = request.body
        assert json.loads(body) == {**own, **added}


def test_other_members_keep_their_bytes() -> None:
    request = requests.Request(
        "POST",
        "https://x.example/",
        data=b'{ "big":12345678901234567890.10, "a" : [ 1.50 ] }',
        headers={"Content-Type": "application/json"},
    ).prepare()
    add_members(request, {"b": 1})
    assert request.body == b'{"big":12345678901234567890.10,"a":[ 1.50 ],"b":1}'
