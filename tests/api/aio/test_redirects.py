"""Redirects of the async session: the rules of the session, the same targets refused."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from oauth_taskflow.api.aio.session import AsyncOAuthSession
from oauth_taskflow.api.auth import ApiKeyAuth, OAuth2Auth
from oauth_taskflow.errors import ApiRequestFailed, ForeignOriginRefused
from tests.api.conftest import Converse, Serve
from tests.api.scripted import Reply, Sources
from tests.api.test_redirects import moved
from tests.api.test_session import in_turn
from tests.oauth.keys import certificate_of, new_key, pem_of


@pytest.mark.parametrize(
    ("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")]
)
def test_redirects_inside_are_followed_with_the_token(
    serve: Serve, converse: Converse, status: int, method: str
) -> None:
    api = serve(moved(status, "/new?x=1"))
    answer = converse(api, lambda s: s.post("/old", data={"a": "1"}))
    assert [hop.status_code for hop in answer.history] == [status]
    assert (api.asked[-1].method, api.asked[-1].target) == (method, "/new?x=1")
    assert api.asked[-1].body == (b"a=1" if method == "POST" else b"")
    assert api.tokens() == ["Bearer t1"] * 2


def test_redirects_are_not_followed_when_session_or_call_forbids_it(
    serve: Serve, converse: Converse
) -> None:
    async def talk(session: AsyncOAuthSession) -> list[int]:
        session.follow_redirects = False
        answers = [
            await session.get("/old"),
            await session.get("/old", follow_redirects=True),
            await session.get("/old", follow_redirects=False),
        ]
        return [answer.status_code for answer in answers]

    assert converse(serve(moved(302, "/new")), talk) == [302, 200, 302]


@pytest.mark.parametrize("header", ["Authorization", "X-Shopify-Access-Token"])
def test_no_redirect_takes_the_token_to_a_foreign_origin(
    serve: Serve, converse: Converse, source: Sources, header: str
) -> None:
    elsewhere = serve(in_turn({}))
    api = serve(moved(302, f"{elsewhere.url}/stolen"))
    auth = OAuth2Auth(source, header=header, scheme="")
    with pytest.raises(ForeignOriginRefused):
        converse(api, lambda s: s.get("/old"), auth=auth)
    assert elsewhere.asked == []


def test_a_download_may_leave_bare_and_stays_bare(serve: Serve, converse: Converse) -> None:
    store = serve(lambda _: Reply({}, 302, {"Location": f"{api.url}/new"}))
    api = serve(moved(302, f"{store.url}/file?sig=1"))
    answer = converse(
        api, lambda s: s.get("/old"), foreign_redirects="bare", headers={"X-Key": "k"}
    )
    assert answer.json() == {"ok": 1}
    assert [asked.headers.get("Authorization") for asked in store.asked] == [None]
    assert "X-Key" not in store.asked[0].headers
    assert api.tokens() == ["Bearer t1", ""]
    with pytest.raises(ForeignOriginRefused):
        converse(api, lambda s: s.delete("/old"), foreign_redirects="bare")


def test_a_client_certificate_is_never_shown_to_a_foreign_origin(
    serve: Serve, converse: Converse, tmp_path: Path
) -> None:
    key = new_key()
    (tmp_path / "client.pem").write_text(pem_of(key) + certificate_of(key).decode())
    elsewhere = serve(in_turn({}))
    api = serve(moved(302, f"{elsewhere.url}/file"))
    options = {"foreign_redirects": "bare", "cert": str(tmp_path / "client.pem")}
    with pytest.raises(ForeignOriginRefused):
        converse(api, lambda s: s.get("/old"), **options)
    assert elsewhere.asked == []


def test_endless_redirects_are_an_error_and_unfollowed_ones_an_answer(
    serve: Serve, converse: Converse
) -> None:
    api = serve(in_turn(Reply({}, 302, {"Location": "/again"})))
    with pytest.raises(ApiRequestFailed, match="redirects without end"):
        converse(api, lambda s: s.get("/x"))
    answer = converse(api, lambda s: s.get("/x", follow_redirects=False))
    assert answer.status_code == 302


def test_a_key_in_the_query_is_sent_with_each_hop_and_never_logged(
    serve: Serve, converse: Converse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "httpx")
    api = serve(moved(302, "/new"))
    converse(api, lambda s: s.get("/old"), auth=ApiKeyAuth("k", "s3cret", placement="query"))
    assert api.paths == ["/old?k=s3cret", "/new?k=s3cret"]
    logging.getLogger("httpx").info("%(other)s", {"other": "lines stay"})
    assert "/new" in caplog.text
    assert "lines stay" in caplog.text
    assert "s3cret" not in caplog.text
