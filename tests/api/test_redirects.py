"""Redirects: within the allowed origins, with method and body where RFC 9110 keeps them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.api.auth import ApiKeyAuth, OAuth2Auth
from oauth_taskflow.errors import ApiRequestFailed, ForeignOriginRefused
from tests.api.conftest import Connect, Serve
from tests.api.scripted import Asked, Reply, Sources


def moved(status: int, location: str) -> Any:
    def route(asked: Asked) -> Any:
        return {"ok": 1} if asked.path == "/new" else Reply({}, status, {"Location": location})

    return route


@pytest.mark.parametrize(
    ("status", "method", "body"),
    [
        (301, "GET", b""),
        (302, "GET", b""),
        (303, "GET", b""),
        (307, "POST", b"a=1"),
        (308, "POST", b"a=1"),
    ],
)
def test_a_redirected_post_keeps_method_and_body_on_307_and_308_only(
    serve: Serve, connect: Connect, status: int, method: str, body: bytes
) -> None:
    api = serve(moved(status, "/new?x=1"))
    response = connect(api).post("/old", data={"a": "1"})
    last = api.asked[-1]
    assert (last.method, last.target, last.body) == (method, "/new?x=1", body)
    assert ("Content-Type" in last.headers) is bool(body)
    assert [hop.status_code for hop in response.history] == [status]
    assert api.tokens() == ["Bearer t1"] * 2


def test_a_seekable_body_is_rewound_for_a_307(serve: Serve, connect: Connect) -> None:
    api = serve(moved(307, "/new"))
    connect(api).put("/old", data=io.BytesIO(b"abc"))
    assert api.asked[-1].body == b"abc"


def test_a_stream_cannot_follow_a_307(serve: Serve, connect: Connect) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"abc"

    with pytest.raises(ApiRequestFailed, match="a stream that cannot be rewound"):
        connect(serve(moved(307, "/new"))).put("/old", data=chunks())


def test_cookies_of_one_call_go_with_its_redirects_and_with_no_other_call(
    serve: Serve, connect: Connect
) -> None:
    api = serve(moved(302, "/new"))
    session = connect(api)
    session.cookies.set("always", "1")
    session.get("/old", cookies={"once": "2"})
    session.get("/new")
    sent = [asked.headers["Cookie"].split("; ") for asked in api.asked]
    assert [sorted(cookies) for cookies in sent] == [["always=1", "once=2"]] * 2 + [["always=1"]]


@pytest.mark.parametrize("header", ["Authorization", "X-Shopify-Access-Token"])
@pytest.mark.parametrize("status", [301, 302, 307])
def test_no_redirect_takes_the_token_to_a_foreign_origin(
    serve: Serve, connect: Connect, source: Sources, header: str, status: int
) -> None:
    foreign = serve(lambda _: {})
    session = connect(
        serve(moved(status, f"{foreign.url}/steal?token=hush")),
        auth=OAuth2Auth(source, header=header),
        headers={"X-Api-Key": "k"},
    )
    with pytest.raises(ForeignOriginRefused) as caught:
        session.get("/old")
    assert (foreign.asked, "hush" in str(caught.value)) == ([], False)


def test_a_redirect_may_go_to_another_allowed_origin(serve: Serve, connect: Connect) -> None:
    other = serve(lambda _: {"ok": 1})
    api = serve(moved(302, f"{other.url}/new"))
    connect(api, allowed_origins=[other.url]).get("/old")
    assert other.tokens() == ["Bearer t1"]


def test_endless_redirects_are_an_error(serve: Serve, connect: Connect) -> None:
    api = serve(lambda _: Reply({}, 302, {"Location": "/again"}))
    with pytest.raises(ApiRequestFailed, match="The API redirects without end"):
        connect(api).get("/old")
    assert len(api.asked) == 31


def test_redirects_are_left_alone_when_asked(serve: Serve, connect: Connect) -> None:
    api = serve(moved(302, "/new"))
    assert connect(api).get("/old", allow_redirects=False).status_code == 302
    assert connect(api).head("/old").status_code == 302


def test_a_key_in_the_query_is_put_on_the_redirect_too(serve: Serve, connect: Connect) -> None:
    api = serve(moved(302, "/new?a=1#part"))
    connect(api, auth=ApiKeyAuth("key", "k&y", placement="query")).get("/old")
    assert api.paths == ["/old?key=k%26y", "/new?a=1&key=k%26y"]


def test_cookies_set_on_the_way_are_sent_on(serve: Serve, connect: Connect) -> None:
    def route(asked: Asked) -> Any:
        if asked.path == "/new":
            return {"cookie": asked.headers.get("Cookie")}
        return Reply({}, 302, {"Location": "/new", "Set-Cookie": "a=1; Path=/"})

    assert connect(serve(route)).get("/old").json() == {"cookie": "a=1"}


def test_a_token_refused_after_a_redirect_is_refreshed(
    serve: Serve, connect: Connect, source: Sources
) -> None:
    def route(asked: Asked) -> Any:
        if asked.path == "/old":
            return Reply({}, 302, {"Location": "/new"})
        return Reply({}, 200 if asked.headers["Authorization"] == "Bearer t2" else 401)

    assert connect(serve(route)).get("/old").status_code == 200
    assert source.refusals == 1


def test_a_download_may_leave_bare_when_asked(
    serve: Serve, connect: Connect, source: Sources
) -> None:
    store = serve(lambda asked: Reply(b"data", 401 if "private" in asked.target else 200))
    api = serve(lambda asked: Reply({}, 302, {"Location": f"{store.url}{asked.target}?sig=a%2Fb"}))
    session = connect(api, foreign_redirects="bare", headers={"X-Api-Key": "k"})
    session.cookies.set("c", "1")
    assert session.get("/file").content == b"data"
    assert session.get("/private").status_code == 401
    assert store.paths == ["/file?sig=a%2Fb", "/private?sig=a%2Fb"]
    sent = {name.lower() for asked in store.asked for name in asked.headers}
    assert sent == {"host", "accept", "accept-encoding", "user-agent"}
    assert source.refusals == 0


def test_a_client_certificate_is_never_shown_to_a_foreign_origin(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    (tmp_path / "client.pem").touch()  # plain http does not read it
    cert = str(tmp_path / "client.pem")
    store = serve(lambda _: {})
    api = serve(lambda _: Reply({}, 302, {"Location": f"{store.url}/x"}))
    session = connect(api, foreign_redirects="bare", cert=cert)
    with pytest.raises(ForeignOriginRefused):
        session.get("/old")
    session.cert = None
    with pytest.raises(ForeignOriginRefused):
        session.get("/old", cert=cert)
    assert store.asked == []


def test_a_bare_redirect_that_comes_back_stays_bare(serve: Serve, connect: Connect) -> None:
    api = serve(moved(302, "to-be-set"))
    store = serve(lambda _: Reply({}, 302, {"Location": f"{api.url}/new"}))
    api.route = moved(302, f"{store.url}/x")
    connect(api, foreign_redirects="bare").get("/old")
    assert api.tokens() == ["Bearer t1", ""]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_only_reading_may_leave(serve: Serve, connect: Connect, method: str) -> None:
    store = serve(lambda _: {})
    api = serve(moved(307, f"{store.url}/x"))
    with pytest.raises(ForeignOriginRefused):
        connect(api, foreign_redirects="bare").request(method, "/old")
    assert store.asked == []


def test_an_ambiguous_target_is_refused_even_bare(serve: Serve, connect: Connect) -> None:
    api = serve(moved(302, "http://user@127.0.0.1:9/x"))
    with pytest.raises(ForeignOriginRefused):
        connect(api, foreign_redirects="bare").get("/old")


def test_a_redirect_inside_stays_signed_when_bare_ones_are_allowed(
    serve: Serve, connect: Connect
) -> None:
    api = serve(moved(302, "/new"))
    connect(api, foreign_redirects="bare").get("/old")
    assert api.tokens() == ["Bearer t1", "Bearer t1"]
