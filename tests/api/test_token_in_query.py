"""A token in the query (RFC 6750 §2.3): on every request, renewed in its place, at allowed origins only, never shown."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote

import pytest
import requests

from oauth_taskflow.api.auth import OAuth2Auth
from oauth_taskflow.api.options import NextUrlPaginator
from oauth_taskflow.errors import ApiRequestFailed, ForeignOriginRefused
from oauth_taskflow.oauth.token import Token
from tests.api.conftest import Connect, Converse, Serve
from tests.api.scripted import Asked, Reply, Sources


class Longer(Sources):
    """Tokens with characters that a query encodes."""

    def token(self) -> Token:
        return Token(f"t/{self.number}+of=hush&hush", obtained_at=0.0)

    def replace_refused(self, access_token: str) -> Token:
        if access_token == self.token().access_token:
            self.number += 1
        return self.token()


def in_query(source: Any, **options: Any) -> OAuth2Auth:
    return OAuth2Auth(source, param="auth", **options)


def test_the_token_is_a_parameter_and_no_header(serve: Serve, connect: Connect) -> None:
    api = serve(lambda _: {})
    connect(api, auth=in_query(Longer())).get("/a?x=1")
    assert api.asked[0].query == {"x": "1", "auth": "t/1+of=hush&hush"}
    assert "Authorization" not in api.asked[0].headers


def test_a_refused_token_is_replaced_in_its_place(
    serve: Serve, connect: Connect, converse: Converse
) -> None:
    def route(asked: Asked) -> Any:
        return Reply({}, 200 if asked.query["auth"].startswith("t/2") else 401)

    api = serve(route)
    assert connect(api, auth=in_query(Longer())).get("/a?x=1").status_code == 200
    assert [asked.query["auth"][:3] for asked in api.asked] == ["t/1", "t/2"]
    assert [target.count("auth=") for target in api.paths] == [1, 1]

    async def talk(session: Any) -> int:
        return int((await session.get("/a?x=1")).status_code)

    assert converse(api, talk, auth=in_query(Longer())) == 200
    assert [target.count("auth=") for target in api.paths[2:]] == [1, 1]


def test_a_next_link_with_an_older_token_gets_the_present_one(
    serve: Serve, connect: Connect
) -> None:
    source = Longer()

    def route(asked: Asked) -> Any:
        if asked.query.get("page") == "2":
            return {"rows": [2], "next": None}
        source.number = 5  # renewed meanwhile
        return {
            "rows": [1],
            "next": f"{api.url}/a?auth={quote(asked.query['auth'], safe='')}&page=2",
        }

    api = serve(route)
    pages = connect(api, auth=in_query(source)).paginate(
        "/a", records="rows", paginate=NextUrlPaginator(next="next")
    )
    assert list(pages) == [1, 2]
    assert api.asked[1].query == {"page": "2", "auth": "t/5+of=hush&hush"}


@pytest.mark.parametrize("kind", ["refuse", "bare"])
def test_no_redirect_takes_the_token_elsewhere(serve: Serve, connect: Connect, kind: Any) -> None:
    foreign = serve(lambda _: {})
    api = serve(
        lambda asked: Reply(
            {}, 302, {"Location": f"{foreign.url}/f?{asked.target.partition('?')[2]}"}
        )
    )
    session = connect(api, auth=in_query(Longer()), foreign_redirects=kind)
    if kind == "refuse":
        with pytest.raises(ForeignOriginRefused) as caught:
            session.get("/a")
        assert "hush" not in str(caught.value)
    else:
        session.get("/a?x=1")
        assert foreign.asked[0].query == {"x": "1"}


def test_a_redirect_within_the_origin_gets_the_token_once(serve: Serve, connect: Connect) -> None:
    def route(asked: Asked) -> Any:
        to = f"/b?{asked.target.partition('?')[2]}"
        return {} if asked.path == "/b" else Reply({}, 302, {"Location": to})

    api = serve(route)
    connect(api, auth=in_query(Longer())).get("/a")
    assert [target.count("auth=") for target in api.paths] == [1, 1]


def test_no_error_or_log_shows_a_token_of_the_query(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "oauth_taskflow")
    api = serve(lambda asked: Reply({"you_sent": asked.target}, 500))
    session = connect(api, auth=in_query(Longer()))
    with pytest.raises(ApiRequestFailed) as caught:
        session.get("/a").raise_for_status()
    assert "hush" not in f"{caught.value} {caught.value!r} {caplog.text} {session.auth!r}"


def test_plain_requests_send_the_token_to_its_own_origin_only(serve: Serve) -> None:
    foreign = serve(lambda _: {})

    def route(asked: Asked) -> Any:
        query = asked.target.partition("?")[2]
        if asked.path == "/away":
            return Reply({}, 302, {"Location": f"{foreign.url}/f?{query}"})
        if asked.path == "/within":
            return Reply({}, 302, {"Location": f"/a?{query}"})
        return Reply({}, 401 if asked.query["auth"].startswith("t/1") else 200)

    api = serve(route)
    auth = in_query(Longer(), origins=[api.url])
    assert requests.get(f"{api.url}/a", auth=auth, timeout=120).status_code == 200
    assert requests.get(f"{api.url}/within", auth=auth, timeout=120).status_code == 200
    requests.get(f"{api.url}/away?x=1", auth=auth, timeout=120)
    assert foreign.asked[0].query == {"x": "1"}
    assert {target.count("auth=") for target in api.paths} == {1}
