"""Connect against an authorization server of other people: the npm package oidc-provider, certified by the OpenID Foundation."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from oauth_taskflow.taskflow.grants.managed_grant import load_managed_grant
from oauth_taskflow.taskflow.sessions import open_session
from tests.oidc_provider.conftest import SECRET, Register
from tests.oidc_provider.person import Person, read_form_post
from tests.taskflow.page.conftest import SAME_ORIGIN, Browse
from tests.taskflow.page.consents import CALLBACK, begin, come_back, finish, post

if TYPE_CHECKING:
    from httpx import Response
    from starlette.testclient import TestClient

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("own_store", "at_loopback")]


def agree(url: str, person: Person | None = None) -> str:
    """The query that the server sends back when a person has logged in and agreed at ``url``."""
    answer = (person or Person()).visit(url, CALLBACK)
    assert answer.status_code in {302, 303}, answer.text
    return urlsplit(answer.headers["Location"]).query


def connect(admin: TestClient) -> dict[str, Any]:
    """The result of a consent, which must succeed."""
    answer = finish(admin, come_back(admin, agree(begin(admin))))
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def refresh(admin: TestClient) -> Response:
    answer: Response = admin.post(
        "/oauth/api/connections/crm/refresh", json={}, headers=SAME_ORIGIN
    )
    return answer


def ask_userinfo() -> int:
    """The status that a task gets from the API of the same server, which checks token and proof itself."""
    with open_session("crm") as session:
        return session.get("/me").status_code


def check_grant(admin: TestClient) -> None:
    """Tasks use the token, and it is refreshed twice: the server ends a grant whose former refresh token comes again."""
    assert ask_userinfo() == 200
    seen = {read_refresh_token()}
    for _ in range(2):
        answer = refresh(admin)
        assert answer.status_code == 200, answer.text
        assert ask_userinfo() == 200
        seen.add(read_refresh_token())
    assert len(seen) == 3


def read_refresh_token() -> str:
    token = load_managed_grant("crm").manager.stored.read().refresh_token
    assert token is not None
    return token


def test_a_code_with_pkce_and_iss_becomes_a_grant_that_rotates(
    register: Register, admin: TestClient, issuers: Mapping[str, str]
) -> None:
    register()
    url = begin(admin)
    assert parse_qs(urlsplit(url).query)["code_challenge_method"] == ["S256"]
    query = agree(url)
    assert parse_qs(query)["iss"] == [issuers["plain"]]
    result = finish(admin, come_back(admin, query)).json()
    assert (result["grant"]["state"], result["trial"]["ok"]) == ("fresh", True)
    check_grant(admin)


def test_a_pushed_request_with_dpop_and_nonces_becomes_a_grant_that_rotates(
    register: Register, admin: TestClient
) -> None:
    register("strict", dpop=True)
    url = begin(admin)
    assert sorted(parse_qs(urlsplit(url).query)) == ["client_id", "request_uri"]
    assert finish(admin, come_back(admin, agree(url))).status_code == 200
    check_grant(admin)


def test_an_answer_by_form_post_becomes_a_grant(
    register: Register, admin: TestClient, browse: Browse
) -> None:
    register(authorize_params={"prompt": "consent", "response_mode": "form_post"})
    form = read_form_post(Person().visit(begin(admin), CALLBACK))
    assert set(form) >= {"code", "state", "iss"}
    headers = {"Origin": "null", "Sec-Fetch-Site": "cross-site"}
    answer = browse().post("/oauth/callback", data=form, headers=headers, follow_redirects=False)
    assert finish(admin, answer.headers["location"]).status_code == 200
    check_grant(admin)


def test_a_code_that_is_entered_elsewhere_becomes_a_grant(
    register: Register, admin: TestClient
) -> None:
    register(client="device", authorize_params={})
    prompt = post(admin, way="device").json()
    Person().visit(prompt["complete_uri"])
    assert wait_for_device(admin, prompt).status_code == 200
    check_grant(admin)


def wait_for_device(admin: TestClient, prompt: Mapping[str, Any]) -> Response:
    """The end of the consent, as the page waits for it: the server lets it ask every five seconds."""
    while True:
        answer = post(admin, "/ask", ticket=prompt["ticket"])
        if "wait" not in (body := answer.json()):
            return answer
        time.sleep(body["wait"])


def test_a_person_who_refuses_is_told_and_may_agree_later(
    register: Register, admin: TestClient
) -> None:
    register()
    query = agree(begin(admin), Person(refuses=True))
    answer = finish(admin, come_back(admin, query))
    assert answer.status_code == 409
    assert "access_denied" in answer.json()["detail"]
    assert connect(admin)["grant"]["state"] == "fresh"


def test_a_grant_that_ended_at_the_server_needs_consent_and_is_connected_again(
    register: Register, admin: TestClient, issuers: Mapping[str, str]
) -> None:
    register()
    connect(admin)
    ended = {"token": read_refresh_token(), "token_type_hint": "refresh_token"}
    revoke_url = f"{issuers['plain']}/token/revocation"
    requests.post(revoke_url, data=ended, auth=("airflow", SECRET), timeout=20).raise_for_status()
    assert "invalid_grant" in refresh(admin).json()["detail"]
    assert read_row(admin)["health"] == "needs_consent"
    connect(admin)
    assert read_row(admin)["health"] == "healthy"
    check_grant(admin)


def read_row(admin: TestClient) -> dict[str, Any]:
    (row,) = admin.get("/oauth/api/connections").json()["connections"]
    assert isinstance(row, dict)
    return row


def test_revoke_ends_the_grant_at_the_server(
    register: Register, admin: TestClient, issuers: Mapping[str, str]
) -> None:
    register()
    connect(admin)
    token = read_refresh_token()
    answer = admin.post("/oauth/api/connections/crm/revoke", json={}, headers=SAME_ORIGIN)
    assert answer.status_code == 200, answer.text
    asked = requests.post(
        f"{issuers['plain']}/token/introspection",
        data={"token": token},
        auth=("airflow", SECRET),
        timeout=20,
    )
    assert asked.json() == {"active": False}
