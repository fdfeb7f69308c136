"""Auth objects, with bare ``requests`` and in a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from requests.auth import AuthBase

from oauth_taskflow.api.auth import ApiKeyAuth, BasicAuth, NoAuth, OAuth2Auth
from oauth_taskflow.errors import ForeignOriginRefused
from oauth_taskflow.oauth.token import Token
from tests.api.conftest import Connect, Serve
from tests.api.scripted import Asked, Reply, Sources
from tests.support.auth import bearer_auth


@pytest.fixture
def bare() -> Iterator[requests.Session]:
    """Plain ``requests``, closed at the end."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def only(token: str, header: str = "Authorization") -> Callable[[Asked], Reply]:
    return lambda asked: Reply({}, 200 if asked.headers.get(header) == token else 401)


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        (bearer_auth("abc"), "Authorization", "Bearer abc"),
        (BasicAuth("ann", "pässword"), "Authorization", "Basic YW5uOnDDpHNzd29yZA=="),
        (ApiKeyAuth("X-Api-Key", "abc"), "X-Api-Key", "abc"),
        (ApiKeyAuth("Authorization", "abc", prefix="Token "), "Authorization", "Token abc"),
        (NoAuth(), "Authorization", None),
    ],
)
def test_fixed_credentials_are_put_where_the_api_wants_them(
    serve: Serve, connect: Connect, auth: AuthBase, header: str, value: str | None
) -> None:
    api = serve(lambda _: {})
    connect(api, auth=auth).get("/x")
    requests.get(f"{api.url}/x", auth=auth, timeout=120)
    assert [asked.headers.get(header) for asked in api.asked] == [value, value]


@pytest.mark.parametrize(
    ("url", "target"),
    [("/x", "/x?k=a%2Bb"), ("/x?p=1", "/x?p=1&k=a%2Bb"), ("/x?k=other", "/x?k=other")],
)
def test_a_key_in_the_query_joins_what_is_there(
    serve: Serve, connect: Connect, url: str, target: str
) -> None:
    api = serve(lambda _: {})
    connect(api, auth=ApiKeyAuth("k", "a+b", placement="query")).get(url)
    assert api.paths == [target]


def test_fixed_credentials_are_not_replayed_after_a_401(serve: Serve, connect: Connect) -> None:
    api = serve(only("Bearer other"))
    assert connect(api, auth=bearer_auth("abc")).get("/x").status_code == 401
    assert len(api.asked) == 1


@pytest.mark.parametrize(
    "auth", [bearer_auth("hush"), BasicAuth("a", "hush"), ApiKeyAuth("k", "hush")]
)
def test_repr_of_fixed_credentials_shows_nothing(auth: AuthBase) -> None:
    assert repr(auth) == f"{type(auth).__name__}(***)"


def test_bare_requests_refresh_and_replay_once(
    serve: Serve, bare: requests.Session, source: Sources
) -> None:
    api = serve(only("Bearer t2"))
    response = bare.post(f"{api.url}/x", json={"a": 1}, auth=OAuth2Auth(source))
    assert (response.status_code, [hop.status_code for hop in response.history]) == (200, [401])
    assert [asked.json for asked in api.asked] == [{"a": 1}] * 2


class FormerSource:
    """A token source with the method names of the former release."""

    def token(self) -> Token:
        return Token("t1", 0.0)

    def refused(self, access_token: str) -> Token:
        return Token(f"{access_token}-replaced", 0.0)


def test_a_token_source_of_the_former_release_replaces_its_token(
    serve: Serve, bare: requests.Session
) -> None:
    api = serve(only("Bearer t1-replaced"))
    former: Any = FormerSource()
    assert bare.get(api.url, auth=OAuth2Auth(former)).status_code == 200


def test_bare_requests_return_a_second_401(
    serve: Serve, bare: requests.Session, source: Sources
) -> None:
    api = serve(only("never"))
    assert bare.get(api.url, auth=OAuth2Auth(source)).status_code == 401
    assert (len(api.asked), source.refusals) == (2, 1)


def test_bare_requests_do_not_refresh_when_the_body_is_gone(
    serve: Serve, bare: requests.Session, source: Sources
) -> None:
    api = serve(only("Bearer t2"))
    response = bare.post(api.url, data=iter([b"a"]), auth=OAuth2Auth(source))
    assert (response.status_code, source.refusals) == (401, 0)


@pytest.mark.parametrize(
    ("scheme", "value"), [("Bearer", "Bearer t1"), ("Token", "Token t1"), ("", "t1")]
)
def test_the_token_goes_into_the_header_and_scheme_asked_for(
    serve: Serve, bare: requests.Session, source: Sources, scheme: str, value: str
) -> None:
    api = serve(lambda _: {})
    bare.get(api.url, auth=OAuth2Auth(source, header="X-Token", scheme=scheme))
    assert api.asked[0].headers["X-Token"] == value


def test_a_token_is_in_no_url_and_no_body_whatever_happens(
    serve: Serve, connect: Connect, source: Sources
) -> None:
    def route(asked: Asked) -> Reply:
        if asked.headers["Authorization"] != "Bearer t2":
            return Reply({}, 401)
        return Reply({}, 307, {"Location": "/new"}) if asked.path == "/old" else Reply({})

    api = serve(route)
    assert connect(api).post("/old", data={"a": "1"}).status_code == 200
    assert [(asked.target, asked.body) for asked in api.asked] == [
        ("/old", b"a=1"),
        ("/old", b"a=1"),
        ("/new", b"a=1"),
    ]


def test_a_token_is_kept_to_its_origins(
    serve: Serve, bare: requests.Session, source: Sources
) -> None:
    api, foreign = serve(lambda _: {}), serve(lambda _: {})
    auth = OAuth2Auth(source, origins=[api.url])
    bare.get(api.url, auth=auth)
    with pytest.raises(ForeignOriginRefused):
        bare.get(foreign.url, auth=auth)
    assert foreign.asked == []


def test_a_redirect_with_a_custom_header_to_a_foreign_origin_is_refused(
    serve: Serve, bare: requests.Session, source: Sources
) -> None:
    foreign = serve(lambda _: {})
    api = serve(lambda _: Reply({}, 302, {"Location": f"{foreign.url}/x"}))
    with pytest.raises(ForeignOriginRefused, match="The token in header X-Token was not sent"):
        bare.get(api.url, auth=OAuth2Auth(source, header="X-Token"))
    assert foreign.asked == []


def test_a_custom_header_follows_a_redirect_on_its_own_origin(
    serve: Serve, bare: requests.Session, source: Sources
) -> None:
    api = serve(lambda asked: {} if asked.path == "/b" else Reply({}, 302, {"Location": "/b"}))
    bare.get(f"{api.url}/a", auth=OAuth2Auth(source, header="X-Token", scheme=""))
    assert [asked.headers["X-Token"] for asked in api.asked] == ["t1", "t1"]


def test_a_foreign_401_after_a_redirect_gets_no_token(
    serve: Serve, bare: requests.Session, source: Sources
) -> None:
    foreign = serve(only("Bearer t2"))
    # Another port is another origin: requests itself takes Authorization off.
    api = serve(lambda _: Reply({}, 302, {"Location": f"{foreign.url}/x"}))
    assert bare.get(api.url, auth=OAuth2Auth(source)).status_code == 401
    assert (foreign.tokens(), source.refusals) == ([""], 0)


def test_credentials_given_with_a_request_replace_the_sessions_own(
    serve: Serve, connect: Connect, source: Sources
) -> None:
    api = serve(only("Basic YTpi"))
    assert connect(api).get("/x", auth=("a", "b")).status_code == 200
    assert source.refusals == 0


def test_a_foreign_auth_object_signs_once_and_is_not_renewed(
    serve: Serve, connect: Connect
) -> None:
    class Signature(AuthBase):
        def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
            r.headers["X-Signature"] = f"of {r.method}"
            return r

    api = serve(only("never"))
    session = connect(api, auth=Signature())
    assert session.get("/x").status_code == 401
    assert [asked.headers["X-Signature"] for asked in api.asked] == ["of GET"]


def test_repr_of_oauth2_auth_names_the_header_alone(source: Sources) -> None:
    assert repr(OAuth2Auth(source)) == "OAuth2Auth('Authorization')"


def test_a_header_that_is_not_ours_is_not_renewed(source: Sources) -> None:
    request = requests.Request(
        "GET", "https://a.example", headers={"Authorization": "Basic x"}
    ).prepare()
    assert (OAuth2Auth(source).renew(request), source.refusals) == (False, 0)
