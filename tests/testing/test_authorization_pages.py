"""The authorization, PAR and device endpoints, asked as a client would."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.fixtures import ServerFactory
from tests.testing.calls import TIMEOUT, FakeClock, ask_token

HERE = "http://127.0.0.1:1/cb"
VERIFIER = "v" * 43


def authorize(server: OAuthTestServer, **changed: str | None) -> requests.Response:
    whole = {
        "response_type": "code",
        "client_id": server.client_id,
        "redirect_uri": HERE,
        "state": "s",
        "code_challenge": create_s256_code_challenge(VERIFIER),
        "code_challenge_method": "S256",
        **changed,
    }
    fields = {name: value for name, value in whole.items() if value is not None}
    url = f"{server.base_url}/oauth/authorize"
    return requests.get(url, params=fields, allow_redirects=False, timeout=TIMEOUT)


def led_to(answer: requests.Response) -> dict[str, str]:
    query = parse_qs(urlsplit(answer.headers["Location"]).query)
    return {name: values[0] for name, values in query.items()}


def trade(server: OAuthTestServer, code: str, **changed: str) -> requests.Response:
    own = {"grant_type": "authorization_code", "code": code, "redirect_uri": HERE}
    return ask_token(server, **{**own, "code_verifier": VERIFIER, **changed})


def test_agreement_yields_a_code_that_works_once(oauth_server: OAuthTestServer) -> None:
    back = led_to(authorize(oauth_server))
    assert (back["state"], back["iss"]) == ("s", oauth_server.base_url)
    assert trade(oauth_server, back["code"]).json()["refresh_token"]
    assert trade(oauth_server, back["code"]).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changed",
    [
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge": None},
        {"code_challenge": None, "code_challenge_method": None},
    ],
)
def test_pkce_with_s256_is_required(oauth_server: OAuthTestServer, changed: dict[str, Any]) -> None:
    assert led_to(authorize(oauth_server, **changed))["error"] == "invalid_request"


@pytest.mark.parametrize(
    "changed", [{"code_verifier": "w" * 43}, {"redirect_uri": "http://127.0.0.1:2/cb"}]
)
def test_a_code_is_bound_to_verifier_and_redirect_uri(
    oauth_server: OAuthTestServer, changed: dict[str, str]
) -> None:
    code = led_to(authorize(oauth_server))["code"]
    assert trade(oauth_server, code, **changed).json()["error"] == "invalid_grant"


def test_a_code_does_not_outlive_its_minute(oauth_server_factory: ServerFactory) -> None:
    clock = FakeClock()
    server = oauth_server_factory(clock=clock)
    code = led_to(authorize(server))["code"]
    clock.sleep(61)
    assert trade(server, code).json()["error"] == "invalid_grant"


def test_a_refusal_is_sent_back_with_the_issuer(oauth_server: OAuthTestServer) -> None:
    oauth_server.desk.decision = "refuse"
    back = led_to(authorize(oauth_server))
    assert (back["error"], back["iss"]) == ("access_denied", oauth_server.base_url)


def test_a_server_may_not_name_itself_and_may_let_the_person_wait(
    oauth_server: OAuthTestServer,
) -> None:
    oauth_server.desk.issuer = ""
    assert "iss" not in led_to(authorize(oauth_server))
    oauth_server.desk.decision = "ignore"
    assert authorize(oauth_server).status_code == 200


@pytest.mark.parametrize(
    "changed",
    [{"redirect_uri": "https://evil.example/cb"}, {"response_type": "token"}, {"client_id": "x"}],
)
def test_no_code_is_sent_to_an_unregistered_address(
    oauth_server: OAuthTestServer, changed: dict[str, str]
) -> None:
    answer = authorize(oauth_server, **changed)
    assert "code" not in answer.headers.get("Location", "")
    assert not answer.headers.get("Location", "").startswith("https://evil")


def push(server: OAuthTestServer, secret: str = "test-secret", **fields: str) -> requests.Response:
    auth = (server.client_id, secret)
    url = f"{server.base_url}/oauth/par"
    return requests.post(url, data={"client_id": server.client_id, **fields}, auth=auth, timeout=20)


def test_a_pushed_request_ends_after_its_time(oauth_server_factory: ServerFactory) -> None:
    clock = FakeClock()
    server = oauth_server_factory(clock=clock)
    reference = push(server, response_type="code").json()["request_uri"]
    clock.sleep(61)
    assert authorize(server, request_uri=reference).status_code == 400


def test_pushing_needs_the_client_and_may_be_required(oauth_server: OAuthTestServer) -> None:
    assert push(oauth_server, secret="wrong").status_code == 401
    json = requests.post(f"{oauth_server.base_url}/oauth/par", json={}, timeout=TIMEOUT)
    assert json.status_code == 400
    oauth_server.desk.par_required = True
    assert authorize(oauth_server).status_code == 400


def test_an_unknown_user_code_and_a_wrong_body_are_refused(oauth_server: OAuthTestServer) -> None:
    place = oauth_server.base_url
    assert requests.get(f"{place}/device?user_code=x", timeout=TIMEOUT).status_code == 404
    assert requests.post(f"{place}/oauth/device", json={}, timeout=TIMEOUT).status_code == 400


def test_an_answer_may_be_posted_by_a_page(oauth_server: OAuthTestServer) -> None:
    answer = authorize(oauth_server, response_mode="form_post", state='"><script>')
    assert answer.status_code == 200
    assert f'action="{HERE}"' in answer.text
    assert "<script>" not in answer.text
    code = re.search(r'name="code" value="([^"]+)"', answer.text)
    assert code is not None
    assert trade(oauth_server, code[1]).status_code == 200
